"""What is recorded, what is kept although it was not, and what a caller may say about it: with real processes."""

from __future__ import annotations

import contextlib
import socket
from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx
import pytest
from harness import System
from spans import parent_of, servers, wait_for_spans

if TYPE_CHECKING:
    from collections.abc import Iterator

    from processes import Child

CHAIN = ("agent-a", "backend", "agent-b")
CHAT = "/agents/agent-b/chat"
TRACE_ID = "0af7651916cd43dd8448eb211c80319c"


def start_chain(system: System, **environ: str) -> str:
    system.start_redis()
    url = ""
    for name in reversed(CHAIN):
        url = system.start_agent(name, url, environ)
    return url


@pytest.mark.parametrize("rate", ["0", "1%"])
def test_a_failure_is_kept_at_every_hop_although_it_was_not_sampled(system: System, rate: str) -> None:
    """C fails, and the error travels back through B to A: three SERVER spans in one tree, every time."""
    url = start_chain(system, OTEL_TRACES_SAMPLER_ARG=rate)
    times = 5  # below the cap of ten a second
    for _ in range(times):
        assert httpx.post(url + CHAT, json={"text": "please fail"}).status_code == 502
    system.stop_agents()
    spans = wait_for_spans(system, lambda spans: len(servers(spans)) >= 3 * times)
    assert Counter(span.service for span in servers(spans)) == dict.fromkeys(CHAIN, times)
    traces = {span.trace_id for span in servers(spans)}
    assert len(traces) == times
    for trace_id in traces:
        hops = {span.service: span for span in servers(spans) if span.trace_id == trace_id}
        assert not hops["agent-a"].parent_span_id
        kept = [span for span in hops.values() if "tracebaton.kept" in span.attributes]
        if rate == "0":
            for above, below in pairwise(CHAIN):
                call = parent_of(hops[below], spans)
                assert (call.kind, call.attributes["tracebaton.kept"]) == ("CLIENT", "error")
                assert parent_of(call, spans) is hops[above]
            assert {span.attributes["tracebaton.kept"] for span in kept} == {"error"}
            assert len(kept) == 3
        culprit = hops["agent-b"]
        assert culprit.status == "ERROR"
        assert culprit.attributes["http.route"] == "/agents/{name}/chat"
        assert "exception" in {event.name for event in culprit.events}
        for name, span in hops.items():
            lines = [line for line in system.logs(name) if line.get("trace_id") == trace_id]
            assert span.span_id in {line["span_id"] for line in lines}
    # uvicorn logs the exception when the request is over; its line carries the ids all the same.
    tracebacks = [line for line in system.logs("agent-b") if "exc_info" in line]
    assert {line["trace_id"] for line in tracebacks} == traces


def test_an_unsampled_request_is_silent_in_its_whole_subtree_and_its_logs_carry_its_ids(system: System) -> None:
    url = start_chain(system, OTEL_TRACES_SAMPLER_ARG="0")
    assert httpx.post(url + CHAT, json={"text": "hello"}).status_code == 200
    system.stop_agents()
    assert system.spans() == []
    ids = {
        (line["trace_id"], line["trace_flags"])
        for name in CHAIN
        for line in system.logs(name)
        if line["logger"] in ("agent", "uvicorn.access") and "trace_id" in line
    }
    assert len(ids) == 1
    assert {flags for _, flags in ids} == {"00"}


def test_rules_choose_by_endpoint(system: System) -> None:
    system.start_redis()
    url = system.start_agent("agent-a", env={"OTEL_TRACES_SAMPLER_ARG": "POST /agents/{name}/chat=1, *=0"})
    with httpx.Client(base_url=url) as client:
        for _ in range(10):
            client.post(CHAT, json={"text": "hello"})
            client.post("/agents/x/heartbeat")
            client.get("/health")
    system.stop_agents()
    spans = wait_for_spans(system, lambda spans: len(servers(spans)) >= 10)
    assert Counter(span.name for span in servers(spans)) == {"POST /agents/{name}/chat": 10}
    assert {span.trace_state for span in servers(spans)} == {"ot=th:0"}


def test_the_default_is_everything_until_an_endpoint_is_high_volume(system: System) -> None:
    system.start_redis()
    url = system.start_agent("agent-a")
    sent = 1000
    with httpx.Client(base_url=url) as client:
        for number in range(sent):
            client.post(f"/agents/agent-{number}/heartbeat")  # one endpoint, many paths
        client.get("/health")
        client.post(CHAT, json={"text": "hello"})
    system.stop_agents()
    spans = wait_for_spans(system, lambda spans: any(span.name.endswith("/chat") for span in servers(spans)))
    names = Counter(span.name for span in servers(spans))
    assert names["POST /agents/{name}/chat"] == 1
    assert "GET /health" not in names
    beats = [span for span in servers(spans) if span.name.endswith("/heartbeat")]
    assert len(beats) < sent / 2
    weights = {"ot=th:0": 1.0, "ot=th:e6666": 10.0}
    # Ten a second in full, a tenth of the rest: the weights add up to what was sent, give or take four standard errors.
    estimate = sum(weights[span.trace_state] for span in beats)
    assert abs(estimate - sent) < 4 * (sent * 0.9 * 10) ** 0.5


