"""The version matrix: `make matrix` runs every cell and prints a table; CELL=TEXT only those whose name contains it.

Behind the cells come the unit tests on every Python that is promised: "Python 3.12, unit tests".
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import on_pythons
from cells import CELLS, Cell, environment, versions
from pythons import FREE_THREADED, PROMISED

UNIT_TESTS = ("-q", "--tb=short", "tests/configurator", "tests/entrypoint")
CHECK = Path(__file__).with_name("check_cell.py")


def check(cell: Cell) -> str:
    """What does not hold in this cell, in lines; empty where everything does."""
    try:
        with environment(cell) as python:
            done = subprocess.run([python, CHECK], check=False, capture_output=True, text=True, timeout=300)
    except subprocess.CalledProcessError:
        return "these releases cannot be installed together; see above\n"
    return done.stdout + done.stderr if done.returncode else ""


def main(wanted: str) -> int:
    failed = False
    for cell in CELLS:
        if wanted not in cell.name:
            continue
        began = time.monotonic()
        problems = check(cell)
        failed = failed or bool(problems)
        sys.stdout.write(f"{'FAILED' if problems else 'ok':6}  {cell.name}  {time.monotonic() - began:.0f} s\n")
        if not problems:
            with environment(cell) as python:
                shown = ", ".join(f"{name} {version}" for name, version in versions(python).items())
            sys.stdout.write(f"        {shown}\n")
        sys.stdout.writelines(f"        {line}\n" for line in problems.splitlines())
        sys.stdout.flush()
    return 1 if not _unit_tests(wanted) or failed else 0


def _unit_tests(wanted: str) -> bool:
    """On every Python; one that is promised and cannot be had is a failure, one that is free-threaded is only said."""
    outcomes = {
        version: on_pythons.run(version, UNIT_TESTS)
        for version in (*PROMISED, *FREE_THREADED)
        if wanted in f"Python {version}, unit tests"
    }
    said = {True: "ok", False: "FAILED", None: "ABSENT"}
    sys.stdout.writelines(f"{said[passed]:6}  Python {version}, unit tests\n" for version, passed in outcomes.items())
    return all(passed or (passed is None and version in FREE_THREADED) for version, passed in outcomes.items())


if __name__ == "__main__":
    sys.exit(main(" ".join(sys.argv[1:])))
