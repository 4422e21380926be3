"""What an operator has changed in this process, and the way back."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from opentelemetry import propagate

from tracebaton_configurator.gate.engine import Engine, RuleRoots
from tracebaton_configurator.sampling.rules import effective_rules
from tracebaton_configurator.sampling.sampler import DecidedSampler, TracebatonSampler
from tracebaton_configurator.sampling.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable


class Control:
    """Switches tracing, and replaces the sampling rules. Used by one thread; requests see one state or the other.

    A change may be for a while only. Until then, or until it is taken back, it stands beside what the environment said.
    """

    def __init__(self, sampler: DecidedSampler, engine: Engine | None, clock: Callable[[], float] = time.time) -> None:
        self._sampler = sampler
        self._engine = engine
        self._clock = clock
        self._others = sampler.others
        self._roots = (engine.roots, engine.follows_parents) if engine is not None else None
        self._since = clock()
        self._off: float | None = None
        self._off_until: float | None = None
        self._rules: str | None = None
        self._rules_until: float | None = None

    def off(self, seconds: float | None = None) -> None:
        """Trace nothing from the next request on, for `seconds` or until `on`."""
        self._off = self._off or self._clock()
        self._off_until = self._end(seconds)
        self._apply_off(off=True)

    def on(self) -> None:
        """Take `off` back."""
        self._off = self._off_until = None
        self._apply_off(off=False)

    def set_rules(self, text: str, seconds: float | None = None) -> None:
        """Sample by these rules, for `seconds` or until `reset_rules`. Raises RuleError and changes nothing."""
        table = Table(effective_rules(text))
        self._sampler.others = TracebatonSampler(table)
        if self._engine is not None:
            self._engine.roots, self._engine.follows_parents = RuleRoots(table), True
        self._rules, self._rules_until, self._since = text, self._end(seconds), self._clock()

    def reset_rules(self) -> None:
        """Sample as the environment says."""
        if self._rules is None:
            return
        self._rules, self._rules_until, self._since = None, None, self._clock()
        self._sampler.others = self._others
        if self._engine is not None and self._roots is not None:
            self._engine.roots, self._engine.follows_parents = self._roots

    def expire(self) -> float | None:
        """Take back what is over; the seconds until the next thing will be, None for never."""
        now = self._clock()
        if self._off_until is not None and now >= self._off_until:
            self.on()
        if self._rules_until is not None and now >= self._rules_until:
            self.reset_rules()
        ends = [end for end in (self._off_until, self._rules_until) if end is not None]
        return max(0.0, min(ends) - now) if ends else None

    def state(self) -> dict[str, Any]:
        """What `adopt` of another process takes: times are seconds since the epoch, None for no change or no end."""
        return {
            "off": self._off is not None,
            "off_until": self._off_until,
            "rules": self._rules,
            "rules_until": self._rules_until,
        }

    def adopt(self, state: dict[str, Any]) -> None:
        """Change this process as another one has been changed. Raises RuleError, KeyError or TypeError."""
        now = self._clock()
        if state["off"]:
            self.off(_remaining(state["off_until"], now))
        if state["rules"] is not None:
            self.set_rules(str(state["rules"]), _remaining(state["rules_until"], now))
        self.expire()

    def describe(self) -> dict[str, Any]:
        """For `tracebaton status`."""
        return {
            "on": self._off is None,
            "off_since": self._off,
            "off_until": self._off_until,
            "sampler": self._sampler.get_description(),
            "sampler_since": self._since,
            "sampler_set_by": "environment" if self._rules is None else "tracebaton set",
            "sampler_until": self._rules_until,
        }

    def _end(self, seconds: float | None) -> float | None:
        return None if seconds is None else self._clock() + seconds

    def _apply_off(self, *, off: bool) -> None:
        self._sampler.off = off
        if self._engine is not None:
            self._engine.off = off
        textmap = propagate.get_global_textmap()
        if hasattr(textmap, "off"):
            textmap.off = off


def _remaining(end: float | None, now: float) -> float | None:
    return None if end is None else max(0.0, float(end) - now)
