"""Clients whose instrumentation is not installed: the next service is part of the trace all the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest
from edge_services import assert_whole, serve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edge_services import Edge

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
CLIENTS = {
    "aiohttp": "async",
    "httpx": "async",
    "httpx_over_aiohttp": "async",
    "httpx_over_requests": "sync",
    "requests": "sync",
    "urllib3": "sync",
    "urllib3_with_headers": "sync",
    "urllib": "sync",
    "websockets": "async",
    "websockets_sync": "sync",
}


@pytest.fixture(scope="module")
def urls(module_edge: Edge) -> Iterator[str]:
    _, peer = serve(module_edge, "peer", "peer:app")
    _, url = serve(module_edge, "agent", "clients:app", PEER=peer, OTEL_TRACES_SAMPLER_ARG="*=1")
    return url


@pytest.mark.parametrize("name", CLIENTS)
def test_a_sampled_call(module_edge: Edge, urls: str, cell: Callable[..., None], name: str) -> None:
    cell("HTTP clients", name, style=CLIENTS[name], sampled=True)
    answer = httpx.get(f"{urls}/by/{name}").json()["traceparent"]
    trace_id = answer.split("-")[1]
    wanted = 2 if "websockets" in name else 3
    received = module_edge.spans(lambda spans: sum(span.trace_id == trace_id for span in spans) >= wanted)
    spans = [span for span in received if span.trace_id == trace_id]
    assert_whole(spans)
    by_kind = {(span.service, span.kind): span for span in spans}
    assert len(spans) == len(by_kind) == wanted
    agent, peer = by_kind["agent", "SERVER"], by_kind["peer", "SERVER"]
    if wanted == 2:
        assert peer.parent_span_id == agent.span_id
        return
    call = by_kind["agent", "CLIENT"]
    assert (call.parent_span_id, peer.parent_span_id) == (agent.span_id, call.span_id)
    assert (call.name, call.attributes["http.method"], call.attributes["http.status_code"]) == ("GET", "GET", 200)
    assert str(call.attributes["http.url"]).endswith("/headers")


@pytest.mark.parametrize("name", CLIENTS)
def test_an_unsampled_call(urls: str, cell: Callable[..., None], name: str) -> None:
    cell("HTTP clients", name, style=CLIENTS[name], sampled=False)
    answer = httpx.get(f"{urls}/by/{name}", headers={"traceparent": f"00-{TRACE}-{PARENT}-00"}).json()["traceparent"]
    assert answer.startswith(f"00-{TRACE}-")
    assert answer.endswith("-00")
    assert PARENT not in answer


@pytest.mark.parametrize(
    ("name", "error"),
    [("aiohttp", "ClientConnectorError"), ("requests", "ConnectionError"), ("urllib3", "NewConnectionError")],
)
def test_a_call_that_fails(module_edge: Edge, urls: str, name: str, error: str) -> None:
    trace_id = f"{int(TRACE, 16) + list(CLIENTS).index(name):032x}"
    answer = httpx.get(f"{urls}/refused/{name}", headers={"traceparent": f"00-{trace_id}-{PARENT}-01"}).json()
    assert answer == error
    spans = module_edge.spans(lambda spans: sum(span.trace_id == trace_id for span in spans) >= 2)
    (call,) = [span for span in spans if span.trace_id == trace_id and span.kind == "CLIENT"]
    assert (call.status, call.attributes["error.type"]) == ("ERROR", error)


HEADERS = ("aiohttp", "httpx_over_aiohttp", "httpx_over_requests", "requests", "urllib3", "urllib")


def test_an_excluded_host_gets_nothing_after_a_redirect_either(edge: Edge) -> None:
    _, peer = serve(edge, "peer", "peer:app")
    names = ("HTTPX", "REQUESTS", "URLLIB3", "URLLIB", "AIOHTTP_CLIENT")
    excluded = {f"OTEL_PYTHON_{name}_EXCLUDED_URLS": r":\d+/headers" for name in names}
    for path in ("", "/moved"):
        _, url = serve(edge, f"agent{path}".replace("/", "-"), "clients:app", PEER=f"{peer}{path}", **excluded)
        found = {name: httpx.get(f"{url}/by/{name}").json()["traceparent"] for name in HEADERS}
        # A transport of the application's own follows redirects below httpx.
        assert {name for name, header in found.items() if header} <= {"httpx_over_aiohttp", "httpx_over_requests"}, path
        assert path or not any(found.values())


def test_the_clients_are_named_and_can_be_left_out(edge: Edge) -> None:
    _, peer = serve(edge, "peer", "peer:app")
    env = {"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "urllib3,requests"}
    agent, url = serve(edge, "agent", "clients:app", PEER=peer, **env)
    assert httpx.get(f"{url}/by/urllib3").json()["traceparent"] == ""
    assert httpx.get(f"{url}/by/aiohttp").json()["traceparent"] != ""
    (line,) = [text for text in agent.output().splitlines() if "Tracing is on" in text]
    assert "aiohttp-client" in line
    assert "urllib3" not in line
