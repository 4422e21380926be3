"""The sampling rules in force, with what they have counted so far."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from tracebaton_configurator.sampling.app_routes import templates
from tracebaton_configurator.sampling.rate_counter import RateCounter, RateCounters
from tracebaton_configurator.sampling.routes import METHODS, Routes, template_of
from tracebaton_configurator.sampling.rules import Rate, Rule, may_be_left_out, paths_of, rule_for

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping, Sequence

_PATHS_KEPT = 4096
_LONGEST_PATH_KEPT = 256
_NOT_ROUTED = "(route not known yet)"
_WAITING = Rule("(a Redis command that waits)=0", "CLIENT", None, "*", Rate(None, 0.0))


class RuleSet:
    """Finds the `RateCounter` that a request, or a span without a parent, is counted on.

    Each endpoint of an application has its own from its first request on. Memory is bounded whatever is asked for: the
    answers for 4096 paths are kept, and all requests that no route is for are counted together.
    """

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.rules = tuple(rules)
        self._routes = Routes()
        self._counters = RateCounters()
        self._paths: dict[tuple[str, ...], tuple[RateCounter, bool]] = {}
        self._applications: WeakKeyDictionary[Any, int] = WeakKeyDictionary()

    def request(
        self, method: str, path: str, scope: MutableMapping[str, Any] | None = None
    ) -> tuple[RateCounter, bool]:
        """The counter of a request, and whether `learn` should be told its route afterwards.

        `scope` is that of ASGI, where there is one: it has the root path, and the application with its routes.
        """
        root_path = scope.get("root_path") if scope is not None else None
        key = (method, path, root_path) if root_path else (method, path)
        found = self._paths.get(key)
        if found is not None:
            return found
        rule = rule_for(self.rules, method, path, root_path or "")
        if rule.rate.per_second is None:
            found = self._counters.get(rule, ""), False
        else:
            if scope is not None:
                self._know(scope.get("app"))
            candidates = (self._routes.find(method, one) for one in paths_of(path, root_path or ""))
            template = next(filter(None, candidates), None)
            if template is None:
                return self._counters.get(rule, _NOT_ROUTED), True
            found = self._counters.get(rule, f"{method} {template}"), False
        if len(path) <= _LONGEST_PATH_KEPT:
            if len(self._paths) >= _PATHS_KEPT:
                self._paths.clear()
            self._paths[key] = found
        return found

    def _know(self, app: Any) -> None:
        """Take over the routes of an application, once, and anew where some have been added since."""
        with suppress(Exception):  # one of another framework, or routes of a class of its own: `learn` is told
            count = len(app.routes)
            if self._applications.get(app) == count:
                return
            self._applications[app] = count
            for methods, template in templates(app):
                for method in METHODS if methods is None else methods:
                    self._routes.add(method, template)

    def learn(self, method: str, path: str, scope: dict[str, Any]) -> None:
        """Learn the route of a request that has been routed by now."""
        template = template_of(scope, path)
        if template is not None:
            self._routes.add(method, template)

    def call(self, path: str) -> RateCounter:
        """The counter of a SERVER span that is no HTTP request; `path` is its name behind a slash."""
        return self._counters.get(rule_for(self.rules, "", path, ""), f"SERVER {path}")

    def span(self, kind: str, name: str, url: str = "", is_redis: Callable[[], bool] = lambda: False) -> RateCounter:
        """The counter of a span that has no parent and is no request: `kind` is `CLIENT`, `INTERNAL` and so on.

        `url` is that of a call over HTTP, whose name is but its method: these are counted for each host. `is_redis` is
        asked where the name is that of a Redis command that waits.
        """
        url = url.partition("?")[0]
        rule = next(rule for rule in self.rules if rule.matches_span(kind, name, url))
        if may_be_left_out(rule, kind, name) and is_redis():
            rule = _WAITING
        return self._counters.get(rule, f"{kind} {name} {'/'.join(url.split('/', 3)[:3])}")
