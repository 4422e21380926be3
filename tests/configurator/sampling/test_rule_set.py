"""The rules in force: on which counter a request is counted, within bounded memory."""

from __future__ import annotations

import asyncio
import time
import tracemalloc
from itertools import count
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette
from starlette.staticfiles import StaticFiles

from tracebaton_configurator.sampling.rule_set import RuleSet
from tracebaton_configurator.sampling.rules import SERVER, effective_rules, paths_of, rule_for
from tracebaton_configurator.sampling.threshold import NEVER

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
        assert made.span("CLIENT", "XADD") is made.span("CLIENT", "XADD")
        assert made.span("CLIENT", "XADD") is not made.span("CLIENT", "GET")
        assert made.span("CLIENT", "XADD") is not made.span("INTERNAL", "XADD")

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
        assert self.peak(lambda number: made.request("GET", f"/x/{number}")) < 4_000_000

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


def shop(**arguments: Any) -> FastAPI:
    """39 endpoints: in the application, in a router that it includes, in a mounted application."""
    app, router, inner = FastAPI(openapi_url=None, **arguments), APIRouter(), FastAPI(openapi_url=None)

    async def plain() -> None:
        """Nothing to do."""

    for number in range(13):
        app.get(f"/own-{number}/{{item}}")(plain)
        router.post(f"/included-{number}")(plain)
        inner.get(f"/mounted-{number}/{{item}}")(plain)
    app.include_router(router, prefix="/router")
    app.mount("/mount/{tenant}", inner)
    return app


ENDPOINTS = [
    one
    for number in range(13)
    for one in (
        ("GET", f"/own-{number}/7"),
        ("POST", f"/router/included-{number}"),
        ("GET", f"/mount/acme/mounted-{number}/7"),
    )
]


class TestEndpoints:
    """Each has a budget of its own from its first request on."""

    @pytest.mark.parametrize("root_path", ["", "/api"])
    def test_their_first_requests_are_all_recorded(self, root_path: str) -> None:
        made, scope = rule_set(), {"app": shop(), "root_path": root_path}
        found = [made.request(method, f"{root_path}{path}", scope) for method, path in ENDPOINTS]
        assert len({id(counter) for counter, _ in found}) == 39
        assert [learn for _, learn in found] == [False] * 39
        assert [counter.threshold(time.monotonic()) for counter, _ in found] == [0] * 39

    def test_a_literal_is_not_taken_for_the_variable_that_was_asked_for_before(self) -> None:
        made, app = rule_set(), FastAPI(openapi_url=None)
        for path in ("/agents/all", "/agents/{name}", "/export/{name}.csv", "/export/{name}.json"):
            app.get(path)(lambda: None)
        paths = ("/agents/bob", "/agents/all", "/export/a.csv", "/export/a.json")
        assert len({id(made.request("GET", path, {"app": app})[0]) for path in paths}) == 4
        assert made.request("GET", "/export/b.csv", {"app": app})[0] is made.request("GET", "/export/a.csv")[0]

    def test_a_route_that_is_added_later_has_its_own(self) -> None:
        made, app = rule_set(), shop()
        assert made.request("GET", "/later", {"app": app})[1]
        app.get("/later")(lambda: None)
        assert not made.request("GET", "/later", {"app": app})[1]

    def test_a_websocket_and_files_have_theirs(self) -> None:
        made, app = rule_set(), Starlette()
        app.router.add_websocket_route("/ws/{room}", lambda websocket: None)
        app.mount("/static", StaticFiles(directory="/"))
        assert made.request("GET", "/ws/1", {"app": app})[0] is made.request("GET", "/ws/2", {"app": app})[0]
        assert not made.request("GET", "/static/a/b.css", {"app": app})[1]

    def test_scanners_share_one(self) -> None:
        made, scope = rule_set(), {"app": shop()}
        paths = [f"/wp-admin/{number}" for number in range(1000)] + [f"/mount/a/nothing-{n}" for n in range(1000)]
        assert len({id(made.request("GET", path, scope)[0]) for path in paths}) == 1
        assert len(made._paths) == 0

    @pytest.mark.parametrize("app", [None, object(), "routes"])
    def test_what_has_no_routes_is_learnt(self, app: Any) -> None:
        assert rule_set().request("GET", "/a", {"app": app})[1]

    def test_routes_that_raise_are_learnt(self) -> None:
        class Own:
            @property
            def routes(self) -> Any:
                raise RuntimeError("no")

        assert rule_set().request("GET", "/a", {"app": Own()})[1]


