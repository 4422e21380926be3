"""Values that the pipeline judges when it is built, and lists of names, each with the nearest right one."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from tracebaton.doctor.finding import nearest
from tracebaton_configurator.export.exporters import is_otlp
from tracebaton_configurator.settings.upstream import CONVENTIONS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from tracebaton.doctor.situation import Situation

__all__ = ["wrong_values"]


def wrong_values(situation: Situation) -> Iterator[tuple[str, str]]:
    """Pairs of a variable and a sentence: what is wrong, what is accepted, what happens."""
    environ, here = situation.environ, situation.settings
    for signal, names in (
        ("TRACES", here.traces_exporters),
        ("METRICS", here.metrics_exporters),
        ("LOGS", here.logs_exporters),
    ):
        known = {*_names(f"opentelemetry_{signal.lower()}_exporter"), "none"}
        wrong = [name for name in names if name not in known and not (signal == "TRACES" and is_otlp(name))]
        yield from _unknown(f"OTEL_{signal}_EXPORTER", wrong, known, "it is left out")
    if here.id_generator != "random":
        known = _names("opentelemetry_id_generator")
        wrong = [here.id_generator] if here.id_generator not in known else []
        yield from _unknown("OTEL_PYTHON_ID_GENERATOR", wrong, known, "random is used")
    yield from _lists(environ)


def _lists(environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    detectors = _names("opentelemetry_resource_detector") | {"*"}
    yield from _each(environ, "OTEL_EXPERIMENTAL_RESOURCE_DETECTORS", detectors, "it is left out")
    yield from _each(environ, "OTEL_SEMCONV_STABILITY_OPT_IN", set(CONVENTIONS), "it changes nothing")
    disabled = _names("opentelemetry_instrumentor") | {"*"}
    yield from _each(
        environ, "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", disabled, "nothing of that name is loaded anyway"
    )


def _each(environ: Mapping[str, str], name: str, known: set[str], effect: str) -> Iterator[tuple[str, str]]:
    names = [part.strip() for part in environ.get(name, "").split(",") if part.strip()]
    yield from _unknown(name, [one for one in names if one not in known], known, effect)


def _unknown(variable: str, names: Iterable[str], known: set[str], effect: str) -> Iterator[tuple[str, str]]:
    for name in names:
        told = name if len(name) <= 60 else name[:60] + "..."
        yield (
            variable,
            f"{variable}: {told!r} is unknown{nearest(name, known)}: accepted is {', '.join(sorted(known))}; {effect}",
        )


def _names(group: str) -> set[str]:
    return {point.name for point in entry_points(group=group)}
