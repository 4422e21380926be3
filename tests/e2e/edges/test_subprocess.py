"""Programs that a request starts are part of its trace, by what OpenTelemetry calls environment carriers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest
from test_outlives_request import serve

from conftest import assert_whole

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Edge

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
    ways = ["exec", "shell", "failing"] if loop == "uvloop" else ["run", "env", "exec", "shell", "failing"]
    for sampled in (True, False):
        cell("subprocess", loop, style="async", sampled=sampled)
        cell("subprocess", "subprocess", style="sync", sampled=sampled)
    _, url = serve(edge, "shop", "children:app", "--loop", loop, PEER=peer, **RULES)
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
            assert {line["trace_id"] for line in edge.logs("shop", bool) if line["message"] == f"tool by-{way}"} >= {trace}
    assert len(traces[True]) == len(traces[False]) == len(ways)

    def complete(spans: Any) -> bool:
        kept = any(span.attributes.get("tracebaton.kept") for span in spans)
        return kept and sum(span.service == "peer" for span in spans) >= len(ways)

    spans = edge.spans(complete)
    kept = [span for span in spans if span.attributes.get("tracebaton.kept")]
    assert [(span.service, span.name, span.trace_id in traces[False]) for span in kept] == [("tool", "tool.py", True)]
    others = [span for span in spans if span not in kept]
    assert {span.trace_id for span in others} == traces[True]
    assert {(span.service, span.kind) for span in others} == {("shop", "SERVER"), ("tool", "CLIENT"), ("peer", "SERVER")}
    assert_whole(others, roots=len(ways))


def test_what_an_application_hands_on_by_itself_stays(edge: Edge) -> None:
    _, peer = serve(edge, "peer", "peer:app", **RULES)
    _, url = serve(edge, "shop", "children:app", PEER=peer, **RULES)
    told = asked(url, "sampled/own-parent")
    assert told["env"]["TRACEPARENT"] == f"00-{'a' * 32}-{'b' * 16}-01"
    assert trace_id(told["called"]) == "a" * 32
