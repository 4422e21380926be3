"""Runs tests on other Pythons than its own: python tests/matrix/on_pythons.py 3.10 3.14 -- tests/equality

A Python that cannot be had is said in capitals; with CI=true it is a failure.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parent))

from pythons import ROOT, NotHereError, find, prepared, pytest_command

if TYPE_CHECKING:
    from collections.abc import Sequence


def run(version: str, arguments: Sequence[str]) -> bool | None:
    """Whether the tests pass on that Python; None where there is none. All that they print is passed on."""
    began = time.monotonic()
    try:
        interpreter = find(version)
    except NotHereError as reason:
        sys.stdout.write(f"NOT TESTED ON PYTHON {version}: {reason}.\n")
        return None
    try:
        with prepared(interpreter) as python:
            installed = time.monotonic()
            sys.stdout.write(f"== Python {version} ({interpreter}), ready after {installed - began:.0f} s\n")
            sys.stdout.flush()
            passed = subprocess.run(pytest_command(python, *arguments), check=False, cwd=ROOT).returncode == 0
    except subprocess.CalledProcessError as error:
        sys.stdout.write(f"NOT TESTED ON PYTHON {version}: what the tests need cannot be installed: {error}.\n")
        return False
    sys.stdout.write(f"== Python {version}: {'passed' if passed else 'FAILED'}, {time.monotonic() - installed:.0f} s\n")
    sys.stdout.flush()
    return passed


def main(arguments: Sequence[str]) -> int:
    at = arguments.index("--")
    outcomes = [run(version, arguments[at + 1 :]) for version in arguments[:at]]
    absent_is_well = os.environ.get("CI") != "true"
    return 0 if all(passed or (passed is None and absent_is_well) for passed in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
