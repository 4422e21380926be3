"""A service with the strict propagators passes the W3C's validation suite.

As there, the service is called with certain headers, makes one or three calls, and is judged by the headers of these.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from opentelemetry import propagate
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from w3c_suite import CASES, UPSTREAM_FAILS, judge

from tracebaton_configurator.propagation.w3c import propagator
from tracebaton_configurator.propagation.w3c.headers import read_context
from tracebaton_configurator.propagation.w3c.tracestate import parse_tracestate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from w3c_suite import Call, Headers


def test_there_are_as_many_cases_as_in_the_suite() -> None:
    assert len(CASES) == 41


@pytest.mark.parametrize("case", CASES)
def test_a_fastapi_service_in_process_passes(case: str, in_process: Call) -> None:
    assert [failure for exchange in CASES[case] for failure in judge(exchange, in_process)] == []


@pytest.mark.parametrize("case", CASES)
def test_a_fastapi_service_under_uvicorn_passes(case: str, under_uvicorn: Call) -> None:
    assert [failure for exchange in CASES[case] for failure in judge(exchange, under_uvicorn)] == []


@pytest.mark.parametrize("case", CASES)
def test_the_raw_headers_are_read_the_same_way(case: str) -> None:
    for exchange in CASES[case]:
        remote = read_context([(name.encode(), value.encode()) for name, value in exchange.headers])
        assert (remote is not None and remote.has_parent) is exchange.continued
        found = parse_tracestate(remote.tracestate) if remote else {}
        assert list(found.items()) == list(exchange.state.items())


def test_upstream_still_fails_four_of_them(app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(propagate, "_HTTP_TEXT_FORMAT", TraceContextTextMapPropagator())
    call = caller_in_process(app)
    failed = {case for case, exchanges in CASES.items() if any(judge(exchange, call) for exchange in exchanges)}
    assert failed >= UPSTREAM_FAILS


@pytest.fixture(scope="module")
def app() -> Any:
    """A service that makes as many calls as its path says and answers with the headers it made them with."""
    provider = TracerProvider(shutdown_on_exit=False)
    service = FastAPI()

    @service.get("/calls/{count}")
    async def calls(count: int) -> list[dict[str, str]]:
        sent: list[dict[str, str]] = []
        for _ in range(count):
            with provider.get_tracer("test").start_as_current_span("call"):
                sent.append({})
                propagate.inject(sent[-1])
        return sent

    return OpenTelemetryMiddleware(service, tracer_provider=provider)


@pytest.fixture
def strict(monkeypatch: pytest.MonkeyPatch) -> None:
    upstream = CompositePropagator([TraceContextTextMapPropagator(), W3CBaggagePropagator()])
    monkeypatch.setattr(propagate, "_HTTP_TEXT_FORMAT", upstream)
    assert propagator.install() == ("TraceContextTextMapPropagator", "W3CBaggagePropagator")


@pytest.fixture
def in_process(app: Any, strict: None) -> Call:
    return caller_in_process(app)


def caller_in_process(app: Any) -> Call:
    async def get(headers: Headers, count: int) -> list[dict[str, str]]:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            response = await client.get(f"/calls/{count}", headers=headers)
            return response.raise_for_status().json()  # type: ignore[no-any-return]

    return lambda headers, count: asyncio.run(get(headers, count))


@pytest.fixture(scope="module")
def port(app: Any) -> Iterator[int]:
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    deadline = time.monotonic() + 10
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.01)
    yield listener.getsockname()[1]
    server.should_exit = True
    thread.join(10)
    listener.close()


@pytest.fixture
def under_uvicorn(port: int, strict: None) -> Call:
    def call(headers: Headers, count: int) -> list[dict[str, str]]:
        # http.client sends duplicates, tabs and capitals as they are; httpx would not.
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.putrequest("GET", f"/calls/{count}")
        for name, value in headers:
            connection.putheader(name, value)
        connection.endheaders()
        response = connection.getresponse()
        assert response.status == 200
        body: list[dict[str, str]] = json.loads(response.read())
        connection.close()
        return body

    return call
