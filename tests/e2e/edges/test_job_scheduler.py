"""A request adds a job to a scheduler: each of its runs is a trace of its own, which links to that request."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import httpx
import pytest
from edge_services import assert_whole
from libraries import EVERY_AGE, ages
from processes import HOST, is_listening, wait_for
from test_job_queues import NEWEST, OLDEST

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_services import Edge

SCHEDULERS = [("asyncio", ""), ("background", "redis")]


@pytest.mark.parametrize(("scheduler", "store"), SCHEDULERS if EVERY_AGE else SCHEDULERS[:1])
@pytest.mark.parametrize("libraries", ages(NEWEST, OLDEST))
def test_each_run_links_to_the_request_that_added_the_job(
    edge: Edge, cell: Callable[..., None], scheduler: str, store: str, libraries: tuple[str, ...]
) -> None:
    (release,) = (word.partition("==")[2] for word in libraries if word.startswith("apscheduler"))
    asked = [("call", "default"), ("call", "processes"), ("fail", "default")]
    asked += [("call_async", "default")] if scheduler == "asyncio" else []
    for task, _ in asked:
        for sampled in (True, False):
            style = "async" if "async" in task else "sync"
            cell("scheduled job", f"apscheduler {release} {scheduler}", style=style, sampled=sampled, outcome="linked")
    port, next_port = edge.system.free_port(), edge.system.free_port()
    variables = {
        "REDIS_URL": edge.system.start_redis(),
        "PEER": f"http://{HOST}:{next_port}",
        "SCHEDULER": scheduler,
        "STORE": store,
    }
    uvicorn = ("python", "-m", "uvicorn", "--port")
    off = {"OTEL_TRACES_SAMPLER_ARG": "*=0"}
    peer = edge.start("peer", *uvicorn, str(next_port), "peer:app", libraries=libraries, env=off)
    rules = {"OTEL_TRACES_SAMPLER_ARG": "GET /sampled*=1, CONSUMER run fail=0, CONSUMER *=1, *=0"}
    agent = edge.start(
        *("agent", *uvicorn, str(port), "job_apscheduler_tasks:app"), libraries=libraries, env={**variables, **rules}
    )
    peer.wait_until(lambda: is_listening(next_port), "listening", 60)
    agent.wait_until(lambda: is_listening(port), "listening", 60)

    requests: dict[str, tuple[str, str]] = {}
    for task, executor in asked:
        for place in ("sampled", "unsampled"):
            known = len(edge.system.logs("agent"))
            httpx.get(f"http://{HOST}:{port}/{place}/{task}?executor={executor}", timeout=20).raise_for_status()
            lines = [line for line in edge.system.logs("agent")[known:] if line["message"] == f"adding {task}"]
            requests[str(lines[0]["trace_id"])] = (task, executor)

    def ran() -> list[dict[str, str]]:
        lines = edge.system.logs("agent")
        return [line for line in lines if line["logger"] == "jobs" and line["message"].startswith("ran ")]

    times = 1 + 2 * len(requests)  # and the one that was added at the start
    assert wait_for(lambda: len(ran()) >= times, 40, 0.1), [line["message"] for line in edge.system.logs("agent")]
    spans = edge.spans(lambda spans: sum(span.kind == "CONSUMER" for span in spans) >= times)
    runs = [span for span in spans if span.kind == "CONSUMER"]
    assert len(runs) == times
    assert_whole(spans, roots=times + len(requests) // 2)
    assert {span.service for span in runs} == {"agent"}
    (begun,) = (span for span in runs if span.name == "run begun")
    assert begun.links == ()
    linked = [(span.links[0].trace_id, span.name) for span in runs if span is not begun]
    assert sorted(linked) == sorted((trace_id, f"run {task}") for trace_id, (task, _) in requests.items() for _ in "ab")
    # Lines, those of the library as well, have the ids of the run; and what it calls is told of it.
    by_trace = {span.trace_id: span for span in runs}
    assert {line["trace_id"] for line in ran()} == by_trace.keys()
    assert all(line["trace_id"] in line["message"] for line in ran())
    of_library = [line for line in edge.system.logs("agent") if "Running job" in line["message"]]
    assert {line.get("trace_id") for line in of_library if "processes" not in line["logger"]} <= by_trace.keys()
    failed = [span for span in runs if span.name == "run fail"]
    assert {span.attributes.get("tracebaton.kept") for span in failed} == {"error"}
    assert {span.attributes["error.type"] for span in failed} == {"ValueError"}
    # The pool's process goes with it, and so does what multiprocessing starts for that.
    agent.signal(signal.SIGTERM)
    assert wait_for(lambda: agent.returncode is not None and agent.is_gone(), 30, 0.1)
