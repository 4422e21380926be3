"""What is mounted may be an application of another framework, with attributes of its own called like Starlette's."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount, Route

from tracebaton_configurator.asgi.whole_route import whole_route


class Other:
    def __init__(self, routes: Any) -> None:
        self.routes = routes

    async def __call__(self, *_: Any) -> None: ...


class Broken(Route):
    def matches(self, scope: Any) -> Any:
        raise LookupError(scope)


def scope(app: Any, path: str) -> dict[str, Any]:
    return {"type": "http", "method": "GET", "path": path, "root_path": "", "app": app, "headers": []}


@pytest.mark.parametrize("routes", [[("/x", None)], list, 5, {"/x": None}, [SimpleNamespace()]])
def test_the_mount_is_the_route(routes: Any) -> None:
    app = Starlette(routes=[Mount("/o", Other(routes))])
    assert whole_route(app, scope(app, "/o/x")) == "/o"


def test_a_route_that_raises_names_nothing() -> None:
    app = Starlette(routes=[Broken("/o", Other([]))])
    assert whole_route(app, scope(app, "/o")) is None
