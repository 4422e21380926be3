"""The test suites of upstream's instrumentations, and the environments that they run in.

An environment is a cell of the version matrix with what the suites need beside it, made and kept as those are. Each
suite is that of the installed release, from its source distribution, and is kept beside the environment.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "matrix"))

from cells import ENDS, Cell, environment

if TYPE_CHECKING:
    from collections.abc import Iterator

_CONFTEST = Path(__file__).with_name("upstream_conftest.py")
# What the suites import; upstream names it in its repository only. Its test utilities are released with the rest, and
# stand beside no other release of the API.
_TOOLS = ("asgiref", "fakeredis", "opentelemetry-test-utils", "pytest>=8.3", "pytest-asyncio", "requests", "respx")
_OLDEST, _NEWEST = ENDS
# The FastAPI and the Starlette that come with it, the oldest and the newest of the matrix.
AGES = (
    Cell(_OLDEST.name, (*_OLDEST.pins, *_TOOLS)),
    # The first httpx2 is younger than the instrumentations of the other age.
    Cell(_NEWEST.name, (*_NEWEST.pins, *_TOOLS, "httpx2")),
)


@dataclass(frozen=True)
class Suite:
    """Of `opentelemetry-instrumentation-{name}`; `own` is one that the project does not depend on.

    Its package is put beside the environment, where only this suite sees it.
    """

    name: str
    own: bool = False

    @property
    def distribution(self) -> str:
        return f"opentelemetry-instrumentation-{self.name}"


SUITES = (
    Suite("fastapi"),
    Suite("asgi"),
    Suite("starlette", own=True),
    Suite("httpx"),
    Suite("redis"),
    Suite("logging", own=True),
)


@dataclass(frozen=True)
class Laid:
    """A suite that can be run: in `directory`, by `python`, with `paths` before its own packages."""

    python: Path
    directory: Path
    version: str
    paths: tuple[Path, ...]


@contextmanager
def laid(suite: Suite, age: Cell) -> Iterator[Laid]:
    """The suite in its environment, and nobody else's until the block ends.

    Raises subprocess.CalledProcessError where something cannot be installed or fetched, having said what.
    """
    with environment(age) as python:
        version = _version(python, "opentelemetry-instrumentation")
        place = python.parents[2] / "suites" / f"{suite.name}-{version}"
        paths = (place / "packages",) if suite.own else ()
        stamp = place / "complete"
        if not stamp.exists():
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir(parents=True)
            if suite.own:
                # Not every release of the others has one of it.
                newest = f"{suite.distribution}<={version}"
                _pip(python, "install", "--no-deps", "--target", str(paths[0]), newest)
            _unpack(python, f"{suite.distribution}=={_version(python, suite.distribution, *paths)}", place)
            stamp.touch()
        shutil.copy(_CONFTEST, place / "source" / "conftest.py")
        yield Laid(python, place / "source", _version(python, suite.distribution, *paths), paths)


def _unpack(python: Path, requirement: str, place: Path) -> None:
    # Asked for its metadata, which takes its build backend; what is installed in the environment serves.
    arguments = ("--no-deps", "--no-binary", ":all:", "--no-build-isolation", "--dest", str(place / "download"))
    _pip(python, "download", *arguments, requirement)
    (archive,) = (place / "download").iterdir()
    shutil.unpack_archive(archive, place / "unpacked", filter="data")
    (source,) = (place / "unpacked").iterdir()
    source.rename(place / "source")
    # What is tested is what is installed.
    shutil.rmtree(place / "source" / "src")


def _version(python: Path, distribution: str, *paths: Path) -> str:
    code = f"from importlib.metadata import version; print(version({distribution!r}))"
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))}
    return subprocess.run([python, "-c", code], check=True, capture_output=True, text=True, env=environ).stdout.strip()


def _pip(python: Path, *arguments: str) -> None:
    command = [str(python), "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments]
    done = subprocess.run(command, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode:
        sys.stderr.buffer.write(done.stdout)
    done.check_returncode()
