"""What a request starts and what outlives it: part of the request for a while, then in traces of its own."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING
from uuid import uuid4

import httpx
import pytest
from edge_services import serve

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from edge_services import Edge

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def tracebaton(*words: str) -> None:
    subprocess.run([sys.executable, "-m", "tracebaton", *words], check=True, capture_output=True, timeout=30)


def turns(edge: Edge, name: str = "loops") -> list[dict[str, Any]]:
    return [line for line in edge.system.logs(name) if str(line.get("message")).startswith("turn ")]


@pytest.mark.parametrize("sampled", [True, False])
def test_a_loop_that_a_request_has_started(edge: Edge, cell: Callable[..., None], *, sampled: bool) -> None:
    cell("work that outlives its request", "asyncio", style="async", sampled=sampled, outcome="then linked")
    _, peer = serve(edge, "peer", "peer:app")
    env = {"PEER": peer, "OTEL_TRACEBATON_DETACH_AFTER": "1s", "OTEL_TRACES_SAMPLER_ARG": "CLIENT *=1"}
    loops, url = serve(edge, "loops", "loops:app", **env)
    httpx.get(f"{url}/health", headers={"traceparent": f"00-{TRACE}-{PARENT}-{'01' if sampled else '00'}"})
    # Once the request is long over, and the loop has turned some more.
    loops.wait_until(lambda: any(TRACE not in line["message"] for line in turns(edge)), "a turn of its own", 20)
    found = turns(edge)
    of_request = [line for line in found if TRACE in line["message"]]
    assert of_request[0]["trace_id"] == TRACE
    # Of the last one the call may have been part of the request, and the line not any more.
    assert {line["trace_id"] for line in of_request[:-1]} <= {TRACE}
    spans = edge.spans(lambda spans: any(span.service == "loops" and span.trace_id != TRACE for span in spans))
    own = [span for span in spans if span.service == "loops" and span.trace_id != TRACE]
    assert {(span.kind, span.parent_span_id) for span in own} == {("CLIENT", "")}
    assert {link.trace_id for span in own for link in span.links} == {TRACE}
    assert {span.kind for span in spans if span.service == "loops" and span.trace_id == TRACE} == (
        {"SERVER", "CLIENT"} if sampled else set()
    )
    after = found[found.index(next(line for line in found if TRACE not in line["message"])) :]
    assert [line for line in after if line.get("trace_id") == TRACE] == []


@pytest.mark.parametrize("sampled", [True, False])
def test_a_background_task_is_part_of_its_request(edge: Edge, cell: Callable[..., None], *, sampled: bool) -> None:
    cell("BackgroundTasks", "starlette", style="async", sampled=sampled)
    _, peer = serve(edge, "peer", "peer:app")
    loops, url = serve(edge, "loops", "loops:app", PEER=peer)
    httpx.get(f"{url}/begin", headers={"traceparent": f"00-{TRACE}-{PARENT}-{'01' if sampled else '00'}"})
    loops.wait_until(lambda: turns(edge), "its task", 20)
    (line,) = turns(edge)
    assert line["trace_id"] == TRACE
    assert TRACE in line["message"]


def test_a_loop_that_was_started_while_tracing_was_off(edge: Edge, cell: Callable[..., None]) -> None:
    cell("work that outlives its request", "asyncio", style="async", sampled=True, outcome="then linked")
    _, peer = serve(edge, "peer", "peer:app")
    name = f"loops-{uuid4().hex[:12]}"  # the switch is for a service, wherever on this machine it runs
    loops, url = serve(edge, name, "loops:app", PEER=peer, OTEL_TRACES_SAMPLER_ARG="*=1, CLIENT *=1")
    tracebaton("off", "--service", name)
    httpx.get(f"{url}/health")
    loops.wait_until(lambda: turns(edge, name), "a turn", 20)
    tracebaton("on", "--service", name)
    loops.wait_until(lambda: turns(edge, name)[-1]["message"] != "turn ", "a traced turn", 20)
    (first, *_) = turns(edge, name)
    assert first["message"] == "turn "
    assert "trace_id" not in first
    spans = edge.spans(lambda spans: any(span.service == name for span in spans))
    assert {span.kind for span in spans if span.service == name} == {"CLIENT"}
