"""How fast `tracebaton timeline` reads, and in how much memory: the real command over a file of JSON lines.

python bench/timeline.py [--size MB] [--file FILE] [--rounds N]

Makes the file first, the same bytes each time for the same size; it needs that much room (in the temporary directory,
unless FILE says where; a FILE that has the right size already is used as it is and kept). Each round runs the command
in a child process, once with a whole trace id and once with its first digits. The figures: bytes by wall-clock time and
by CPU time (utime + stime of the child, by wait4), and the highest resident set size of the child; Linux counts in it
what this script had when it started the child, so that figures below some 25 MB are this script's own. Exit status: 0
if every run found its lines and reached the targets, else 1.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

TRACE_ID = "391a6620fcc50438d304c4fe040d323c"
DIGITS = 8  # of the prefix
AT_LEAST, AT_MOST = 100, 100  # MB/s of wall-clock time; MB resident
MB = 1_000_000
LINES_OF_TRACE = 1000
BLOCK_LINES = 20_000  # other lines are made once for so many, and repeated


class Run(NamedTuple):
    wall: float  # seconds
    cpu: float
    rss: float  # MB
    found: int


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--size", type=int, default=1000, metavar="MB", help="of the file (default: %(default)s)")
    parser.add_argument("--file", type=Path, help="where to make it (default: a temporary file)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each kind, of which the median counts")
    options = parser.parse_args(arguments)
    if options.file is not None:
        return _bench(options.file, options.size * MB, options.rounds)
    with tempfile.TemporaryDirectory(prefix="tracebaton-bench-") as directory:
        return _bench(Path(directory) / "agents.log", options.size * MB, options.rounds)


def _bench(path: Path, size: int, rounds: int) -> int:
    if path.exists() and path.stat().st_size == size:
        print(f"{path} is there already")
    else:
        print(f"making {size / MB:.0f} MB of JSON lines")
        make(path, size)
    reached = True
    print(f"{'looked for':<14}{'MB/s, wall':>12}{'MB/s, CPU':>12}{'peak MB':>10}{'lines':>8}")
    for name, digits in (("whole id", TRACE_ID), (f"{DIGITS} digits", TRACE_ID[:DIGITS])):
        runs = sorted((timeline(path, digits) for _ in range(rounds)), key=lambda run: run.wall)
        run = runs[len(runs) // 2]
        rss = max(each.rss for each in runs)
        print(f"{name:<14}{size / MB / run.wall:>12.0f}{size / MB / run.cpu:>12.0f}{rss:>10.1f}{run.found:>8}")
        reached &= size / MB / run.wall >= AT_LEAST and rss <= AT_MOST
        reached &= all(each.found == LINES_OF_TRACE for each in runs)
    print(f"{'reached' if reached else 'NOT reached'}: at least {AT_LEAST} MB/s, at most {AT_MOST} MB resident")
    return 0 if reached else 1


def timeline(path: Path, digits: str) -> Run:
    """Run the command; after `make` the page cache is warm, if memory suffices: no disk is measured."""
    command = [sys.executable, "-m", "tracebaton.cli", "timeline", digits, str(path)]
    with tempfile.TemporaryFile() as out:
        began = time.perf_counter()
        child = subprocess.Popen(command, stdout=out, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.perf_counter() - began
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            raise SystemExit(f"{' '.join(command)} ended with status {child.returncode}")
        out.seek(0)
        found = out.read().count(b"chat received")
    per_unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss is in bytes there, in KiB on Linux
    return Run(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * per_unit / MB, found)


def make(path: Path, size: int) -> None:
    """Write lines like those of tracebaton's JSON form: LINES_OF_TRACE of our trace, spread evenly, among others."""
    others = "".join(_other_lines()).encode()
    every = size // LINES_OF_TRACE
    with path.open("wb") as file:
        written = position = number = 0
        while written < size - 1:
            if number < LINES_OF_TRACE and written >= number * every:
                block = _line(number, TRACE_ID, f"{number % 7 + 1:016x}").encode()
                number += 1
            else:
                end = others.find(b"\n", min(position + every, len(others) - 1)) + 1
                block, position = others[position:end], end % len(others)
            block = block[: size - 1 - written] if written + len(block) >= size else block
            written += file.write(block)
        file.write(b"\n")


def _other_lines() -> Iterator[str]:
    numbers = random.Random(4)
    for number in range(BLOCK_LINES):
        if number % 50 == 0:
            yield "INFO:     127.0.0.1:40646 - a line without JSON\n"
        yield _line(number, f"{numbers.getrandbits(128):032x}", f"{numbers.getrandbits(64):016x}")


def _line(number: int, trace_id: str, span_id: str) -> str:
    moment = f"2026-11-22T20:{number // 60 % 60:02}:{number % 60:02}.{number % 1_000_000:06}Z"
    return (
        f'{{"timestamp": "{moment}", "level": "INFO", "logger": "agent", "message": "chat received", '
        f'"service.name": "agent-{number % 3}", "trace_id": "{trace_id}", "span_id": "{span_id}", "trace_flags": "01", '
        f'"recipient": "agent-b", "turn": {number}}}\n'
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
