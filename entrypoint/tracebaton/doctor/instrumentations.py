"""Which instrumentations would be put in place, which not, and why."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from tracebaton.doctor.finding import Finding, installed, ok, warning
from tracebaton_configurator.startup.instrumentations import is_there, modules_of, refusal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.metadata import EntryPoint

    from tracebaton.doctor.situation import Situation

# Libraries that people call other services with, and where their instrumentation has another name: a request made with
# one of them ends the trace.
_CLIENTS = ("aiohttp", "grpcio", "pika", "aio-pika", "aiokafka", "confluent-kafka", "celery", "requests", "urllib3")
_OTHERS = {"aiohttp": "aiohttp-client", "grpcio": "grpc"}
_TELEMETRY_SINCE = (0, 142)


def check(situation: Situation) -> Iterator[Finding]:
    if situation.settings.disabled:
        yield ok("none is loaded, as OTEL_SDK_DISABLED=true")
        return
    disabled = situation.settings.disabled_instrumentations
    loaded: list[str] = []
    absent: list[str] = []
    left_out: list[str] = []
    points: dict[str, EntryPoint] = {}
    for point in entry_points(group="opentelemetry_instrumentor"):
        points.setdefault(point.name, point)
    for point in points.values():
        modules = modules_of(point)
        if disabled & {point.name, "*"}:
            left_out.append(point.name)
        elif (refused := refusal(point)) is not None and refused[1]:
            package = point.dist.metadata["Name"] if point.dist is not None else point.value
            yield warning(
                f"{point.name} is not loaded: {refused[0]}", f"install a version in that range, or a newer {package}"
            )
        elif refused is not None or (modules and not any(map(is_there, modules))):
            absent.append(point.name)
        else:
            loaded.append(f"{point.name} ({found})" if (found := installed(point.name)) else point.name)
    yield ok(f"loaded: {', '.join(loaded)}") if loaded else warning("none is loaded: there will be no spans")
    if absent:
        yield ok(f"not loaded, as the library is not installed: {', '.join(absent)}")
    if left_out:
        yield ok(f"not loaded, as OTEL_PYTHON_DISABLED_INSTRUMENTATIONS says: {', '.join(left_out)}")
    if "fastapi" in left_out:
        yield from _fastapi()
    without = [name for name in _CLIENTS if name not in points and installed(name)]
    if without:
        packages = [f"opentelemetry-instrumentation-{_OTHERS.get(name, name)}" for name in without]
        yield ok(
            f"installed, but without an instrumentation: {', '.join(without)}; a call that the application makes with "
            "one of them has no span, and the trace ends there",
            f"where that matters: pip install {' '.join(packages)}",
        )


def _fastapi() -> Iterator[Finding]:
    """FastAPI traces itself where contrib's middleware is not in its stack and there is a provider."""
    found = installed("fastapi")
    if not found:
        return
    if tuple(int(part) for part in found.split(".")[:2] if part.isdigit()) >= _TELEMETRY_SINCE:
        yield warning(
            f"the fastapi instrumentation is disabled, and FastAPI {found} then makes spans of its own, one SERVER and "
            "three INTERNAL ones a request",
            "to have none: OTEL_TRACES_SAMPLER_ARG='*=0' or OTEL_SDK_DISABLED=true; else do not disable fastapi",
        )
    else:
        yield warning(
            "the fastapi instrumentation is disabled: requests have no SERVER spans", "do not disable fastapi"
        )
