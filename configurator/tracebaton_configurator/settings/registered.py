"""Names of what installed packages provide, in variables that OpenTelemetry looks up by itself.

A name that nothing provides ends `get_tracer_provider()` with StopIteration, wherever that is called, or is logged with
a traceback by each process. The search among the installed packages is made only where such a variable is set.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tracebaton_configurator.settings.reader import Reader

    Changes = dict[str, str | None]

# Variable, entry point group, and what happens without it.
_SINGLE = (
    ("OTEL_PYTHON_TRACER_PROVIDER", "opentelemetry_tracer_provider", "using tracebaton's provider"),
    ("OTEL_PYTHON_METER_PROVIDER", "opentelemetry_meter_provider", "it is ignored"),
    ("OTEL_PYTHON_LOGGER_PROVIDER", "opentelemetry_logger_provider", "it is ignored"),
    ("OTEL_PYTHON_CONTEXT", "opentelemetry_context", "using contextvars_context"),
)
_DETECTORS = "OTEL_EXPERIMENTAL_RESOURCE_DETECTORS"


def judge_names(reader: Reader, changes: Changes) -> None:
    """Put what is to stand in the environment into `changes`."""
    for variable, group, effect in _SINGLE:
        name = reader.text(variable)
        if name is not None and name not in (known := _names(group)):
            reader.wrong(variable, "is not provided by any installed package", ", ".join(sorted(known)), effect)
            changes[variable] = None
    detectors = [name.strip() for name in (reader.text(_DETECTORS) or "").split(",") if name.strip()]
    if detectors:
        known = _names("opentelemetry_resource_detector") | {"*"}
        unknown = [name for name in detectors if name not in known]
        if unknown:
            reason = f"has {', '.join(map(repr, unknown))}, which no installed package provides"
            effect = "it is left out" if len(unknown) == 1 else "they are left out"
            reader.wrong(_DETECTORS, reason, ", ".join(sorted(known)), effect)
            changes[_DETECTORS] = ",".join(name for name in detectors if name in known) or None


def _names(group: str) -> set[str]:
    from importlib.metadata import entry_points

    return {point.name for point in entry_points(group=group)}
