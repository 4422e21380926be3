"""Which instrumentations would be put in place, which not, and why."""

from __future__ import annotations

from contextlib import redirect_stdout
from importlib.metadata import entry_points
from io import StringIO
from typing import TYPE_CHECKING

from tracebaton.doctor.finding import Finding, installed, ok, warning
from tracebaton_configurator.patching.catalogue import CATALOGUE
from tracebaton_configurator.startup.import_paths import leave_out_httpx_client_on_import
from tracebaton_configurator.startup.instrumentations import is_there, lacks, modules_of, refusal
from tracebaton_configurator.startup.untraced import CLIENTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from importlib.metadata import EntryPoint

    from tracebaton.doctor.situation import Situation

_TELEMETRY_SINCE = (0, 142)


def check(situation: Situation) -> Iterator[Finding]:
    if situation.settings.disabled:
        yield ok("none is loaded, as OTEL_SDK_DISABLED=true")
        return
    disabled = situation.settings.disabled_instrumentations
    leave_out_httpx_client_on_import()  # as in the application
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
        elif problem := _cannot_be_loaded(point, modules):
            yield problem
        else:
            loaded.append(f"{point.name} ({found})" if (found := installed(point.name)) else point.name)
    yield ok(f"loaded: {', '.join(loaded)}") if loaded else warning("none is loaded: there will be no spans")
    if absent:
        yield ok(f"not loaded, as the library is not installed: {', '.join(absent)}")
    if left_out:
        yield ok(f"not loaded, as OTEL_PYTHON_DISABLED_INSTRUMENTATIONS says: {', '.join(left_out)}")
    if "fastapi" in left_out:
        yield from _fastapi()
    patched = CATALOGUE.keys() - situation.settings.disabled_patches
    without = [
        one
        for one in CLIENTS
        if one.instrumentation not in points and one.patch not in patched and installed(one.distribution)
    ]
    if without:
        yield ok(
            f"installed, but without an instrumentation: {', '.join(one.distribution for one in without)}; a call that "
            "the application makes with one of them has no span, and the trace ends there",
            f"where that matters: pip install {' '.join(one.package for one in without)}",
        )


def _cannot_be_loaded(point: EntryPoint, modules: Sequence[str]) -> Finding | None:
    """As the application would, which has imported the library by then."""
    try:
        with redirect_stdout(StringIO()):
            point.load()
    except ModuleNotFoundError as problem:
        reason = lacks(problem, modules) or f"needs {problem.name}, which is not installed"
        missing = (problem.name or "").partition(".")[0]
        remedy = f"pip install {missing}" if reason.endswith("not installed") else ""
    except Exception as problem:  # noqa: BLE001 (what a stranger's code raises is not ours to predict)
        reason, remedy = f"fails: {type(problem).__name__}: {problem}", ""
    else:
        return None
    disable = f"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS={point.name}, if it is not needed"
    return warning(f"{point.name} is not loaded: it {reason}", f"{remedy}, or {disable}" if remedy else disable)


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