class TestRootPath:
    """A rule is for the path with the root path and for that without."""

    @pytest.mark.parametrize(
        ("path", "root_path"),
        [
            ("/health", ""),
            ("/api/health", "/api"),  # a server that puts back what the proxy took off, or one that took off nothing
            ("/health", "/api"),  # taken off, and not put back
            ("/api/health", "/api/"),
        ],
    )
    def test_it_matches(self, path: str, root_path: str) -> None:
        rules = effective_rules("GET /health=0, GET /api/other=0")
        assert rule_for(rules, "GET", path, root_path).text == "GET /health=0"
        assert rule_set("GET /health=0").request("GET", path, {"root_path": root_path})[0].threshold(0) == 1 << 56

    def test_the_first_rule_wins_whichever_way_it_is_written(self) -> None:
        rules = effective_rules("GET /api/a=0, GET /a=1, GET /b=0, GET /api/b=1")
        assert [rule_for(rules, "GET", path, "/api").text for path in ("/a", "/api/a", "/b", "/api/b")] == [
            *["GET /api/a=0"] * 2,
            *["GET /b=0"] * 2,
        ]

    def test_what_only_begins_alike_is_another_path(self) -> None:
        rules = effective_rules("GET /s=0, *=1")
        assert rule_for(rules, "GET", "/apis", "/api").text == "*=1"

    def test_the_root_itself_is_the_root(self) -> None:
        assert paths_of("/api", "/api") == ("/", "/api")

    def test_one_path_below_two_roots_is_two_requests(self) -> None:
        made = rule_set("GET /one/a=0, *=1")
        assert made.request("GET", "/a", {"root_path": "/one"})[0] is not made.request("GET", "/a")[0]


def yes() -> bool:
    return True


class TestSpansOfClients:
    WAITING = ("XREADGROUP", "xread", "BLPOP", "BZPOPMIN", "SUBSCRIBE", "PING", "EVALSHA", "BLMOVE")

    @pytest.mark.parametrize("rules", ["*=1", "CLIENT *=1", "1", "GET /a=1"])
    def test_a_redis_command_that_waits_is_no_root(self, rules: str) -> None:
        made = rule_set(rules)
        assert {made.span("CLIENT", name, is_redis=yes).threshold(0.0) for name in self.WAITING} == {NEVER}
        assert made.span("CLIENT", "SET", is_redis=yes).threshold(0.0) == 0
        assert made.span("INTERNAL", "PING", is_redis=yes).threshold(0.0) == 0

    def test_another_librarys_span_of_that_name_is_as_good_as_any(self) -> None:
        made = rule_set("*=1")
        assert {made.span("CLIENT", name).threshold(0.0) for name in self.WAITING} == {0}

    @pytest.mark.parametrize("rules", ["CLIENT XREADGROUP=1", "CLIENT X*=1, *=0"])
    def test_a_rule_that_names_it_wins(self, rules: str) -> None:
        assert rule_set(rules).span("CLIENT", "XREADGROUP", is_redis=yes).threshold(0.0) == 0

    def test_a_call_over_http_is_no_poll(self) -> None:
        """By default: in full until there are many, as a request is, for each method and host."""
        made = RuleSet(effective_rules(None))
        urls = [f"http://{host}:8000/jobs/{number}?q=1" for host in ("a", "b") for number in range(10)]
        assert {made.span("CLIENT", "GET", url).threshold(0.0) for url in urls} == {0}
        assert made.span("CLIENT", "GET", urls[0]).threshold(0.0) > 0
        assert made.span("CLIENT", "POST", urls[0]).threshold(0.0) == 0
        assert [made.span("CLIENT", "GET").threshold(0.0) > 0 for _ in range(3)] == [False, True, True]

    def test_a_rule_may_name_its_url(self) -> None:
        made = rule_set("CLIENT http://a/jobs/*=0, CLIENT POST=0, *=1")
        assert made.span("CLIENT", "GET", "http://a/jobs/1").threshold(0.0) == NEVER
        assert made.span("CLIENT", "GET", "http://a/else?x=/jobs/").threshold(0.0) == 0
        assert made.span("CLIENT", "POST", "http://a/else").threshold(0.0) == NEVER
