"""Values that the settings do not judge, because OpenTelemetry itself reads them, or the pipeline when it is built."""

from __future__ import annotations

import re
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from tracebaton.doctor.finding import nearest
from tracebaton.doctor.secrets import shown
from tracebaton_configurator.export.exporters import is_otlp

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from tracebaton.doctor.situation import Situation

__all__ = ["wrong_values"]

_CONVENTIONS = ("http", "http/dup", "database", "database/dup", "gen_ai_latest_experimental")


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
    yield from _limits(environ)
    yield from _lists(environ)
    yield from _attributes(environ)
    yield from _excluded_urls(environ)


def _limits(environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """opentelemetry/sdk/trace/__init__.py, `SpanLimits`: it raises."""
    for name, value in environ.items():
        given = value.strip()
        if not re.fullmatch(r"OTEL_(?!LOGRECORD_)[A-Z_]+_LIMIT", name) or given.lower() in ("", "none", "unset"):
            continue
        if not re.fullmatch(r"\+?[0-9]+", given):
            yield (
                name,
                f"{shown(name, value)} is not a limit: accepted is a whole number from 0; tracing does not start",
            )


def _lists(environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    detectors = _names("opentelemetry_resource_detector") | {"*"}
    yield from _each(environ, "OTEL_EXPERIMENTAL_RESOURCE_DETECTORS", detectors, "it is left out")
    yield from _each(environ, "OTEL_SEMCONV_STABILITY_OPT_IN", set(_CONVENTIONS), "it changes nothing")
    disabled = _names("opentelemetry_instrumentor") | {"*"}
    yield from _each(
        environ, "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", disabled, "nothing of that name is loaded anyway"
    )


def _attributes(environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    name = "OTEL_RESOURCE_ATTRIBUTES"
    for number, pair in enumerate(environ.get(name, "").split(","), 1):
        key, separator, _ = pair.partition("=")
        if pair.strip() and not (separator and key.strip()):
            yield name, f"{name} is wrong in part {number}: accepted is key=value,key=value; that part is left out"


def _excluded_urls(environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name, value in environ.items():
        if name.startswith("OTEL_PYTHON_") and name.endswith("EXCLUDED_URLS"):
            try:
                re.compile("|".join(part.strip() for part in value.split(",")))
            except re.error as problem:
                sentence = (
                    f"{shown(name, value)} is not a list of regular expressions ({problem}): the instrumentation that "
                    "reads it fails and is skipped; write health, not *health"
                )
                yield name, sentence


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
