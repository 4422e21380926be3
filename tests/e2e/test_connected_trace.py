"""A -> backend -> B is one trace, and its id is in the logs of all three."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import httpx
import pytest
from harness import TRACED
from launches import BARE, CHOSEN
from processes import HOST
from spans import parent_of, path_of, servers, wait_for_spans

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness import System

    from tracebaton.view.spans import Span

CHAIN = ("agent-a", "backend", "agent-b")
CHAT = "/agents/agent-b/chat"


def start_chain(system: System, environ: dict[str, str], launcher: Sequence[str] = TRACED) -> str:
    """Start the three agents; returns the URL of the first."""
    system.start_redis()
    url = ""
    for name in reversed(CHAIN):
        url = system.start_agent(name, url, environ, launcher=launcher)
    return url


def assert_one_trace(system: System, spans: Sequence[Span], status: int) -> str:
    """The chat that was answered with `status`: one trace, each hop below the call that made it, Redis below each."""
    (root,) = [
        span
        for span in servers(spans, CHAT)
        if not span.parent_span_id and span.attributes["http.status_code"] == status
    ]
    trace = [span for span in spans if span.trace_id == root.trace_id]
    hops = {span.service: span for span in servers(trace)}
    assert set(hops) == set(CHAIN)
    for before, after in pairwise(CHAIN):
        call = parent_of(hops[after], trace)
        assert (call.kind, call.service) == ("CLIENT", before)
        assert call.parent_span_id == hops[before].span_id
    for name in CHAIN:
        redis = [span for span in trace if span.service == name and span.attributes.get("db.system") == "redis"]
        assert redis
        assert {span.parent_span_id for span in redis} == {hops[name].span_id}
    return root.trace_id


@pytest.mark.parametrize(
    ("launcher", "chosen", "protocol"),
    [(TRACED, {}, "grpc"), (BARE, CHOSEN, "grpc"), (TRACED, {}, "http")],
    ids=["tracebaton run", "bare launcher", "over HTTP on its port"],
)
def test_one_trace_over_all_hops(
    system: System, launcher: Sequence[str], chosen: dict[str, str], protocol: str
) -> None:
    environ = {"OTEL_TRACES_SAMPLER": "parentbased_always_on", **chosen}
    if protocol == "http":
        # The receiver's HTTP port is no 4318 here, so the protocol has to be said.
        environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = system.http_endpoint
        environ["OTEL_EXPORTER_OTLP_PROTOCOL"] = "http/protobuf"
    url = start_chain(system, environ, launcher)
    assert httpx.post(url + CHAT, json={"text": "hello"}).json()["hops"] == list(CHAIN)
    assert httpx.post(url + CHAT, json={"text": "please fail"}).status_code == 502
    system.stop_agents()
    spans = wait_for_spans(system, lambda spans: len(servers(spans)) >= 6)

    assert_one_trace(system, spans, 200)
    failed = assert_one_trace(system, spans, 502)
    (culprit,) = [span for span in servers(spans) if span.trace_id == failed and span.service == "agent-b"]
    assert culprit.status == "ERROR"
    assert [event.attributes["exception.type"] for event in culprit.events if event.name == "exception"] == [
        "main.ModelError"
    ]
    for name in CHAIN:
        lines = [line for line in system.logs(name) if line.get("trace_id") == failed]
        assert {"agent", "uvicorn.access"} <= {line["logger"] for line in lines}
        assert {line["trace_flags"] for line in lines} == {"01"}
        ids = {span.span_id for span in spans if (span.trace_id, span.service) == (failed, name)}
        assert {line["span_id"] for line in lines} <= ids


def test_an_independent_collector_reads_what_is_sent(system: System) -> None:
    """rotel, a third party's collector, stands between the agents and the receiver."""
    rotel = pytest.importorskip("rotel", reason="rotel has no wheel for this Python")

    binary = rotel.__path__[0] + "/rotel-agent"
    grpc, http = system.free_port(), system.free_port()
    collector = system.start(
        "rotel",
        [
            binary, "start", "--exporter", "otlp", "--otlp-exporter-endpoint", system.grpc_endpoint,
            "--otlp-grpc-endpoint", f"{HOST}:{grpc}", "--otlp-http-endpoint", f"{HOST}:{http}",
            "--batch-timeout", "200ms",
        ],
    )  # fmt: skip
    collector.wait_for_ports(grpc, http)
    environ = {"OTEL_TRACES_SAMPLER": "parentbased_always_on", "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{HOST}:{grpc}"}
    url = start_chain(system, environ)
    assert httpx.post(url + CHAT, json={"text": "hello"}).status_code == 200
    system.stop_agents()
    spans = wait_for_spans(system, lambda spans: len(servers(spans)) >= 3)
    assert_one_trace(system, spans, 200)


def test_no_asgi_event_spans_unless_asked_for(system: System) -> None:
    environ = {"OTEL_TRACES_SAMPLER": "parentbased_always_on"}
    system.start_redis()
    plain = system.start_agent("plain", env=environ)
    asked = system.start_agent("asked", env={**environ, "OTEL_TRACEBATON_ASGI_EVENT_SPANS": "true"})
    for url in (plain, asked):
        assert httpx.get(url + "/openapi.json").status_code == 200
    system.stop_agents()
    spans = wait_for_spans(system, lambda spans: len(servers(spans)) >= 2)
    names = {service: {span.name for span in spans if span.service == service} for service in ("plain", "asked")}
    assert names["plain"] == {"GET /openapi.json"}
    assert "GET /openapi.json http send" in names["asked"]


def test_the_resource_says_who_speaks(system: System) -> None:
    system.start_redis()
    url = system.start_agent("agent-a", env={"OTEL_TRACES_SAMPLER": "parentbased_always_on"})
    httpx.get(url + "/openapi.json")
    system.stop_agents()
    (span, *_) = wait_for_spans(system, lambda spans: bool(servers(spans)))
    assert span.service == "agent-a"
    assert span.resource["process.pid"] == system.children["agent-a"].pid
    assert span.resource["telemetry.distro.name"] == "tracebaton"
    assert {"host.name", "service.instance.id", "telemetry.distro.version"} <= span.resource.keys()


def test_requests_for_nothing_are_one_trace_each(system: System) -> None:
    system.start_redis()
    url = system.start_agent("agent-a", env={"OTEL_TRACES_SAMPLER": "parentbased_always_on"})
    for _ in range(3):
        httpx.get(url + "/nothing")
    system.stop_agents()
    spans = wait_for_spans(system, lambda spans: len(servers(spans)) >= 3)
    assert len({span.trace_id for span in servers(spans)}) == 3
    assert {path_of(span) for span in servers(spans)} == {"/nothing"}
