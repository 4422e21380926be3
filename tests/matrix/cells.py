"""The cells of the version matrix: which releases stand together in one virtual environment, and where it is kept.

An environment is made once for its pins and kept outside the checkout, in `$XDG_CACHE_HOME/tracebaton/matrix`; those
with the newest releases are brought up to date once a day. The project itself is laid into it before each use.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

sys.path.insert(0, str(Path(__file__).parent))

from installing import install

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
_A_DAY = 86400.0
# What the check needs beside the application's own: a server to talk to on machines that have none.
_TOOLS = ("hatchling>=1.25", "editables")


@dataclass(frozen=True)
class Cell:
    """One environment. `pins` are requirements beyond the project's own; whatever they leave open is the newest."""

    name: str
    pins: tuple[str, ...]

    @property
    def moves(self) -> bool:
        """Whether a new release of something changes what is tested."""
        return not all("==" in pin for pin in self.pins)


def _telemetry(stable: str, beta: str) -> tuple[str, ...]:
    """OpenTelemetry as released together; every package of it that the project or its instrumentations depend on."""
    instrumentations = ("asgi", "fastapi", "httpx", "redis")
    exporters = ("otlp", "otlp-proto-common", "otlp-proto-grpc", "otlp-proto-http")
    return (
        f"opentelemetry-api=={stable}",
        f"opentelemetry-sdk=={stable}",
        *(f"opentelemetry-exporter-{name}=={stable}" for name in exporters),
        f"opentelemetry-distro=={beta}",
        f"opentelemetry-instrumentation=={beta}",
        *(f"opentelemetry-instrumentation-{name}=={beta}" for name in instrumentations),
    )


# An application as it may have been pinned two years ago, the last FastAPI without telemetry of its own, and today's.
_PINNED = ("fastapi==0.115.6", "uvicorn==0.34.0", "redis==5.2.1", "httpx==0.28.1")
_BEFORE_NATIVE = ("fastapi==0.141.*", "uvicorn", "redis", "httpx")
_NEWEST = ("fastapi", "uvicorn", "redis", "httpx")
# The lower ends of the ranges in pyproject.toml.
_FLOORS = ("h2==4.1.0", "h11==0.14.0", "python-json-logger==2.0.7", "rich==13.0.0", "sniffio==1.3.0")
_OLDEST = (*_telemetry("1.42.0", "0.63b0"), *_FLOORS)
# FastAPI 0.165 wants opentelemetry-api 1.44 or later: the oldest that can stand beside it.
_OLDEST_FOR_NEWEST = (*_telemetry("1.44.0", "0.65b0"), *_FLOORS)

CELLS = (
    Cell("pinned app, oldest OpenTelemetry", (*_PINNED, *_OLDEST)),
    Cell("pinned app, newest OpenTelemetry", _PINNED),
    Cell("FastAPI 0.141, oldest OpenTelemetry", (*_BEFORE_NATIVE, *_OLDEST)),
    Cell("FastAPI 0.141, newest OpenTelemetry", _BEFORE_NATIVE),
    Cell("newest app, oldest OpenTelemetry it takes", (*_NEWEST, *_OLDEST_FOR_NEWEST)),
    Cell("newest app, newest OpenTelemetry", _NEWEST),
)
ENDS = (CELLS[0], CELLS[-1])


@contextmanager
def environment(cell: Cell) -> Iterator[Path]:
    """The cell's Python interpreter, ready to use, and nobody else's until the block ends.

    Raises subprocess.CalledProcessError where the releases cannot stand together, with what the installer said.
    """
    place = _cache() / _key(cell)
    place.mkdir(parents=True, exist_ok=True)
    with (place / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield _ready(cell, place)


def versions(python: Path) -> dict[str, str]:
    """The releases that matter, as they are installed."""
    code = (
        "import json, importlib.metadata as m;"
        "print(json.dumps({n: m.version(n) for n in ('fastapi', 'uvicorn', 'redis', 'httpx', 'opentelemetry-api',"
        " 'opentelemetry-instrumentation', 'h2', 'h11', 'python-json-logger')}))"
    )
    shown = subprocess.run([python, "-c", code], check=True, capture_output=True, text=True)
    found: dict[str, str] = json.loads(shown.stdout)
    return found


def _ready(cell: Cell, place: Path) -> Path:
    python = place / "venv" / "bin" / "python"
    stamp = place / "made"
    age = time.time() - stamp.stat().st_mtime if stamp.exists() else None
    if age is None:
        shutil.rmtree(place / "venv", ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", place / "venv"], check=True)
        _install(python, *_requirements(cell))
        stamp.touch()
    elif cell.moves and age > _A_DAY:
        try:
            _install(python, "--upgrade", *_requirements(cell))
            stamp.touch()
        except subprocess.CalledProcessError:
            sys.stderr.write(f"{cell.name}: could not be brought up to date; what is there is tested.\n")
    laid = place / "laid"
    wanted = f"{ROOT}\n{hashlib.sha256((ROOT / 'pyproject.toml').read_bytes()).hexdigest()}\n"
    if not laid.exists() or laid.read_text() != wanted:
        _install(python, "--no-deps", "--no-build-isolation", "-e", str(ROOT))
        laid.write_text(wanted)
    return python


def _requirements(cell: Cell) -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    servers = [one for one in project["optional-dependencies"]["demo"] if "python_version" in one]
    return [*cell.pins, *project["dependencies"], *servers, *_TOOLS]


def _install(python: Path, *arguments: str) -> None:
    try:
        install(python, *arguments)
    except subprocess.CalledProcessError as error:
        sys.stderr.write(error.output)
        raise


def _key(cell: Cell) -> str:
    described = json.dumps([sys.version, sorted(_requirements(cell))])
    return hashlib.sha256(described.encode()).hexdigest()[:16]


def _cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "tracebaton" / "matrix"
