"""Runs tests on other Pythons than its own: python tests/matrix/on_pythons.py 3.10 3.14 -- tests/equality

All of them at once, each of which prints when it is done. A Python that cannot be had is said in capitals; with CI=true
it is a failure.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parent))

from pythons import ROOT, NotHereError, find, prepared, pytest_command

if TYPE_CHECKING:
    from collections.abc import Sequence


def run(version: str, arguments: Sequence[str], out: IO[str] | None = None) -> bool | None:
    """Whether the tests pass on that Python; None where there is none. All that they print goes to `out`, a file."""
    out = out or sys.stdout
    began = time.monotonic()
    try:
        interpreter = find(version)
    except NotHereError as reason:
        out.write(f"NOT TESTED ON PYTHON {version}: {reason}.\n")
        return None
    try:
        with prepared(interpreter) as python:
            installed = time.monotonic()
            out.write(f"== Python {version} ({interpreter}), ready after {installed - began:.0f} s\n")
            out.flush()
            command = pytest_command(python, *arguments)
            passed = subprocess.run(command, check=False, cwd=ROOT, stdout=out, stderr=out).returncode == 0
    except subprocess.CalledProcessError as error:
        out.write(f"NOT TESTED ON PYTHON {version}: what the tests need cannot be installed: {error}.\n")
        return False
    out.write(f"== Python {version}: {'passed' if passed else 'FAILED'}, {time.monotonic() - installed:.0f} s\n")
    out.flush()
    return passed


def run_and_print(version: str, arguments: Sequence[str]) -> bool | None:
    with tempfile.TemporaryFile("w+", encoding="utf-8") as out:
        try:
            return run(version, arguments, out)
        finally:
            out.seek(0)
            sys.stdout.write(out.read())
            sys.stdout.flush()


def main(arguments: Sequence[str]) -> int:
    at = arguments.index("--")
    with ThreadPoolExecutor(max(at, 1)) as pool:
        outcomes = list(pool.map(lambda version: run_and_print(version, arguments[at + 1 :]), arguments[:at]))
    absent_is_well = os.environ.get("CI") != "true"
    return 0 if all(passed or (passed is None and absent_is_well) for passed in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
