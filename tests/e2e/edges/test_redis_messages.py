"""Redis as a message bus: an agent hands work to a worker, which calls another agent, and it is one trace."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import httpx
import pytest
import redis
from edge_services import assert_partial, assert_whole, serve
from libraries import ages
from processes import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from edge_services import Edge
    from processes import Child

    from tracebaton.view.spans import Span

REDIS = ages("redis>=8", "redis==5.2.0")
NAMES = ("sampled", "unsampled", "failing")


def start_worker(edge: Edge, libraries: tuple[str, ...], env: dict[str, str], *words: str) -> tuple[str, Child]:
    name = "-".join(words)
    return name, edge.start(name, "python", "redis_worker.py", *words, libraries=libraries, env=env)


def of_jobs(lines: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """By the job's name, the line that its worker wrote of it."""
    said = [line for line in lines if str(line.get("message")).startswith("called for ")]
    return {str(line["message"]).split()[2].rstrip(":"): line for line in said}


def calls_in(spans: Sequence[Span]) -> Counter[tuple[str, str]]:
    """How many there are over HTTP, by service and kind."""
    return Counter((span.service, span.kind) for span in spans if "http.url" in span.attributes)


@pytest.mark.parametrize("libraries", REDIS)
def test_work_that_is_handed_on(edge: Edge, cell: Callable[..., None], libraries: tuple[str, ...]) -> None:
    kinds = [(what, style) for what in ("stream", "list", "channel") for style in ("sync", "async")]
    for what, style in kinds:
        for sampled in (True, False):
            cell(f"Redis {what}s", libraries[0], style=style, sampled=sampled)
    url = edge.system.start_redis()
    env = {"REDIS_URL": url, "OTEL_TRACEBATON_REDIS_MESSAGES": "streams, lists, pubsub"}
    _, peer = serve(edge, "peer", "peer:app")
    rules = "POST /send/sampled=1, *=0"
    _, sender = serve(edge, "redis_sender", "redis_sender:app", libraries, OTEL_TRACES_SAMPLER_ARG=rules, **env)
    workers = dict(start_worker(edge, libraries, {**env, "PEER": peer}, *kind) for kind in kinds)
    with redis.Redis.from_url(url) as client:
        channels = [f"channel-{style}" for style in ("sync", "async")]
        assert wait_for(lambda: {count for _, count in client.pubsub_numsub(*channels)} == {1}, 30)
    for name in NAMES:
        httpx.post(f"{sender}/send/{name}").raise_for_status()
    for worker, child in workers.items():
        child.wait_until(lambda worker=worker: len(of_jobs(edge.system.logs(worker))) == 3, "its jobs", 30)
    spans = edge.spans(lambda spans: Counter(span.kind for span in spans)["CONSUMER"] == 12)
    spans = [span for span in spans if span.name != "XGROUP CREATE"]  # which begins a worker, and is no part of a job
    traces = {span.trace_id for span in spans if span.service == "redis_sender" and span.kind == "SERVER"}
    assert len(traces) == 1
    for worker in workers:
        jobs = of_jobs(edge.system.logs(worker))
        # The caller's trace goes on through the worker, whose lines have its ids, to the agent that it calls.
        for line in jobs.values():
            _, trace_id, _, flags = line["message"].split()[-1].split("-")
            assert (trace_id, f"{int(flags, 16) & 1:02}") == (line["trace_id"], line["trace_flags"])
        assert {name: line["trace_flags"] for name, line in jobs.items()} == {
            "sampled": "01",
            "unsampled": "00",
            "failing": "00",
        }
        assert jobs["sampled"]["trace_id"] in traces
        failed = [span for span in spans if span.service == worker and "tracebaton.kept" in span.attributes]
        kept = assert_partial(failed)
        assert (kept.trace_id, kept.status) == (jobs["failing"]["trace_id"], "ERROR")
        assert kept.span_id == jobs["failing"]["span_id"]
        own = [span for span in spans if span.service == worker and span not in failed]
        called = Counter((span.kind, span.name) for span in own)
        acknowledged = {("CLIENT", "XACK"): 1} if worker.startswith("stream") else {}
        assert called == {("CONSUMER", f"process {worker}"): 1, ("CLIENT", "GET"): 1, **acknowledged}
    sampled = [span for span in spans if span.trace_id in traces]
    assert_whole(sampled)
    assert Counter(span.kind for span in sampled if span.service == "peer") == {"SERVER": 6}
    assert {span.trace_id for span in spans} - traces == {
        of_jobs(edge.system.logs(worker))["failing"]["trace_id"] for worker in workers
    }


@pytest.mark.parametrize("libraries", REDIS)
def test_calls_of_a_worker_are_no_polls(edge: Edge, cell: Callable[..., None], libraries: tuple[str, ...]) -> None:
    """By default: 40 jobs are 40 traces, what waits for them is none, and a message is as it was sent."""
    cell("calls of a Redis worker", libraries[0], style="sync", sampled=True, outcome="each a trace")
    url = edge.system.start_redis()
    with redis.Redis.from_url(url) as client:
        client.rpush("jobs", *range(40))
        _, peer = serve(edge, "peer", "peer:app")
        edge.start("poller", "python", "redis_poller.py", libraries=libraries, env={"REDIS_URL": url, "PEER": peer})
        enough = Counter({("peer", "SERVER"): 40, ("poller", "CLIENT"): 40})
        spans = edge.spans(lambda spans: calls_in(spans) >= enough, 40)
        assert client.xrange("started")[0][1] == {b"name": b"poller"}  # type: ignore[index]
    calls = [span for span in spans if span.service == "poller"]
    assert Counter(span.name for span in calls if span.name in ("GET", "BLPOP", "PING")) == {"GET": 40}
    assert_whole([span for span in spans if span.service == "peer" or span.name == "GET"], roots=40)
