"""The sampling rules in force, with what they have counted so far."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tracebaton_configurator.sampling.rate_counter import RateCounter, RateCounters
from tracebaton_configurator.sampling.routes import Routes, template_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tracebaton_configurator.sampling.rules import Rule

_PATHS_KEPT = 4096
_LONGEST_PATH_KEPT = 256
_NOT_ROUTED = "(route not known yet)"


class RuleSet:
    """Finds the `RateCounter` that a request, or a span without a parent, is counted on.

    Memory is bounded whatever is asked for: the answers for 4096 paths are kept, and all requests whose route is not
    known, such as those for nothing, are counted together.
    """

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.rules = tuple(rules)
        self._routes = Routes()
        self._counters = RateCounters()
        self._paths: dict[tuple[str, str], tuple[RateCounter, bool]] = {}

    def request(self, method: str, path: str) -> tuple[RateCounter, bool]:
        """The counter of a request, and whether `learn` should be told its route afterwards."""
        key = (method, path)
        found = self._paths.get(key)
        if found is not None:
            return found
        rule = next(rule for rule in self.rules if rule.matches_request(method, path))
        if rule.rate.per_second is None:
            found = self._counters.get(rule, ""), False
        else:
            template = self._routes.find(method, path)
            if template is None:
                return self._counters.get(rule, _NOT_ROUTED), True
            found = self._counters.get(rule, f"{method} {template}"), False
        if len(path) <= _LONGEST_PATH_KEPT:
            if len(self._paths) >= _PATHS_KEPT:
                self._paths.clear()
            self._paths[key] = found
        return found

    def learn(self, method: str, path: str, scope: dict[str, Any]) -> None:
        """Learn the route of a request that has been routed by now."""
        template = template_of(scope, path)
        if template is not None:
            self._routes.add(method, template)

    def span(self, kind: str, name: str) -> RateCounter:
        """The counter of a span that has no parent and is no request: `kind` is `CLIENT`, `INTERNAL` and so on."""
        rule = next(rule for rule in self.rules if rule.matches_span(kind, name))
        return self._counters.get(rule, f"{kind} {name}")
