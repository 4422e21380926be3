"""Which versions are installed, and whether they can work together."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import distributions
from typing import TYPE_CHECKING

from tracebaton.doctor.finding import Finding, error, installed, ok
from tracebaton_configurator import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tracebaton.doctor.situation import Situation

# fmt: off
_SHOWN = (
    "opentelemetry-api", "opentelemetry-sdk", "opentelemetry-instrumentation", "fastapi", "starlette", "uvicorn",
    "httpx", "redis",
)
# fmt: on


def check(_: Situation) -> Iterator[Finding]:
    here = [f"Python {platform.python_version()}", f"tracebaton {__version__}"]
    yield ok(", ".join([*here, *(f"{name} {found}" for name in _SHOWN if (found := installed(name)))]))
    yield ok(f"this Python is {sys.executable}")
    if installed("httpcore") and (found := installed("sniffio")):
        yield ok(
            f"sniffio {found} is installed, for which httpcore looks four times a call: without it calls cost more"
        )
    conflicts = list(_conflicts())
    yield from conflicts or [ok("the OpenTelemetry packages fit together")]


def _conflicts() -> Iterator[Finding]:
    """What `pip check` would say about tracebaton and OpenTelemetry's packages, and what it would not."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    versions: dict[str, list[str]] = {}
    wanted: dict[str, list[str]] = {}
    for distribution in distributions():
        name = str(canonicalize_name(distribution.metadata["Name"] or ""))
        if distribution.version in versions.setdefault(name, []):
            continue  # one directory that is on sys.path twice
        versions[name].append(distribution.version)
        if name.startswith("opentelemetry-") or name == "tracebaton":
            wanted.setdefault(name, distribution.requires or [])
    for name, requirements in sorted(wanted.items()):
        found = versions[name]
        if len(found) > 1:
            yield error(
                f"{name} is installed {len(found)} times, as {' and '.join(found)}: parts of both may be loaded",
                f"uninstall it until it is gone, then install it once: pip uninstall {name}",
            )
        for requirement in map(Requirement, requirements):
            if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
                continue
            there = versions.get(canonicalize_name(requirement.name))
            if not there:
                yield error(
                    f"{name} {found[0]} needs {requirement.name}, which is not installed",
                    f"pip install '{requirement.name}{requirement.specifier}'",
                )
            elif not requirement.specifier.contains(there[0], prereleases=True):
                yield error(
                    f"{name} {found[0]} needs {requirement.name}{requirement.specifier}, but {there[0]} is installed",
                    "install OpenTelemetry's packages of one release, in one step: pip install --upgrade tracebaton "
                    f"{name} {requirement.name}",
                )
