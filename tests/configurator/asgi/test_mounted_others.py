"""What is mounted may be an application of another framework, with attributes of its own called like Starlette's."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
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


NATIVE_BELOW = """
import asyncio, httpx
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.routing import Mount
sub = FastAPI()
sub.get("/items/{i}")(lambda i: i)
app = Starlette(routes=[Mount("/f", sub)])
async def ask():
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here") as client:
        (await client.get("/f/items/3")).raise_for_status()
asyncio.run(ask())
"""


def test_a_fastapi_that_traces_itself_makes_no_second_server_span_below_starlette() -> None:
    env = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    env |= {
        "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "fastapi,httpx",
        "OTEL_TRACES_SAMPLER_ARG": "*=1",
        "OTEL_TRACES_EXPORTER": "console",
    }
    command = [str(Path(sys.executable).with_name("tracebaton")), "run", sys.executable, "-c", NATIVE_BELOW]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.count('"kind": "SpanKind.SERVER"') == 1
    assert '"name": "GET /f/items/{i}"' in done.stdout


IN_MIDDLEWARE = (
    "import tracebaton_configurator.asgi.middleware as part; part.Details.__init__ = lambda *_, **__: 1 / 0\n"
)
IN_UPSTREAMS = (
    "import tracebaton_configurator.asgi.starlette as part; part.OpenTelemetryMiddleware = lambda *_, **__: 1 / 0\n"
)


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (IN_MIDDLEWARE, "The sampling middleware does not fit an application, upstream's serves it: ZeroDivisionError"),
        (IN_UPSTREAMS, "An application could not be instrumented and is served untraced: ZeroDivisionError"),
    ],
)
def test_an_application_is_served_where_it_cannot_be_instrumented(broken: str, said: str) -> None:
    env = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    env |= {"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "fastapi,httpx", "OTEL_TRACES_EXPORTER": "console"}
    command = [str(Path(sys.executable).with_name("tracebaton")), "run", sys.executable, "-c", broken + NATIVE_BELOW]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert said in done.stderr
