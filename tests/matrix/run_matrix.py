"""The version matrix: `make matrix` runs every cell and prints a table; CELL=TEXT only those whose name contains it."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from cells import CELLS, Cell, environment, versions

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
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(" ".join(sys.argv[1:])))
