"""What Linux knows of running processes: their descriptors, threads and CPU time, as read from /proc.

One that ends meanwhile is left out.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_TICK = os.sysconf("SC_CLK_TCK")
_LISTENING = "0A"  # enum in include/net/tcp_states.h


@dataclass(frozen=True)
class Process:
    """`descriptors` counts kinds such as `pipe` or `tcp listening`; `threads` are the names the kernel has for them."""

    command: str
    descriptors: Counter[str]
    threads: tuple[str, ...]


def session(pid: int) -> list[int]:
    """Every process of the session that `pid` leads, however it is related."""
    everything = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
    return sorted(one for one in everything if (fields := _stat(one)) and int(fields[3]) == pid and fields[0] != "Z")


def cpu_seconds(pids: Iterable[int]) -> float:
    """User and system time of these processes and of what they have waited for; the unit is a clock tick, 10 ms."""
    return sum(sum(map(int, fields[11:15])) for pid in pids if (fields := _stat(pid))) / _TICK


def processes(pids: Iterable[int]) -> list[Process]:
    """In an order that does not depend on their numbers."""
    found = []
    for pid in pids:
        with suppress(OSError):
            command = Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").replace(b"\0", b" ").decode()
            threads = sorted(path.read_text().strip() for path in Path(f"/proc/{pid}/task").glob("*/comm"))
            found.append(Process(command, Counter(_descriptors(pid)), tuple(threads)))
    return sorted(found, key=lambda process: (process.command, sorted(process.descriptors.items())))


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the third on, proc(5); empty for no process."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return []


def _descriptors(pid: int) -> Iterator[str]:
    sockets = _sockets(pid)
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):
            target = os.readlink(entry)  # noqa: PTH115 (the text, where there is no such path)
            if target.startswith("socket:["):
                yield sockets.get(target[8:-1], "another socket")
            else:
                yield re.sub(r":\[\d+\]$", "", target).removeprefix("anon_inode:")


def _sockets(pid: int) -> dict[str, str]:
    """What each socket of the process's network is, by inode; the port it talks to is part of that."""
    found = {}
    for version in ("tcp", "tcp6"):
        for line in _lines(Path(f"/proc/{pid}/net/{version}")):
            there = int(line[2].rpartition(":")[2], 16)
            found[line[9]] = "tcp listening" if line[3] == _LISTENING else f"tcp connected to {there}"
    for line in _lines(Path(f"/proc/{pid}/net/unix")):
        found[line[6]] = f"unix {line[7]}" if len(line) > 7 else "unix"
    return found


def _lines(path: Path) -> Iterator[list[str]]:
    with suppress(OSError):
        yield from (line.split() for line in path.read_text().splitlines()[1:])
