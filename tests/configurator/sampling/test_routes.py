"""Which route a path belongs to, learnt from requests that the framework has routed."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from hypothesis import given
from hypothesis import strategies as some
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from tracebaton_configurator.sampling.routes import Routes, template_of

LITERAL = some.text("abcdefghijklmnopqrstuvwxyz0123456789-._~%", min_size=1, max_size=8)
VALUE = some.text(min_size=1, max_size=12).filter(lambda text: "/" not in text)


@some.composite
def template_and_path(draw: some.DrawFn) -> tuple[str, str]:
    """A template of segments, some of them variables, the last perhaps a `{x:path}`; and a path that it fits."""
    template, path = "", ""
    for number in range(draw(some.integers(0, 5))):
        if draw(some.booleans()):
            template += f"/{{v{number}}}"
            path += f"/{draw(VALUE)}"
        else:
            literal = draw(LITERAL)
            template, path = f"{template}/{literal}", f"{path}/{literal}"
    if draw(some.booleans()):
        return template + "/{rest:path}", f"{path}/{'/'.join(draw(some.lists(VALUE, min_size=1, max_size=4)))}"
    return template or "/", path or "/"


class TestRoutes:
    @given(template_and_path())
    def test_what_was_learnt_is_found(self, pair: tuple[str, str]) -> None:
        template, path = pair
        routes = Routes()
        assert routes.add("GET", template)
        assert routes.find("GET", path) == template
        assert routes.find("GET", template) == template
        assert routes.find("POST", path) is None

    @given(some.lists(template_and_path(), max_size=20), some.text(max_size=40))
    def test_whatever_is_asked_for_an_answer_is_a_template_that_fits(
        self, pairs: list[tuple[str, str]], path: str
    ) -> None:
        routes = Routes()
        for template, _ in pairs:
            routes.add("GET", template)
        for asked in (*(one for _, one in pairs), path):
            found = routes.find("GET", asked)
            assert found is None or fits(found, asked)
        for _, known in pairs:
            assert routes.find("GET", known) is not None

    def test_a_literal_is_found_before_a_variable(self) -> None:
        routes = Routes()
        for template in ("/agents/{name}", "/agents/all", "/agents/{name}/chat", "/{rest:path}"):
            routes.add("GET", template)
        assert routes.find("GET", "/agents/all") == "/agents/all"
        assert routes.find("GET", "/agents/bob") == "/agents/{name}"
        assert routes.find("GET", "/agents/all/chat") == "/agents/{name}/chat", "one that does not lead on is given up"
        assert routes.find("GET", "/agents/all/else") == "/{rest:path}"

    def test_a_trailing_slash_is_another_path(self) -> None:
        routes = Routes()
        routes.add("GET", "/agents")
        assert routes.find("GET", "/agents/") is None

    def test_there_is_a_limit(self) -> None:
        routes = Routes()
        added = [routes.add("GET", f"/{number}") for number in range(3000)]
        assert sum(added) == 2000
        assert routes.find("GET", "/1999") == "/1999"
        assert routes.find("GET", "/2000") is None

    def test_a_template_counts_once_for_all_methods(self) -> None:
        routes = Routes()
        added = [routes.add(method, f"/{number}") for number in range(2000) for method in ("GET", "PUT", "HEAD")]
        assert all(added)
        assert not routes.add("GET", "/2000")

    def test_a_template_counts_once(self) -> None:
        routes = Routes()
        assert all(routes.add("GET", "/agents/{name}") for _ in range(5000))

    def test_a_template_for_the_rest_counts_once(self) -> None:
        routes = Routes()
        assert all(routes.add("GET", "/files/{rest:path}") for _ in range(5000))

    def test_many_slashes_are_no_burden(self) -> None:
        routes = Routes()
        for template in ("/{a}/{b}/{c}/{d}", "/a/{b}/c/{d}", "/{a}/b/{c}/d", "/{rest:path}"):
            routes.add("GET", template)
        assert routes.find("GET", "/" * 100_000) == "/{rest:path}"


def fits(template: str, path: str) -> bool:
    wanted, given_ = template.split("/"), path.split("/")
    if wanted[-1].endswith(":path}"):
        wanted, given_ = wanted[:-1], given_[: len(wanted) - 1] if len(given_) >= len(wanted) else ["?", *given_]
    return len(wanted) == len(given_) and all(
        one == other or one.startswith("{") for one, other in zip(wanted, given_, strict=True)
    )


async def routed(app: Any, method: str, path: str) -> dict[str, Any]:
    """The scope of a request once the framework is through with it."""
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [],
        "client": ("192.0.2.7", 5),
        "server": ("192.0.2.1", 80),
    }

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        """Nobody listens."""

    await app(scope, receive, send)
    return scope


def learnt(app: Any, path: str, method: str = "GET") -> str | None:
    return template_of(asyncio.run(routed(app, method, path)), path)


async def counter(request: Any) -> PlainTextResponse:
    return PlainTextResponse("x")


def fastapi_app() -> FastAPI:
    app, inner = FastAPI(openapi_url=None), FastAPI(openapi_url=None)

    async def plain() -> None:
        """Nothing to do."""

    for path in (
        "/",
        "/health",
        "/agents/{name}",
        "/agents/{name}/chat",
        "/agents/{name}/turns/{turn}",
        "/files/{rest:path}",
        "/versions/{rest:path}/meta",
        "/numbers/{number:int}",
        "/prices/{price:float}",
        "/objects/{key:uuid}",
    ):
        app.get(path)(plain)
    inner.get("/items/{item}")(plain)
    router = APIRouter(prefix="/routed")
    router.get("/things/{thing}")(plain)
    app.include_router(router, prefix="/v1/{region}")
    inner.include_router(router)
    app.mount("/inner/{tenant}", inner)
    deep = Mount("/deep", routes=[Route("/{x}", counter)])
    app.mount("/site", Starlette(routes=[Route("/pages/{page}", counter), deep]))
    app.mount("/static", PlainTextResponse("a file"))
    return app


UUID = "7B2A6F3E-9C1D-4E5F-8A7B-0123456789AB"


class TestTemplateOf:
    @pytest.mark.parametrize(
        ("path", "template"),
        [
            ("/", "/"),
            ("/health", "/health"),
            ("/agents/bob", "/agents/{name}"),
            ("/agents/agents", "/agents/{name}"),
            ("/agents/bob/chat", "/agents/{name}/chat"),
            ("/agents/bob/turns/7", "/agents/{name}/turns/{turn}"),
            ("/files/a/b.txt", "/files/{rest:path}"),
            ("/numbers/7", "/numbers/{number}"),
            (f"/objects/{UUID.lower()}", "/objects/{key}"),
            ("/inner/acme/items/3", "/inner/{tenant}/items/{item}"),
            ("/v1/north/routed/things/3", "/v1/{region}/routed/things/{thing}"),
            ("/inner/acme/routed/things/3", "/inner/{tenant}/routed/things/{thing}"),
            ("/site/pages/a", "/site/pages/{page}"),
            ("/site/deep/a", "/site/deep/{x}"),
            ("/nowhere", None),
            ("/agents/bob/nothing", None),
            ("/numbers/007", "/numbers/{number}"),
            ("/prices/1.50", "/prices/{price}"),
            (f"/objects/{UUID}", "/objects/{key}"),
            ("/versions/a/b/meta", "/versions/{rest:path}/meta"),
            ("/agents/chat/chat", "/agents/{name}/chat"),
            ("/inner/acme/nothing-1", None),
            ("/site/nothing-2", None),
        ],
    )
    def test_the_template_of_a_routed_request(self, path: str, template: str | None) -> None:
        assert learnt(fastapi_app(), path) == template

    def test_a_file_below_a_mount_is_no_route_of_its_own(self) -> None:
        """As `StaticFiles` is mounted: an application without routes."""
        assert learnt(fastapi_app(), "/static/a-1.png") != "/static/a-1.png"

    def test_a_method_that_no_route_has_teaches_nothing(self) -> None:
        assert learnt(fastapi_app(), "/agents/bob", "BREW") is None

    @pytest.mark.parametrize(
        "scope",
        [
            {},
            {"path_params": None, "endpoint": None},
            {"path_params": {"x": "1"}},
            {"endpoint": counter},
            {"path_params": {}, "endpoint": counter, "route": None},
        ],
    )
    def test_a_scope_that_was_not_routed_has_none(self, scope: dict[str, Any]) -> None:
        assert template_of(scope, "/x") in (None, "/x")
