"""Programs that a request starts are part of its trace, by what OpenTelemetry calls environment carriers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

import httpx
import pytest
from edge_services import assert_whole, serve
from libraries import EVERY_AGE
from test_outlives_request import tracebaton, turns

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_services import Edge

RULES = {"OTEL_TRACES_SAMPLER_ARG": "GET /sampled/*=1, *=0"}
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def asked(url: str, path: str) -> dict[str, Any]:
    response = httpx.get(f"{url}/{path}", timeout=60)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def trace_id(traceparent: str) -> str:
    assert traceparent, "there is none"
    return traceparent.split("-")[1]


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_programs_of_a_request(edge: Edge, cell: Callable[..., None], loop: str) -> None:
    _, peer = serve(edge, "peer", "peer:app", **RULES)
    ways = ["exec", "shell", "failing"] if loop == "uvloop" else ["run", "env", "failing"]
    if EVERY_AGE:
        ways = ["run", "env", "exec", "shell", "failing"]
    for sampled in (True, False):
        cell("subprocess", loop, style="async", sampled=sampled)
        cell("subprocess", "subprocess", style="sync", sampled=sampled)
    _, url = serve(edge, "shop", "children:app", PEER=peer, UVICORN_LOOP=loop, **RULES)
    traces = {True: set(), False: set()}
    for sampled in (True, False):
        for way in ways:
            told = asked(url, f"{'sampled' if sampled else 'unsampled'}/{way}")
            assert told["ids"] is None
            assert bool(int(told["env"]["TRACEPARENT"][-2:]) & 1) is sampled
            trace = trace_id(told["env"]["TRACEPARENT"])
            assert trace_id(told["called"]) == trace
            assert (told["env"]["OWN"] == "kept") is (way == "env")
            traces[sampled].add(trace)
            lines = [line for line in edge.system.logs("shop") if line["message"] == f"tool by-{way}"]
            assert trace in {line["trace_id"] for line in lines}
    assert len(traces[True]) == len(traces[False]) == len(ways)
    assert len([line for line in edge.system.logs("shop") if line["message"].startswith("Tracing is on")]) == 1

    def complete(spans: Any) -> bool:
        kept = any(span.attributes.get("tracebaton.kept") for span in spans)
        return kept and sum(span.service == "peer" for span in spans) >= len(ways)

    spans = edge.whole(traces[True], complete)
    kept = [span for span in spans if span.attributes.get("tracebaton.kept")]
    assert [(span.service, span.name, span.trace_id in traces[False]) for span in kept] == [("tool", "tool.py", True)]
    others = [span for span in spans if span not in kept]
    assert {span.trace_id for span in others} == traces[True]
    assert {(span.service, span.kind) for span in others} == {
        ("shop", "SERVER"),
        ("tool", "CLIENT"),
        ("peer", "SERVER"),
    }
    assert_whole(others, roots=len(ways))


@pytest.mark.parametrize("sampled", [True, False] if EVERY_AGE else [True])
def test_a_server_that_somebodys_trace_has_started(edge: Edge, cell: Callable[..., None], *, sampled: bool) -> None:
    """Its requests are its own; what it does besides is part of that trace, until it has left it."""
    cell("a server that a request starts", "subprocess", style="async", sampled=sampled, outcome="then linked")
    _, peer = serve(edge, "peer", "peer:app", **RULES)
    env = {
        "PEER": peer,
        "TRACEPARENT": f"00-{TRACE}-{PARENT}-{'01' if sampled else '00'}",
        "OTEL_TRACEBATON_DETACH_AFTER": "5s",
        "OTEL_TRACES_SAMPLER_ARG": "GET /hello=1, CLIENT *=1",
        "OTEL_PYTHON_FASTAPI_EXCLUDED_URLS": "excluded",
    }
    server, url = serve(edge, "loops", "long_lived:app", **env)
    own = trace_id(httpx.get(f"{url}/hello").json())
    assert own != TRACE
    assert TRACE not in httpx.get(f"{url}/excluded").json()
    server.wait_until(lambda: any(TRACE not in line["message"] for line in turns(edge)), "a turn of its own", 30)
    found = turns(edge)
    first = [line for line in found if TRACE in line["message"]]
    assert (first[0]["trace_id"], first[0]["span_id"]) == (TRACE, PARENT)
    # Of the last one the call may have been part of that trace, and the line not any more.
    assert {line["trace_id"] for line in first[:-1]} <= {TRACE}
    after = found[found.index(next(line for line in found if TRACE not in line["message"])) :]
    assert [line for line in after if line.get("trace_id")] == []
    lines = edge.system.logs("loops")
    assert next(line for line in lines if line["message"] == "excluded").get("trace_id") != TRACE

    def complete(spans: Any) -> bool:
        ids = {span.trace_id for span in spans if span.service == "loops" and span.kind == "CLIENT"}
        return len(ids - {own, TRACE}) > 0 and own in ids

    spans = [span for span in edge.spans(complete) if span.service == "loops"]
    (of_request,) = [span for span in spans if span.kind == "SERVER"]
    assert (of_request.trace_id, of_request.parent_span_id, list(of_request.links)) == (own, "", [])
    of_caller = [span for span in spans if span.trace_id == TRACE]
    assert {(span.kind, span.parent_span_id) for span in of_caller} == ({("CLIENT", PARENT)} if sampled else set())
    others = [span for span in spans if span.trace_id not in (TRACE, own)]
    assert {(span.kind, span.parent_span_id) for span in others} == {("CLIENT", "")}
    assert {link.trace_id for span in others for link in span.links} == {TRACE}


def test_a_caller_that_is_not_trusted_is_linked_to(edge: Edge) -> None:
    _, peer = serve(edge, "peer", "peer:app", OTEL_TRACES_SAMPLER_ARG="*=0")
    env = {
        "PEER": peer,
        "TRACEPARENT": f"00-{TRACE}-{PARENT}-01",
        "OTEL_TRACEBATON_TRUST_PARENT": "false",
        "OTEL_TRACES_SAMPLER_ARG": "CLIENT *=1",
    }
    edge.start("job", "python", "tool.py", "mine", env=env)
    (span,) = edge.spans(lambda spans: any(span.service == "job" for span in spans))
    assert (span.service, span.parent_span_id) == ("job", "")
    assert [link.trace_id for link in span.links] == [TRACE]
    assert span.trace_id != TRACE


def test_what_is_not_ours_goes_on_as_it_is(edge: Edge) -> None:
    """What the process has been given itself goes on as it came, and so does what is no trace context at all."""
    _, peer = serve(edge, "peer", "peer:app", **RULES)
    given = {"PEER": peer, "TRACEPARENT": f"00-{TRACE}-{PARENT}-01", "BAGGAGE": "tenant=a"}
    _, url = serve(edge, "disabled", "children:app", OTEL_SDK_DISABLED="true", **given)
    told = asked(url, "sampled/env")
    assert told["env"]["TRACEPARENT"] == given["TRACEPARENT"]
    assert told["env"]["BAGGAGE"] == "tenant=a"
    name = f"shop-{uuid4().hex[:12]}"  # the switch is for a service, wherever on this machine it runs
    _, url = serve(edge, name, "children:app", PEER=peer, TRACEPARENT="not-one", **RULES)
    told = asked(url, "sampled/exec")
    assert trace_id(told["env"]["TRACEPARENT"]) == trace_id(told["called"])
    # What the application hands on by itself stays.
    told = asked(url, "sampled/own-parent")
    assert told["env"]["TRACEPARENT"] == f"00-{'a' * 32}-{'b' * 16}-01"
    assert trace_id(told["called"]) == "a" * 32
    tracebaton("off", "--service", name)
    told = asked(url, "sampled/exec")
    assert told["env"]["TRACEPARENT"] == "not-one"
