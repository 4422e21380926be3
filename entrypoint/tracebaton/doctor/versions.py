"""Which versions are installed, and whether they can work together."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import PackageNotFoundError, distributions, version
from typing import TYPE_CHECKING

from tracebaton.doctor.finding import Finding, error, ok
from tracebaton_configurator import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tracebaton.doctor.situation import Situation

__all__ = ["check"]

_SHOWN = (
    "opentelemetry-api",
    "opentelemetry-sdk",
    "opentelemetry-instrumentation",
    "fastapi",
    "starlette",
    "uvicorn",
    "httpx",
    "redis",
)


def check(_: Situation) -> Iterator[Finding]:
    here = [f"Python {platform.python_version()}", f"tracebaton {__version__}"]
    yield ok(", ".join([*here, *(f"{name} {found}" for name in _SHOWN if (found := _version(name)))]))
    yield ok(f"this Python is {sys.executable}")
    conflicts = list(_conflicts())
    yield from conflicts
    if not conflicts:
        yield ok("the OpenTelemetry packages fit together")


def _conflicts() -> Iterator[Finding]:
    """What `pip check` would say about tracebaton and OpenTelemetry's packages, and what it would not."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    installed: dict[str, list[str]] = {}
    wanted: dict[str, list[str]] = {}
    for distribution in distributions():
        name = str(canonicalize_name(distribution.metadata["Name"] or ""))
        if name in installed and distribution.version in installed[name]:
            continue  # one directory that is on sys.path twice
        installed.setdefault(name, []).append(distribution.version)
        if name.startswith("opentelemetry-") or name == "tracebaton":
            wanted.setdefault(name, distribution.requires or [])
    for name, found in sorted(installed.items()):
        if len(found) > 1 and name in wanted:
            yield error(
                f"{name} is installed {len(found)} times, as {' and '.join(found)}: parts of both may be loaded",
                f"uninstall it until it is gone, then install it once: pip uninstall {name}",
            )
    for name, requirements in sorted(wanted.items()):
        for text in requirements:
            requirement = Requirement(text)
            if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
                continue
            found = installed.get(canonicalize_name(requirement.name), [])
            if not found:
                yield error(
                    f"{name} {installed[name][0]} needs {requirement.name}, which is not installed",
                    f"pip install '{requirement.name}{requirement.specifier}'",
                )
            elif not requirement.specifier.contains(found[0], prereleases=True):
                yield error(
                    f"{name} {installed[name][0]} needs {requirement.name}{requirement.specifier}, but {found[0]} is "
                    "installed",
                    "install OpenTelemetry's packages of one release, in one step: pip install --upgrade tracebaton "
                    f"{name} {requirement.name}",
                )


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
