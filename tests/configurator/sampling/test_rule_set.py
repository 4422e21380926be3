"""The rules in force: on which counter a request is counted, within bounded memory."""

from __future__ import annotations

import asyncio
import time
import tracemalloc
from itertools import count
from typing import Any

import pytest
from fastapi import FastAPI

from tracebaton_configurator.sampling.rule_set import RuleSet
from tracebaton_configurator.sampling.rules import SERVER, effective_rules

COUNTED = "*=10/s+10%"


def rule_set(rules: str = COUNTED) -> RuleSet:
    return RuleSet(effective_rules(rules))


def routed(**parameters: str) -> dict[str, Any]:
    return {"endpoint": object(), "path_params": parameters}


class TestCounters:
    def test_a_route_has_one_for_all_its_paths(self) -> None:
        made = rule_set()
        first, unknown = made.request("POST", "/agents/a/heartbeat")
        assert unknown
        made.learn("POST", "/agents/a/heartbeat", routed(name="a"))
        one, known = made.request("POST", "/agents/a/heartbeat")
        other, _ = made.request("POST", "/agents/b/heartbeat")
        assert not known
        assert one is other
        assert one is not first

    def test_routes_and_methods_have_their_own(self) -> None:
        made = rule_set()
        for method, path in (("GET", "/a"), ("POST", "/a"), ("GET", "/b")):
            made.learn(method, path, routed())
        found = [made.request(method, path)[0] for method, path in (("GET", "/a"), ("POST", "/a"), ("GET", "/b"))]
        assert len(set(map(id, found))) == 3

    def test_rules_have_their_own(self) -> None:
        made = rule_set("GET /a/*=1/s, *=2/s")
        made.learn("GET", "/{x}/b", routed(x="{x}"))
        assert made.request("GET", "/a/b")[0] is not made.request("GET", "/c/b")[0]

    def test_what_has_no_route_shares_one(self) -> None:
        """A flood of requests for nothing is one counter: it is not recorded in full."""
        made = rule_set()
        found = {id(made.request("GET", f"/wp-admin/{number}")[0]) for number in range(1000)}
        assert len(found) == 1

    def test_what_has_a_constant_rate_is_not_asked_to_be_learnt(self) -> None:
        made = rule_set("*=10%")
        assert made.request("GET", "/a") == made.request("GET", "/a")
        assert made.request("GET", "/a")[1] is False

    def test_spans_without_a_parent_are_counted_by_kind_and_name(self) -> None:
        made = rule_set("CLIENT *=1/s, *=10/s")
        assert made.span("CLIENT", "XREAD") is made.span("CLIENT", "XREAD")
        assert made.span("CLIENT", "XREAD") is not made.span("CLIENT", "GET")
        assert made.span("CLIENT", "XREAD") is not made.span("INTERNAL", "XREAD")

    def test_the_default_rules_follow(self) -> None:
        made = rule_set("POST /chat=1")
        assert made.request("GET", "/health")[0].threshold(0.0) == 1 << 56


class TestMemory:
    """Bounded whatever is asked for."""

    COUNT = 200_000

    def peak(self, ask: Any) -> int:
        """Bytes that `ask`, called with numbers, leaves behind."""
        tracemalloc.start()
        try:
            for number in range(self.COUNT):
                ask(number)
            return tracemalloc.get_traced_memory()[0]
        finally:
            tracemalloc.stop()

    @pytest.mark.parametrize("rules", [COUNTED, "*=10%", "GET /x/*=1/s, *=5%"])
    def test_paths_without_number(self, rules: str) -> None:
        made = rule_set(rules)
        began = time.monotonic()
        assert self.peak(lambda number: made.request("GET", f"/x/{number}")) < 4_000_000
        assert time.monotonic() - began < 30

    def test_paths_of_one_route(self) -> None:
        made = rule_set()
        made.learn("GET", "/agents/a", routed(name="a"))
        assert self.peak(lambda number: made.request("GET", f"/agents/{number}")) < 4_000_000
        assert not made.request("GET", "/agents/last")[1]

    def test_methods_without_number(self) -> None:
        made = rule_set()
        assert self.peak(lambda number: made.request(f"M{number}", "/x")) < 4_000_000

    def test_routes_without_number(self) -> None:
        made = rule_set()

        def ask(number: int) -> None:
            path = f"/route-{number}"
            if made.request("GET", path)[1]:
                made.learn("GET", path, routed())

        assert self.peak(ask) < 6_000_000

    def test_span_names_without_number(self) -> None:
        made = rule_set("CLIENT *=1/s")
        assert self.peak(lambda number: made.span("CLIENT", f"SELECT {number}")) < 4_000_000

    def test_long_paths(self) -> None:
        made = rule_set()
        made.learn("GET", "/files/a", routed(name="a"))
        tracemalloc.start()
        try:
            for number in range(5000):
                made.request("GET", f"/files/{number:060000}")
            assert tracemalloc.get_traced_memory()[0] < 4_000_000
        finally:
            tracemalloc.stop()


class TestFloods:
    """What a stranger sends does not keep the application's own routes from being learnt."""

    def flood(self, requests: Any) -> RuleSet:
        """A rule_set that has seen these requests to an application with a mount, a route and typed parameters."""
        app, inner = FastAPI(openapi_url=None), FastAPI(openapi_url=None)

        async def plain() -> None:
            """Nothing to do."""

        app.get("/agents/{name}")(plain)
        app.get("/numbers/{number:int}")(plain)
        inner.get("/items/{item}")(plain)
        app.mount("/inner", inner)
        made = rule_set()

        async def run() -> None:
            for method, path in requests:
                if not made.request(method, path)[1]:
                    continue
                scope = {
                    "type": "http",
                    "method": method,
                    "path": path,
                    "root_path": "",
                    "headers": [],
                    "query_string": b"",
                }
                await app(scope, receive, send)
                made.learn(method, path, scope)

        async def receive() -> Any:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            """Nobody listens."""

        asyncio.run(run())
        return made

    @pytest.mark.parametrize(
        "request_of",
        [
            lambda number: ("GET", f"/nothing/{number}"),
            pytest.param(
                lambda number: ("GET", f"/inner/nothing-{number}"),
            ),
            pytest.param(
                lambda number: ("GET", f"/numbers/{number:08}"),
            ),
            pytest.param(
                lambda number: (f"M{number}", "/agents/bob"),
            ),
        ],
        ids=["nothing", "below a mount", "numbers with zeros", "methods"],
    )
    def test_a_flood_is_counted_together(self, request_of: Any) -> None:
        made = self.flood(request_of(number) for number in range(300))
        found = {id(made.request(*request_of(number))[0]) for number in range(300)}
        assert len(found) == 1

    def test_the_routes_are_still_learnt_afterwards(self) -> None:
        numbers = count()
        made = self.flood(
            [("GET", f"/nothing/{next(numbers)}") for _ in range(2500)]
            + [("GET", "/agents/a"), ("GET", "/inner/items/1")]
        )
        assert made.request("GET", "/agents/b")[1] is False
        assert made.request("GET", "/inner/items/2")[1] is False


def test_server_is_a_kind() -> None:
    """The rules of requests are those that `matches_request` is asked for."""
    assert {rule.kind for rule in rule_set("GET /a=1").rules} == {SERVER, "CLIENT", None}
