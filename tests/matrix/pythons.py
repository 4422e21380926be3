"""Every Python that is promised: where it is found on this machine, and an environment of it with what the tests need.

A Python is looked for as `python3.X` on PATH, then under pyenv, then as the image `python:3.X-slim`; one that cannot be
had is reported, never passed over. Environments are kept outside the checkout, in `$XDG_CACHE_HOME/tracebaton/pythons`,
and made by the Makefile's own rule.

    python tests/matrix/pythons.py 3.10 3.14      # those of them that need an image, one a line
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT = Path(__file__).resolve().parents[2]
# `t` is CPython's own suffix for a free-threaded build.
PROMISED = ("3.10", "3.11", "3.12", "3.13", "3.14")
FREE_THREADED = ("3.13t", "3.14t")
_IMAGE = "tracebaton-tests-python"
# The image lacks only the program that makes the environment; root is needed for nothing later.
_DOCKERFILE = """FROM python:{version}-slim
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends make >/dev/null
"""
_ASK = "import ensurepip, sys, sysconfig, venv; print('%d.%d' % sys.version_info[:2] + {1: 't'}.get(sysconfig.get_config_var('Py_GIL_DISABLED'), ''))"  # noqa: E501
# What pip and the tests are told by the environment they run in, and a container would not know.
_PASSED_ON = ("CI", "HYPOTHESIS_PROFILE")


class NotHereError(RuntimeError):
    """A Python that this machine cannot provide; the message says what was looked for."""


@dataclass(frozen=True)
class Interpreter:
    """`program` starts it; with an `image` only in a container of that image."""

    version: str
    program: str
    image: str = ""

    def __str__(self) -> str:
        return f"{self.program}, image python:{self.version}-slim" if self.image else self.program


def find(version: str) -> Interpreter:
    """The interpreter for `3.13`, or `3.13t` for a free-threaded one. Raises NotHereError."""
    program = installed(version)
    if program is not None:
        return Interpreter(version, program)
    if version.endswith("t"):
        raise NotHereError(f"no python{version} on PATH or under pyenv; there is no official image of one")
    return Interpreter(version, "python3", _image(version))


@contextmanager
def prepared(interpreter: Interpreter) -> Iterator[tuple[str, ...]]:
    """The beginning of a command that runs this checkout with that Python; nobody else's until the block ends.

    Raises subprocess.CalledProcessError where what the tests need cannot be installed there.
    """
    place = _cache() / f"{interpreter.version}{'-container' if interpreter.image else ''}"
    place.mkdir(parents=True, exist_ok=True)
    with (place / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        outside = _in_container(interpreter, place) if interpreter.image else ()
        venv = place / "venv"
        # Made by another build of it (an upgrade of the image or of the machine): what is compiled may not fit.
        built = subprocess.run(
            [*outside, interpreter.program, "-VV"], check=True, capture_output=True, text=True, cwd=ROOT
        ).stdout
        stamp = place / "built"
        if not stamp.exists() or stamp.read_text() != built:
            shutil.rmtree(venv, ignore_errors=True)
        # What is editable in there is one checkout at a time.
        laid = place / "checkout"
        if not laid.exists() or laid.read_text() != str(ROOT):
            (venv / "dev.installed").unlink(missing_ok=True)
        making = ["make", "--silent", f"VENV={venv}", f"PYTHON={interpreter.program}", f"{venv}/dev.installed"]
        subprocess.run([*outside, *making], check=True, cwd=ROOT, stdout=sys.stderr)
        stamp.write_text(built)
        laid.write_text(str(ROOT))
        yield (*outside, str(venv / "bin" / "python"))


def installed(version: str) -> str | None:
    """The program, where this machine has one."""
    return next((program for program in _programs(version) if _version_of(program) == version), None)


def _programs(version: str) -> Iterator[str]:
    name = f"python{version}"
    for directory in os.get_exec_path():
        if found := shutil.which(name, path=directory):
            yield found
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    newest_first = sorted(pyenv.glob(f"versions/*/bin/{name}"), key=lambda path: path.stat().st_mtime, reverse=True)
    yield from map(str, newest_first)


def _version_of(program: str) -> str:
    """Empty for one that cannot make an environment, or is a shim with nothing behind it."""
    try:
        done = subprocess.run([program, "-c", _ASK], check=False, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _image(version: str) -> str:
    if shutil.which("docker") is None or not _succeeds("docker", "info"):
        raise NotHereError(f"no python{version} on PATH or under pyenv, and no container engine to run an image of it")
    official = f"python:{version}-slim"
    if not _succeeds("docker", "image", "inspect", official) and not _succeeds("docker", "pull", "-q", official):
        raise NotHereError(f"no python{version} on PATH or under pyenv, and the image {official} cannot be pulled")
    tag = f"{_IMAGE}:{version}"
    # A layer that is there is not built again, unless the image below it is another one.
    done = subprocess.run(
        ["docker", "build", "-q", "--network", "host", "-t", tag, "-"],
        input=_DOCKERFILE.format(version=version),
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "DOCKER_BUILDKIT": "0"},
    )
    if done.returncode:
        raise NotHereError(f"no image for Python {version} can be built: {done.stderr.strip()}")
    return tag


def _in_container(interpreter: Interpreter, place: Path) -> tuple[str, ...]:
    """The command that runs what follows it in a container that sees the same files at the same paths as we do."""
    downloads = _cache().parent / "pip"
    downloads.mkdir(parents=True, exist_ok=True)
    (downloads.parent / "uv").mkdir(exist_ok=True)
    mounts = (ROOT, place, downloads, downloads.parent / "uv")
    settings = {
        "HOME": "/tmp",  # noqa: S108 (a container's own)
        "PIP_CACHE_DIR": str(downloads),
        "UV_CACHE_DIR": str(downloads.parent / "uv"),
        # Bytecode of a container's Python has no business in the checkout.
        "PYTHONPYCACHEPREFIX": str(place / "bytecode"),
        **{name: os.environ[name] for name in _PASSED_ON if name in os.environ},
    }
    return (
        *("docker", "run", "--rm", "--init", "--network", "host", "--workdir", str(ROOT)),
        *("--user", f"{os.getuid()}:{os.getgid()}"),
        *(part for path in mounts for part in ("--volume", f"{path}:{path}")),
        *(part for name, value in settings.items() for part in ("--env", f"{name}={value}")),
        interpreter.image,
    )


def _succeeds(*command: str) -> bool:
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def _cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "tracebaton" / "pythons"


def pytest_command(python: Sequence[str], *arguments: str) -> list[str]:
    """Nothing is left in the checkout, which other Pythons test at another time."""
    return [*python, "-m", "pytest", "-p", "no:cacheprovider", *arguments]


if __name__ == "__main__":
    sys.stdout.writelines(f"{version}\n" for version in sys.argv[1:] if installed(version) is None)
