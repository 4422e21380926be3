"""HTTP clients other than httpx, below an unrecorded request: no span, and the trace goes on with the flag off.

The instrumentations are not among this project's dependencies; where one is not installed, its test says so.
"""

from __future__ import annotations

import asyncio
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest
from fastapi import FastAPI
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from rawasgi import http_scope, send, traceparent

from tracebaton_configurator.propagation import http_clients

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Behind, Downstream

TRACE, PARENT = 0xABCDEF, 0x1234
INSTRUMENTORS = {
    "requests": "RequestsInstrumentor",
    "urllib": "URLLibInstrumentor",
    "urllib3": "URLLib3Instrumentor",
    "aiohttp-client": "AioHttpClientInstrumentor",
}


async def call(name: str, url: str) -> None:
    """One GET with that client."""
    if name == "requests":
        import requests

        await asyncio.to_thread(requests.get, url, timeout=5)
    elif name == "urllib":
        from urllib.request import urlopen

        await asyncio.to_thread(lambda: urlopen(url, timeout=5).close())  # noqa: S310 (the server of this test)
    elif name == "urllib3":
        import urllib3

        await asyncio.to_thread(urllib3.PoolManager().request, "GET", url, timeout=5)
    else:
        aiohttp = pytest.importorskip("aiohttp")
        async with aiohttp.ClientSession() as asgi, asgi.get(url):
            pass


@pytest.fixture(params=INSTRUMENTORS)
def client(request: Any, monkeypatch: pytest.MonkeyPatch) -> tuple[str, Any]:
    """The client's name and its instrumentor; what the gate replaces in its module is put back afterwards."""
    name = request.param
    if name == "aiohttp-client":
        pytest.importorskip("aiohttp", reason="aiohttp is not installed")
    found = pytest.importorskip(
        http_clients._MODULES[name],
        reason=f"opentelemetry-instrumentation-{name} is not installed: {name} was not tested",
    )
    for asked in ("is_http_instrumentation_enabled", "is_instrumentation_enabled"):
        if hasattr(found, asked):
            monkeypatch.setattr(found, asked, getattr(found, asked))
    return name, getattr(found, INSTRUMENTORS[name])()


def run(made: Behind, client: tuple[str, Any], url: str, flags: int, **instrument: Any) -> None:
    name, instrumentor = client
    app = FastAPI()

    @app.get("/")
    async def endpoint() -> None:
        await call(name, url)

    made.put_on(app, **instrument)
    instrumentor.instrument(tracer_provider=made.provider)
    http_clients.around()[name].after()
    try:
        answer = asyncio.run(send(app, http_scope(headers=[traceparent(TRACE, PARENT, flags)])))
    finally:
        instrumentor.uninstrument()
    assert (answer.status, answer.error) == (200, None)


class TestOtherClients:
    def test_an_unrecorded_trace_goes_on(
        self, behind: Callable[..., Behind], client: tuple[str, Any], downstream: Downstream
    ) -> None:
        made = behind("*=1")
        run(made, client, downstream.url, 0)
        (sent,) = downstream.traceparents()
        assert sent.startswith(f"00-{TRACE:032x}-")
        assert sent.endswith("-00")
        assert made.spans == []

    def test_a_recorded_one_too(
        self, behind: Callable[..., Behind], client: tuple[str, Any], downstream: Downstream
    ) -> None:
        made = behind("*=0")
        run(made, client, downstream.url, 1)
        (sent,) = downstream.traceparents()
        assert sent.startswith(f"00-{TRACE:032x}-")
        assert sent.endswith("-01")
        assert sorted(span.kind.name for span in made.spans) == ["CLIENT", "SERVER"]

    def test_an_excluded_url_is_silent_whatever_the_sampler(
        self, behind: Callable[..., Behind], client: tuple[str, Any], downstream: Downstream
    ) -> None:
        made = behind(ALWAYS_ON, follows_parents=False)
        run(made, client, downstream.url, 1, excluded_urls=".*")
        assert made.spans == []
        assert downstream.traceparents()[0].endswith("-00")


@pytest.mark.parametrize("name", http_clients._MODULES)
def test_each_asks_a_function_of_its_own_module(name: str) -> None:
    """Which the gate replaces there; imported elsewhere, it would not be found."""
    module = pytest.importorskip(http_clients._MODULES[name], reason=f"the instrumentation of {name} is not installed")
    asked = ("is_http_instrumentation_enabled", "is_instrumentation_enabled")
    assert any(hasattr(import_module(module.__name__), one) for one in asked)
