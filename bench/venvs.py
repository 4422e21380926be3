"""One virtual environment for each contender, with the same application libraries in all of them."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / ".venv-bench"
# uvicorn[standard]: uvloop and httptools. The server that costs least is the one beside which tracing shows most.
APPLICATION = ("fastapi", "uvicorn[standard]", "redis", "httpx", "python-json-logger")
INSTRUMENTATIONS = tuple(f"opentelemetry-instrumentation-{name}" for name in ("fastapi", "httpx", "redis"))
PACKAGES: dict[str, tuple[str, ...]] = {
    "bare": (),
    "bare-sniffio": ("sniffio",),
    "tracebaton": (),  # the checkout's own wheel is added by `_install_checkout`
    "upstream": ("opentelemetry-distro", "opentelemetry-exporter-otlp", *INSTRUMENTATIONS),
    "ddtrace": ("ddtrace",),
    "elastic": ("elastic-opentelemetry", *INSTRUMENTATIONS),
    "dash0": ("dash0-opentelemetry",),
    "logfire": ("logfire[fastapi,httpx,redis]",),
    "tools": ("matplotlib", "hatchling"),
}
# What of an environment stands above the table.
NAMED = (
    *("fastapi", "starlette", "uvicorn", "uvloop", "httptools", "redis", "httpx"),
    *("tracebaton", "opentelemetry-sdk", "opentelemetry-instrumentation", "ddtrace", "elastic-opentelemetry"),
    *("dash0-opentelemetry", "logfire"),
)


_python = (sys.executable, "")


def use(version: str) -> None:
    """Measure with another Python, such as `3.13`, found as the tests find it. ValueError where there is none."""
    global _python  # noqa: PLW0603 (which one this run is about)
    sys.path.insert(0, str(ROOT / "tests" / "matrix"))
    from pythons import installed

    found = installed(version)
    if found is None:
        raise ValueError(f"there is no Python {version} here")
    _python = (_run([found, "-c", "import sys; print(sys.executable)"]).strip(), version)


def folder() -> Path:
    return FOLDER / _python[1]


def python_version() -> str:
    return _run([_python[0], "-c", "import platform; print(platform.python_version())"]).strip()


def program(venv: str, name: str) -> str:
    return str(folder() / venv / "bin" / name)


def prepare(venvs: Iterable[str], say: Callable[[str], None]) -> None:
    """Make what is missing, and install tracebaton anew when its sources have changed."""
    wanted = dict.fromkeys(venvs)
    for venv in ("bare", "tools"):  # bare first: it says which versions the others get
        _make(venv, say)
    with ThreadPoolExecutor(2) as pool:  # unpacking takes longer than downloading
        list(pool.map(lambda venv: _make(venv, say), [venv for venv in wanted if venv not in ("bare", "tools")]))
    if "tracebaton" in wanted:
        _install_checkout(say)


def versions(venv: str) -> dict[str, str]:
    """Name and version of the packages that matter, as they are installed."""
    listed = _run([program(venv, "python"), "-m", "pip", "list", "--format=json", "--disable-pip-version-check"])
    found = {item["name"]: item["version"] for item in json.loads(listed)}
    return {name: found[name] for name in NAMED if name in found}


def _make(venv: str, say: Callable[[str], None]) -> None:
    stamp = folder() / venv / "made-of.txt"
    wanted = "\n".join([python_version(), *(APPLICATION if venv != "tools" else ()), *PACKAGES[venv]])
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    say(f"making {stamp.parent.relative_to(ROOT)}")
    _run([_python[0], "-m", "venv", "--clear", str(stamp.parent)])
    if venv == "tools":
        _pip(venv, *PACKAGES[venv])
    elif venv == "bare":
        _pip(venv, *APPLICATION)
        constraints = _run([program(venv, "python"), "-m", "pip", "freeze"])
        # FastAPI brings OpenTelemetry's API along, whose version is for each contender to say.
        kept = [line for line in constraints.splitlines() if not line.startswith("opentelemetry")]
        _constraints().write_text("\n".join(kept))
    else:
        _pip(venv, "--constraint", str(_constraints()), *APPLICATION, *PACKAGES[venv])
    stamp.write_text(wanted)


def _install_checkout(say: Callable[[str], None]) -> None:
    """A real wheel, not an editable install: those add an import hook, and are not what users have."""
    stamp = folder() / "tracebaton" / "checkout.txt"
    digest = _digest()
    if stamp.is_file() and stamp.read_text() == digest:
        return
    say("installing tracebaton from the checkout")
    wheels = folder() / "wheels"
    for old in wheels.glob("*.whl"):
        old.unlink()
    build = [program("tools", "python"), "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    _run([*build, "--wheel-dir", str(wheels), str(ROOT)])
    (wheel,) = map(str, wheels.glob("*.whl"))
    _pip("tracebaton", "--constraint", str(_constraints()), wheel)  # what it depends on, where that has changed
    _pip("tracebaton", "--force-reinstall", "--no-deps", wheel)  # itself, although its version has not
    stamp.write_text(digest)


def _digest() -> str:
    digest = hashlib.sha256((ROOT / "pyproject.toml").read_bytes())
    for folder in ("configurator", "entrypoint"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            digest.update(str(path).encode() + path.read_bytes())
    return digest.hexdigest()


def _constraints() -> Path:
    return folder() / "constraints.txt"


def _pip(venv: str, *arguments: str) -> None:
    _run([program(venv, "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *arguments])


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with status {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout
