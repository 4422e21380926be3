"""Each `OTEL_*` variable that is set: known, unknown, overridden, without effect, or wrong."""

from __future__ import annotations

import re
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from tracebaton.doctor.effects import harm, no_effect, overridden
from tracebaton.doctor.finding import Finding, error, nearest, ok, warning
from tracebaton.doctor.secrets import shown
from tracebaton.doctor.values import wrong_values
from tracebaton_configurator.settings.known import STANDARD, is_of_instrumentation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tracebaton.doctor.situation import Situation

__all__ = ["check", "known_variables"]

# What somebody meant for OpenTelemetry or for us, and nobody reads.
_MEANT = re.compile(r"(?i)(?:OTEL|OTLP|OTEl|OPENTELEMETRY|OPEN_TELEMETRY|TRACEBATON)[_-].*|O(?:TLE|LTE|ETL|TE)L?_.*")


def check(situation: Situation) -> Iterator[Finding]:
    environ, here = situation.environ, situation.settings
    known = known_variables()
    names = sorted(name for name in environ if _MEANT.fullmatch(name))
    if not names:
        yield ok("no OTEL_* variable is set: the defaults hold")
        return
    named = list(wrong_values(situation))
    told = {variable for variable, _ in named}  # with the nearest right name, where the settings have none
    problems = [*((one.variable, str(one)) for one in here.problems if one.variable not in told), *named]
    for variable, sentence in problems:
        yield error(sentence, f"correct {variable}, or unset it")
    wrong = {variable for variable, _ in problems}
    for name in names:
        if name in wrong:
            continue
        if name not in known and not is_of_instrumentation(name):
            yield _unknown(name, known)
            continue
        if not environ[name].strip():
            yield ok(f"{name} is empty, which is as good as unset")
            continue
        reason = overridden(name, environ) or no_effect(name, environ, here)
        if reason:
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
            module = point.load()
        except Exception:  # noqa: BLE001, S112 (a stranger's module; the table has what matters)
            continue
        for value in vars(module).values():
            if isinstance(value, str) and value.startswith("OTEL_") and value.isupper():
                known.setdefault(value, "")
    return known


def _unknown(name: str, known: dict[str, str]) -> Finding:
    """Its value is not printed: who knows what it is."""
    stem = re.sub(r"(?i)^(?:OTEL|OTLP|OPENTELEMETRY|OPEN_TELEMETRY)[_-]", "", name.upper().replace("-", "_"))
    candidates = [f"OTEL_{stem}", f"OTEL_EXPORTER_OTLP_{stem}", f"OTEL_PYTHON_{stem}"]
    exact = next((one for one in candidates if one in known and one != name), None)
    hint = f" (did you mean {exact}?)" if exact else nearest(name, known)
    return warning(f"{name} is unknown{hint}: nothing reads it", "correct the name, or remove it")
