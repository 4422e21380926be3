"""Each `OTEL_*` variable that is set: known, unknown, overridden, without effect, or wrong."""

from __future__ import annotations

import re
from dataclasses import replace
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from tracebaton.doctor.effects import harm, no_effect
from tracebaton.doctor.finding import Finding, error, names_in, nearest, ok, warning
from tracebaton.doctor.secrets import shown
from tracebaton_configurator.export.exporters import is_otlp
from tracebaton_configurator.settings import Problem
from tracebaton_configurator.settings.known import STANDARD, is_of_instrumentation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tracebaton.doctor.situation import Situation
    from tracebaton_configurator.settings import Settings

__all__ = ["check", "known_variables"]

# What somebody meant for OpenTelemetry or for us, and nobody reads.
_MEANT = re.compile(r"(?i)(?:OTEL|OTLP|OTEl|OPENTELEMETRY|OPEN_TELEMETRY|TRACEBATON)[_-].*|O(?:TLE|LTE|ETL|TE)L?_.*")


def check(situation: Situation) -> Iterator[Finding]:
    environ, here = situation.environ, situation.settings
    known = known_variables()
    names = sorted(name for name in environ if _MEANT.fullmatch(name))
    if not names:
        yield ok("no OTEL_* variable is set: the defaults hold")
    problems = [*here.problems, *_unprovided(here)]
    for problem in problems:
        yield error(str(_with_hint(problem)), f"correct {problem.variable}, or unset it")
    wrong = {problem.variable for problem in problems}
    for name in names:
        if name in wrong:
            continue
        if name not in known and not is_of_instrumentation(name):
            yield _unknown(name, known)
        elif not environ[name].strip():
            yield ok(f"{name} is empty, which is as good as unset")
        elif reason := no_effect(name, environ, here):
            yield warning(f"{shown(name, environ[name])} has no effect: {reason}", f"unset {name}")
        elif reason := harm(name, environ[name]):
            yield warning(f"{shown(name, environ[name])}: {reason}", f"unset {name}")
        else:
            meaning = known.get(name, "for one instrumentation")
            yield ok(f"{shown(name, environ[name])}" + (f" ({meaning})" if meaning else ""))


def known_variables() -> dict[str, str]:
    """Names and short meanings: the table, and what the installed packages list for the launcher's `--help`."""
    known = dict(STANDARD)
    for point in entry_points(group="opentelemetry_environment_variables"):
        try:
            values = vars(point.load()).values()
        except Exception:  # noqa: BLE001, S112 (a stranger's module; the table has what matters)
            continue
        for value in values:
            if isinstance(value, str) and value.startswith("OTEL_") and value.isupper():
                known.setdefault(value, "")
    return known


def _unprovided(here: Settings) -> Iterator[Problem]:
    """Names that are looked up among the installed packages only when tracing begins."""
    for variable, group, names, besides, effect in (
        ("OTEL_TRACES_EXPORTER", "traces_exporter", here.traces_exporters, "none", "it is left out"),
        ("OTEL_METRICS_EXPORTER", "metrics_exporter", here.metrics_exporters, "none", "it is left out"),
        ("OTEL_LOGS_EXPORTER", "logs_exporter", here.logs_exporters, "none", "it is left out"),
        ("OTEL_PYTHON_ID_GENERATOR", "id_generator", (here.id_generator,), "random", "random is used"),
        (
            *("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "instrumentor", sorted(here.disabled_instrumentations), "*"),
            "nothing of that name is loaded anyway",
        ),
    ):
        known = {*names_in(f"opentelemetry_{group}"), besides}
        for name in names:
            if name not in known and not (group == "traces_exporter" and is_otlp(name)):
                yield Problem(variable, name, "is unknown", ", ".join(sorted(known)), effect)


def _with_hint(problem: Problem) -> Problem:
    """With the nearest of the names that are accepted, where one of those given is none of them."""
    accepted = re.split(", | or ", problem.accepted)
    given = (name.strip() for name in problem.value.split(","))
    hints = (nearest(name, accepted) for name in given if name and name not in accepted)
    return replace(problem, reason=problem.reason + next(filter(None, hints), ""))


def _unknown(name: str, known: dict[str, str]) -> Finding:
    """Its value is not printed: who knows what it is."""
    stem = re.sub(r"(?i)^(?:OTEL|OTLP|OPENTELEMETRY|OPEN_TELEMETRY)[_-]", "", name.upper().replace("-", "_"))
    candidates = [f"OTEL_{stem}", f"OTEL_EXPORTER_OTLP_{stem}", f"OTEL_PYTHON_{stem}"]
    exact = next((one for one in candidates if one in known and one != name), None)
    hint = f" (did you mean {exact}?)" if exact else nearest(name, known)
    return warning(f"{name} is unknown{hint}: nothing reads it", "correct the name, or remove it")