class TestTrust:
    def test_a_trusted_callers_decision_is_followed(self, system: System) -> None:
        system.start_redis()
        url = system.start_agent("agent-a", env={"OTEL_TRACES_SAMPLER_ARG": "0"})
        parent = f"00-{TRACE_ID}-b7ad6b7169203331-01"
        httpx.post(url + CHAT, json={"text": "hello"}, headers={"traceparent": parent})
        system.stop_agents()
        (span,) = servers(wait_for_spans(system, lambda spans: bool(servers(spans))))
        assert (span.trace_id, span.parent_span_id) == (TRACE_ID, "b7ad6b7169203331")

    @pytest.mark.parametrize("trust", ["false", "10.0.0.0/8"])
    @pytest.mark.parametrize("flag", ["00", "01"])
    def test_another_can_neither_force_nor_prevent_it(self, system: System, trust: str, flag: str) -> None:
        system.start_redis()
        environ = {"OTEL_TRACEBATON_TRUST_PARENT": trust, "OTEL_TRACES_SAMPLER_ARG": "POST /agents/a/heartbeat=0, *=1"}
        url = system.start_agent("agent-a", env=environ)
        headers = {"traceparent": f"00-{TRACE_ID}-b7ad6b7169203331-{flag}"}
        httpx.post(url + "/agents/a/heartbeat", headers=headers)
        httpx.post(url + "/agents/b/heartbeat", headers=headers)
        system.stop_agents()
        (span,) = servers(wait_for_spans(system, lambda spans: bool(servers(spans))))
        assert span.attributes["http.target"] == "/agents/b/heartbeat"
        assert span.trace_id != TRACE_ID
        assert not span.parent_span_id
        assert [(link.trace_id, link.span_id) for link in span.links] == [(TRACE_ID, "b7ad6b7169203331")]

    def test_a_network_that_is_listed_is_trusted(self, system: System) -> None:
        system.start_redis()
        url = system.start_agent("agent-a", env={"OTEL_TRACEBATON_TRUST_PARENT": "10.0.0.0/8,127.0.0.1"})
        httpx.get(url + "/openapi.json", headers={"traceparent": f"00-{TRACE_ID}-b7ad6b7169203331-01"})
        system.stop_agents()
        (span,) = servers(wait_for_spans(system, lambda spans: bool(servers(spans))))
        assert span.trace_id == TRACE_ID


@pytest.fixture(params=["0", "1"], ids=["rate 0", "rate 1"], scope="module")
def agent(request: pytest.FixtureRequest) -> Iterator[tuple[str, Child]]:
    """One that gets all requests, one after the other: its URL, and the process."""
    with System() as system:
        system.start_receiver()
        environ = {"OTEL_TRACES_SAMPLER_ARG": request.param, "REDIS_URL": "redis://localhost"}
        yield system.start_agent("agent-a", env=environ), system.children["agent-a"]


@pytest.mark.parametrize(
    "hostile",
    [
        b"GET /openapi.json?\xff\\=\xfe HTTP/1.1\r\nHost: x\r\n",
        b"GET /openapi.json HTTP/1.1\r\nHost: \xff\\\r\n",
        b"GET /openapi.json HTTP/1.1\r\nHost: x\r\nUser-Agent: \xff\\N{\r\n",
        b"GET /openapi.json HTTP/1.1\r\nHost: x\r\ntraceparent: \xff\\\r\ntracestate: \xff=\\\r\nbaggage: \xff\\\r\n",
        b"GET /openapi.json HTTP/1.1\r\nHost: x\r\ntraceparent: 00-" + b"1" * 32 + b"-" + b"1" * 16 + b"-01\r\n" * 2,
    ],
)
def test_no_request_fails_for_its_headers(agent: tuple[str, Child], hostile: bytes) -> None:
    url, child = urlsplit(agent[0]), agent[1]
    with contextlib.closing(socket.create_connection((url.hostname, url.port), timeout=10)) as client:
        client.sendall(hostile + b"Connection: close\r\n\r\n")
        answer = b""
        while block := client.recv(65536):
            answer += block
    # A server may refuse such bytes itself; it must not be the tracing that fails.
    assert answer.split(b" ", 2)[1] in (b"200", b"400"), answer[:200]
    assert "Traceback" not in child.output()


def test_the_gate_says_when_it_stands_aside(system: System) -> None:
    system.start_redis()
    url = system.start_agent("agent-a", env={"OTEL_METRICS_EXPORTER": "console"})
    assert httpx.get(url + "/openapi.json").status_code == 200
    (line,) = [line for line in system.logs("agent-a") if line["message"].startswith("Tracing is on")]
    assert "because metrics are exported" in line["message"]
