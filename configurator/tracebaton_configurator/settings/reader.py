"""Reads typed values out of the environment and collects a `Problem` for each one that is wrong."""

from __future__ import annotations

from re import compile as regex
from typing import TYPE_CHECKING, TypeVar

from tracebaton_configurator.settings.overrides import OVERRIDES
from tracebaton_configurator.settings.problem import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from re import Pattern

T = TypeVar("T")
D = TypeVar("D")

_DURATION = regex(r"([0-9]+(?:\.[0-9]+)?)\s*(ms|s|m|h)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
# Longer than any wait that makes sense, and short enough for every clock and select() call that gets it.
_LONGEST = 7 * 86400.0


def parse_duration(text: str) -> float:
    """Seconds from `250ms`, `2s`, `1.5m` or `1h`; a bare number has no unit and is refused (ValueError)."""
    match = _DURATION.fullmatch(text.strip().lower())
    if match is None:
        raise ValueError("is not a duration")
    seconds = float(match[1]) * _SECONDS[match[2]]
    if not 0 < seconds <= _LONGEST:
        raise ValueError("is not between 1ms and 168h")
    return seconds


def parse_threshold(text: str) -> tuple[float, bool]:
    """As `parse_duration`, and whether ` total` stands behind it."""
    duration, _, word = text.strip().lower().rpartition(" ")
    return (parse_duration(duration), True) if word == "total" else (parse_duration(text), False)


class Reader:
    """One pass over the environment. Empty means unset, as the specification says of every `OTEL_*` variable.

    https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/#parsing-empty-value
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.problems: list[Problem] = []
        self.notes: list[tuple[str, str]] = []

    def text(self, *variables: str) -> str | None:
        """The first of the variables that is set, without surrounding white space."""
        for variable in variables:
            value = self._environ.get(variable, "").strip()
            if value:
                return value
        return None

    def raw(self, variable: str) -> str | None:
        """As it stands in the environment."""
        return self._environ.get(variable)

    def names_like(self, pattern: Pattern[str]) -> list[str]:
        """The variables that there are, empty ones too, whose whole name matches."""
        return sorted(name for name in self._environ if pattern.fullmatch(name))

    def first_set(self, *variables: str) -> str:
        """The name of the variable that `text` would take; the last one when none is set."""
        for variable in variables:
            if self._environ.get(variable, "").strip():
                return variable
        return variables[-1]

    def deciding(self, standard: str) -> str:
        """The variable that decides: this project's own override of a standard one, where that is set."""
        return self.first_set(OVERRIDES[standard], standard)

    def wrong(self, variable: str, reason: str, accepted: str, effect: str) -> None:
        value = self._environ.get(variable, "").strip()
        self.problems.append(Problem(variable, value, reason, accepted, effect))

    def note(self, variable: str, sentence: str) -> None:
        """What is no mistake, and yet to be said of a variable."""
        self.notes.append((variable, sentence))

    def parsed(self, variable: str, parse: Callable[[str], T], default: D, accepted: str, shown: str) -> T | D:
        """`parse` the variable; where it raises ValueError, keep the default and remember the problem."""
        value = self.text(variable)
        if value is None:
            return default
        try:
            return parse(value)
        except ValueError as error:
            self.wrong(variable, str(error), accepted, f"using {shown}")
            return default

    def boolean(self, variable: str, *, default: bool) -> bool:
        def parse(value: str) -> bool:
            lowered = value.lower()
            if lowered not in ("true", "false"):
                raise ValueError("is not a boolean")
            return lowered == "true"

        return self.parsed(variable, parse, default, "true or false", str(default).lower())

    def choice(self, variable: str, choices: tuple[str, ...], default: str) -> str:
        def parse(value: str) -> str:
            if value.lower() not in choices:
                raise ValueError("is unknown")
            return value.lower()

        return self.parsed(variable, parse, default, ", ".join(choices), default)

    def duration(self, variable: str, default: float | None, shown: str) -> float | None:
        return self.parsed(variable, parse_duration, default, "a duration such as 250ms, 2s or 1m", shown)

    def threshold(self, variable: str) -> tuple[float | None, bool]:
        """A duration, None for none, and whether it is for a whole stream rather than until its first byte."""
        accepted = "a duration such as 250ms, 2s or 1m, or 2s total"
        return self.parsed(variable, parse_threshold, (None, False), accepted, "no threshold")

    def integer(self, variable: str, default: int, low: int, high: int) -> int:
        def parse(value: str) -> int:
            if not value.isascii() or not value.isdigit():
                raise ValueError("is not a whole number")
            if not low <= int(value) <= high:
                raise ValueError("is out of range")
            return int(value)

        return self.parsed(variable, parse, default, f"a whole number from {low} to {high}", str(default))

    def names(self, variable: str, default: str) -> tuple[str, ...]:
        """A comma-separated list, in order, without duplicates; `none` alone (or nothing) is the empty list."""
        value = self.text(variable) or default
        names = tuple(dict.fromkeys(name.strip() for name in value.split(",") if name.strip()))
        if not names:
            self.wrong(variable, "names nothing", "none, or names", f"using {default}")
            names = (default,)
        lowered = {name.lower() for name in names}
        if "none" in lowered and len(lowered) > 1:
            self.wrong(variable, "combines none with other names", "none, or names without it", "using none")
        return () if "none" in lowered else names
