"""Environments with one library more, or with an older release of one, beside all that the tests' own has."""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "matrix"))

from installing import install

EVERY_AGE = os.environ.get("EDGES") == "all"
"""Whether the oldest releases that are supported are tried beside the newest: `make edges`."""


def ages(newest: str, oldest: str = "") -> list[Any]:
    """Parameters for a test: what is to be installed, as pip takes it (several words, where it is several packages)."""
    found = [pytest.param(tuple(newest.split()), id="newest")]
    return [*found, pytest.param(tuple(oldest.split()), id="oldest")] if EVERY_AGE and oldest else found


def environment(requirements: tuple[str, ...]) -> Path:
    """The `bin` of an environment that has these, made once; what it does not have is the tests' own environment's."""
    name = hashlib.sha256(" ".join(requirements).encode()).hexdigest()[:16]
    directory = Path(sys.prefix, "edges", name)
    directory.parent.mkdir(exist_ok=True)
    with Path(f"{directory}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not Path(directory, "complete").exists():
            _make(directory, requirements)
            Path(directory, "complete").write_text(" ".join(requirements))
    return directory / "bin"


def _make(directory: Path, requirements: tuple[str, ...]) -> None:
    _run(sys.executable, "-m", "venv", "--clear", "--without-pip", str(directory))
    (packages,) = directory.glob("lib/python*/site-packages")
    # Behind its own packages; `addsitedir`, since the project is installed there by a path file of its own.
    own = sysconfig.get_path("purelib")
    Path(packages, "zz_tests.pth").write_text(f"import site; site.addsitedir({own!r})\n")
    if requirements:
        install(directory / "bin" / "python", *requirements)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-2000:]}{done.stderr[-4000:]}"
