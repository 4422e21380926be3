"""What an operator has changed in this process, and the way back."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple

from opentelemetry import propagate

from tracebaton_configurator.sampling.root_sampler import RuleRootSampler
from tracebaton_configurator.sampling.rule_set import RuleSet
from tracebaton_configurator.sampling.rules import effective_rules

if TYPE_CHECKING:
    from collections.abc import Callable

    from tracebaton_configurator.asgi.fast_path import FastPath
    from tracebaton_configurator.sampling.sampler import DecisionIdGenerator, TracebatonSampler


class _Term(NamedTuple):
    """From when, in seconds since the epoch, until when, a moment of the monotonic clock; None: until taken back."""

    since: float
    end: float | None


class _Rules(NamedTuple):
    """Rules in the place of what the variables say."""

    text: str
    root_sampler: RuleRootSampler


class Control:
    """Switches tracing, and replaces the sampling rules. Used by one thread; requests see one state or the other.

    A change may be for a while only: `expire` takes it back. `clock` is monotonic, for nobody wants an hour more of
    silence because a clock was set; `wall_clock` is for those who read.
    """

    def __init__(
        self,
        sampler: TracebatonSampler,
        ids: DecisionIdGenerator,
        fast_path: FastPath | None,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._sampler = sampler
        self._ids = ids
        self._fast_path = fast_path
        self._clock = clock
        self._wall_clock = wall_clock
        self._own_sampling = sampler.sampling
        self._own_since = wall_clock()
        self._off: _Term | None = None
        self._rules: tuple[_Rules, _Term] | None = None

    def off(self, seconds: float | None = None) -> None:
        """Trace nothing from the next request on, for `seconds` or until `on`."""
        self._switch_off(self._wall_clock() if self._off is None else self._off.since, seconds)

    def on(self) -> None:
        """Take `off` back."""
        self._off = None
        self.apply()

    def set_rules(self, text: str, seconds: float | None = None) -> None:
        """Sample by these rules, for `seconds` or until `reset_rules`. Raises RuleError and changes nothing."""
        self._replace_rules(text, self._wall_clock(), seconds)

    def reset_rules(self) -> None:
        """Sample as the variables say."""
        if self._rules is not None:
            self._rules, self._own_since = None, self._wall_clock()
            self.apply()

    def expire(self) -> list[str]:
        """Take back what is over; returns what is to be said of it."""
        said = []
        if self._off is not None and self._is_over(self._off):
            self.on()
            said.append("Tracing is on again: the time for which an operator had switched it off is over.")
        if self._rules is not None and self._is_over(self._rules[1]):
            self.reset_rules()
            said.append("Sampling goes by the variables again: the time of an operator's rules is over.")
        return said

    def seconds_left(self) -> float | None:
        """Until `expire` has something to do, never 0; None for never."""
        terms = [self._off, self._rules[1] if self._rules is not None else None]
        ends = [term.end for term in terms if term is not None and term.end is not None]
        return max(0.001, min(ends) - self._clock()) if ends else None

    def apply(self) -> None:
        """Let this process be as this object says; once more in a forked child, whose parent may have been at it."""
        rules = self._rules[0] if self._rules is not None else None
        self._sampler.sampling = self._own_sampling if rules is None else (rules.root_sampler, True)
        off = self._off is not None
        self._sampler.off = off
        self._ids.off = off
        if self._fast_path is not None:
            self._fast_path.off = off
        textmap = propagate.get_global_textmap()
        if hasattr(textmap, "off"):  # the application may have installed its own since
            textmap.off = off

    def state(self) -> dict[str, Any]:
        """What `take_over` of another process takes, in JSON's types: since when, and for how many seconds more."""
        off, rules = self._off, self._rules
        return {
            "off": None if off is None else self._handed_on(off),
            "rules": None if rules is None else {"text": rules[0].text, **self._handed_on(rules[1])},
        }

    def take_over(self, state: dict[str, Any]) -> list[str]:
        """Change this process as another one has been changed; returns what is to be said of it.

        Raises RuleError, KeyError, TypeError or ValueError for a state that is none.
        """
        off, rules = state["off"], state["rules"]
        said = []
        if rules is not None:
            self._replace_rules(str(rules["text"]), float(rules["since"]), _number(rules["left"]))
            said.append("The sampling rules are those that an operator gave the parent process.")
        if off is not None:
            self._switch_off(float(off["since"]), _number(off["left"]))
            said.append("Tracing is switched off, as an operator told the parent process.")
        return said

    def describe(self) -> dict[str, Any]:
        """For `tracebaton status`; times are seconds since the epoch."""
        off, rules = self._off, self._rules
        return {
            "on": off is None,
            "off_since": None if off is None else off.since,
            "off_until": None if off is None else self._end_of(off),
            "sampler": self._sampler.get_description(),
            "sampler_since": self._own_since if rules is None else rules[1].since,
            "sampler_set_by": "environment" if rules is None else "tracebaton set",
            "sampler_until": None if rules is None else self._end_of(rules[1]),
        }

    def _switch_off(self, since: float, seconds: float | None) -> None:
        self._off = _Term(since, self._end_in(seconds))
        self.apply()

    def _replace_rules(self, text: str, since: float, seconds: float | None) -> None:
        rules = _Rules(text, RuleRootSampler(RuleSet(effective_rules(text))))
        self._rules = rules, _Term(since, self._end_in(seconds))
        self.apply()

    def _end_in(self, seconds: float | None) -> float | None:
        return None if seconds is None else self._clock() + seconds

    def _is_over(self, term: _Term) -> bool:
        return term.end is not None and self._clock() >= term.end

    def _handed_on(self, term: _Term) -> dict[str, float | None]:
        return {"since": term.since, "left": None if term.end is None else term.end - self._clock()}

    def _end_of(self, term: _Term) -> float | None:
        return None if term.end is None else self._wall_clock() + term.end - self._clock()


def _number(value: Any) -> float | None:
    return None if value is None else float(value)
