"""Transports of httpx that are no network: an application in the same process, and upstream's own."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from opentelemetry import trace
from opentelemetry.instrumentation.httpx import (
    AsyncOpenTelemetryTransport,
    HTTPXClientInstrumentor,
    SyncOpenTelemetryTransport,
)
from opentelemetry.instrumentation.utils import is_http_instrumentation_enabled
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from starlette.testclient import TestClient

from tracebaton_configurator.propagation import other_clients

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """What is recorded while the transports are served; what is patched is put back afterwards."""
    memory = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(memory))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    for kind in (httpx.Client, httpx.AsyncClient):
        monkeypatch.setattr(kind, "_send_single_request", kind.__dict__["_send_single_request"])
    other_clients._serve_transports(httpx)
    return memory


async def asgi(scope: Any, receive: Any, send: Any) -> None:
    """Answers whether instrumentations work within it, and which headers of a trace it was sent."""
    text = f"{is_http_instrumentation_enabled()} {[name for name, _ in scope['headers'] if name == b'traceparent']}"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": text.encode()})


def wsgi(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [])
    return [f"{is_http_instrumentation_enabled()} {[name for name in environ if 'TRACEPARENT' in name]}".encode()]


async def ask(transport: httpx.AsyncBaseTransport) -> str:
    async with httpx.AsyncClient(transport=transport) as client:
        return (await client.get("http://service")).text


@pytest.mark.parametrize(
    "call",
    [
        lambda: asyncio.run(ask(httpx.ASGITransport(asgi))),
        lambda: httpx.Client(transport=httpx.WSGITransport(wsgi)).get("http://service").text,
        lambda: TestClient(asgi).get("/").text,
    ],
    ids=["asgi", "wsgi", "testclient"],
)
def test_an_application_in_the_same_process_is_served_as_without(
    spans: InMemorySpanExporter, call: Callable[[], str]
) -> None:
    """Its own SERVER spans are made, and no span of a call over no network."""
    assert call() == "True []"
    assert spans.get_finished_spans() == ()


def test_upstreams_own_transports_make_their_spans(spans: InMemorySpanExporter) -> None:
    answering = httpx.MockTransport(lambda _: httpx.Response(200))
    httpx.Client(transport=SyncOpenTelemetryTransport(answering)).get("http://service")
    asyncio.run(ask(AsyncOpenTelemetryTransport(answering)))
    scopes = [span.instrumentation_scope.name for span in spans.get_finished_spans() if span.instrumentation_scope]
    assert scopes == ["opentelemetry.instrumentation.httpx"] * 2


def test_another_transport_is_traced(spans: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HTTPXClientInstrumentor(), "_is_instrumented_by_opentelemetry", True)
    httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(200))).get("http://service")
    assert [span.name for span in spans.get_finished_spans()] == ["GET"]
