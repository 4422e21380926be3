"""Processes of the same program, and pools of them: each item of work is part of the request that has submitted it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest
from edge_services import assert_whole, serve
from libraries import EVERY_AGE
from processes import wait_for
from test_subprocess import RULES, trace_id

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_services import Edge

METHODS = ("fork", "spawn", "forkserver")
CELLS = {
    "multiprocessing": [f"process-{method}" for method in METHODS],
    "ProcessPoolExecutor": [*(f"executor-{method}" for method in METHODS), "executor-map"],
    "multiprocessing.Pool": [*(f"pool-{method}" for method in METHODS), "map", "imap", "starmap"],
    "ThreadPool": ["thread-pool"],
}
WAYS = [way for ways in CELLS.values() for way in ways]


def test_processes_and_pools(edge: Edge, cell: Callable[..., None]) -> None:
    for library in CELLS:
        for sampled in (True, False):
            cell("processes", library, style="sync", sampled=sampled)
    _, peer = serve(edge, "peer", "peer:app", **RULES)
    shop, url = serve(edge, "shop", "pools:app", PEER=peer, **RULES)
    traces: dict[str, set[str]] = {"sampled": set(), "unsampled": set()}
    # In turn, so that each worker has served a request of the other kind before.
    for round_, decision in enumerate(("unsampled", "sampled", "unsampled") if EVERY_AGE else ("unsampled", "sampled")):
        for way in WAYS:
            answer = httpx.get(f"{url}/{decision}/{way}", timeout=90)
            assert answer.status_code == 200, f"{way} {shop.output_end()}"
            trace = trace_id(answer.json())
            assert trace not in traces[decision], (way, round_)
            traces[decision].add(trace)

            def lines(lines: Any, name: str = f"job {decision}-{way}", trace: str = trace) -> bool:
                return any(line.get("message") == name and line.get("trace_id") == trace for line in lines)

            assert lines(edge.logs("shop", lines)), (way, decision)
    for way in ("executor", "pool"):
        told = httpx.get(f"{url}/failing/{way}", timeout=60).json()
        assert "ValueError: no" in told
        assert "tracebaton" not in told

    def complete(spans: Any) -> bool:
        return sum(span.service == "peer" for span in spans) >= len(WAYS)

    spans = edge.whole(traces["sampled"], complete)
    assert {span.trace_id for span in spans} == traces["sampled"]
    assert {span.service for span in spans} == {"peer", "shop"}
    assert_whole(spans, roots=len(WAYS))


@pytest.mark.parametrize(("detach_after", "followed"), [("1ms", False), ("5m", True)])
def test_a_caller_that_was_left_is_not_taken_up_again(edge: Edge, detach_after: str, *, followed: bool) -> None:
    trace_id = "0af7651916cd43dd8448eb211c80319c"
    env = {"TRACEPARENT": f"00-{trace_id}-b7ad6b7169203331-01", "OTEL_TRACEBATON_DETACH_AFTER": detach_after}
    program = edge.start("spawning", "python", "spawning.py", env=env)
    assert wait_for(lambda: program.returncode is not None, 60)
    (line,) = [line for line in edge.system.logs("spawning") if line["message"] == "child"]
    assert line.get("trace_id") == (trace_id if followed else None)
