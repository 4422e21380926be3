"""What a request gives to a thread is part of it, down to the calls that are made there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest
from edge_services import assert_whole, serve
from libraries import EVERY_AGE
from test_subprocess import RULES, trace_id

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_services import Edge

# By the library and the style of the cell.
WAYS = {
    "thread": ("threading.Thread", "sync"),
    "submit": ("ThreadPoolExecutor", "sync"),
    "map": ("ThreadPoolExecutor", "sync"),
    "pool-map": ("multiprocessing.pool.ThreadPool", "sync"),
    "run_in_executor": ("asyncio", "async"),
    "to_thread": ("asyncio", "async"),
}


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"] if EVERY_AGE else ["uvloop"])
def test_work_in_threads(edge: Edge, cell: Callable[..., None], loop: str) -> None:
    for library, style in WAYS.values():
        for sampled in (True, False):
            cell("threads", library if style == "sync" else loop, style=style, sampled=sampled)
    _, peer = serve(edge, "peer", "peer:app", **RULES)
    _, url = serve(edge, "shop", "in_threads:app", PEER=peer, UVICORN_LOOP=loop, **RULES)
    traces: dict[str, set[str]] = {"sampled": set(), "unsampled": set()}
    for decision in ("unsampled", "sampled", "unsampled"):
        for way in WAYS:
            traces[decision].add(trace_id(httpx.get(f"{url}/{decision}/{way}", timeout=60).json()))

    def written(lines: Any) -> bool:
        return sum(str(line.get("message")).startswith("job ") for line in lines) == 3 * len(WAYS)

    lines = [line for line in edge.logs("shop", written) if str(line.get("message")).startswith("job ")]
    assert len(traces["sampled"]) == len(WAYS)
    assert len(traces["unsampled"]) == 2 * len(WAYS)
    assert {line["trace_id"] for line in lines} == traces["sampled"] | traces["unsampled"]
    spans = edge.whole(traces["sampled"], lambda spans: sum(span.service == "peer" for span in spans) >= len(WAYS))
    assert {span.trace_id for span in spans} == traces["sampled"]
    assert {(span.service, span.kind) for span in spans} == {("shop", "SERVER"), ("shop", "CLIENT"), ("peer", "SERVER")}
    assert_whole(spans, roots=len(WAYS))
