"""Which instrumentations the launcher would load, which not, and why."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, entry_points, version
from importlib.util import find_spec
from typing import TYPE_CHECKING

from tracebaton.doctor.finding import Finding, error, ok, warning

if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.metadata import Distribution, EntryPoint

    from tracebaton.doctor.situation import Situation

__all__ = ["check"]

_EXPECTED = ("fastapi", "httpx", "redis")
# Libraries that people call other services with; a request made with one of them ends the trace.
_CLIENTS = ("aiohttp", "grpcio", "pika", "aio-pika", "aiokafka", "confluent-kafka", "celery", "requests", "urllib3")
_TELEMETRY_SINCE = (0, 142)


def check(situation: Situation) -> Iterator[Finding]:
    if situation.settings.disabled:
        yield ok("none is loaded, as OTEL_SDK_DISABLED=true")
        return
    given = situation.environ.get("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "")
    disabled = {name.strip() for name in given.split(",") if name.strip()}
    loaded: list[str] = []
    absent: list[str] = []
    left_out: list[str] = []
    for point in entry_points(group="opentelemetry_instrumentor"):
        if point.name in loaded:
            continue
        if disabled & {point.name, "*"}:
            left_out.append(point.name)
            continue
        conflict, is_missing = _conflict(point)
        if is_missing:
            absent.append(point.name)
        elif conflict:
            yield warning(
                f"{point.name} is not loaded: {conflict}",
                f"install a version in that range, or a newer {_package(point)}",
            )
        else:
            loaded.append(point.name)
    yield ok(f"loaded: {_with_versions(loaded)}") if loaded else warning("none is loaded: there will be no spans")
    if absent:
        yield ok(f"not loaded, as the library is not installed: {', '.join(absent)}")
    if left_out:
        yield ok(f"not loaded, as OTEL_PYTHON_DISABLED_INSTRUMENTATIONS says: {', '.join(left_out)}")
    yield from _fastapi(left_out)
    installed = {
        *loaded,
        *absent,
        *left_out,
        *(point.name for point in entry_points(group="opentelemetry_instrumentor")),
    }
    for name in _EXPECTED:
        if name not in installed:
            yield error(
                f"opentelemetry-instrumentation-{name} is not installed, though tracebaton depends on it",
                "pip install --force-reinstall tracebaton",
            )
    without = [name for name in _CLIENTS if name not in installed and _version(name)]
    if without:
        yield ok(
            f"installed, but without an instrumentation: {', '.join(without)}; a call that the application makes with "
            "one of them has no span, and the trace ends there",
            "where that matters: pip install "
            + " ".join(f"opentelemetry-instrumentation-{_OTHERS.get(n, n)}" for n in without),
        )


_OTHERS = {"aiohttp": "aiohttp-client", "grpcio": "grpc"}


def _conflict(point: EntryPoint) -> tuple[str, bool]:
    """What upstream's loader would refuse it for, and whether that is only that the library is not there."""
    from opentelemetry.instrumentation.dependencies import get_dist_dependency_conflicts

    if point.dist is not None:
        conflict = get_dist_dependency_conflicts(point.dist)
        if conflict is not None:
            found = conflict.found or ", ".join(conflict.found_any or ())
            wanted = conflict.required or " or ".join(map(str, conflict.required_any or ()))
            wanted = str(wanted).partition(";")[0].strip()
            return f"it is for {wanted}, and {found} is installed", not found
        if _version(point.name) is None and point.name in _alternatives(point.dist):
            return "", True
    module = point.value.partition(":")[0]
    try:
        is_there = find_spec(module) is not None
    except (ImportError, ValueError):
        is_there = False
    return ("" if is_there else f"its module {module} is not there"), False


def _alternatives(distribution: Distribution) -> set[str]:
    """The libraries of which a package instruments any: with an entry point for each, one of them is not loaded."""
    from packaging.requirements import Requirement

    required = [Requirement(text) for text in distribution.requires or () if "instruments" in text]
    return {
        one.name for one in required if one.marker is not None and one.marker.evaluate({"extra": "instruments-any"})
    }


def _fastapi(left_out: list[str]) -> Iterator[Finding]:
    """FastAPI traces itself where contrib's middleware is not in its stack and there is a provider."""
    found = _version("fastapi")
    if "fastapi" not in left_out or not found:
        return
    numbers = tuple(int(part) for part in found.split(".")[:2] if part.isdigit())
    if numbers >= _TELEMETRY_SINCE:
        yield warning(
            f"the fastapi instrumentation is disabled, and FastAPI {found} then makes spans of its own, one SERVER and "
            "three INTERNAL ones a request",
            "to have none: OTEL_TRACES_SAMPLER_ARG='*=0' or OTEL_SDK_DISABLED=true; else do not disable fastapi",
        )
    else:
        yield warning(
            "the fastapi instrumentation is disabled: requests have no SERVER spans", "do not disable fastapi"
        )


def _with_versions(names: list[str]) -> str:
    return ", ".join(f"{name} ({found})" if (found := _version(name)) else name for name in names)


def _package(point: EntryPoint) -> str:
    return point.dist.metadata["Name"] if point.dist is not None else point.value


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
