"""A request sends tasks of taskiq; with the library's own instrumentation, where what that needs is installed."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest
from edge_services import assert_partial, assert_whole
from libraries import ages
from processes import wait_for
from test_job_queues import Queue, Shop
from test_job_queues import test_a_job_is_part_of_the_request_that_added_it as check

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_services import Edge

NEWEST = "taskiq==0.13.0 taskiq_redis==1.2.4"
TASKIQ = Queue(
    *("taskiq", "taskiq", "taskiq worker job_taskiq_tasks:broker --workers 1", ("call", "call_async")),
    late="late",
)


@pytest.mark.parametrize("libraries", ages(NEWEST, "taskiq==0.11.7 taskiq_redis==1.0.2"))
@pytest.mark.parametrize("redis_messages", ["off", "streams,lists,pubsub"])
def test_a_task_is_part_of_the_request_that_sent_it(
    edge: Edge, cell: Callable[..., None], libraries: tuple[str, ...], redis_messages: str
) -> None:
    """Redis' messages make no second span of it."""
    check(edge, cell, TASKIQ._replace(redis_messages=redis_messages), libraries)


def test_its_own_instrumentation_is_used_where_it_can_be(edge: Edge, cell: Callable[..., None]) -> None:
    for sampled in (True, False):
        cell("job queue", "taskiq 0.13.0, its own instrumentation", style="async", sampled=sampled)
    shop = Shop(edge, TASKIQ, (*NEWEST.split(), "psutil==7.1.0"))
    sampled, unsampled = (shop.add("call_async", sampled=decision) for decision in (True, False))
    failed, kept = (shop.add("fail", sampled=decision) for decision in (True, False))
    for trace_id in (sampled, unsampled, failed, kept):
        (line,) = shop.runs(trace_id)
        assert trace_id in line["message"]
    shop.worker.signal(signal.SIGTERM)
    assert wait_for(lambda: shop.worker.returncode is not None, 30), shop.worker.output_end()
    spans = edge.whole({sampled}, lambda spans: {sampled, kept} <= {span.trace_id for span in spans})
    of_request = [span for span in spans if span.trace_id == sampled]
    assert_whole(of_request)
    names = sorted(span.name for span in of_request if span.kind in ("PRODUCER", "CONSUMER"))
    assert names == ["execute/job_taskiq_tasks:call_async", "send/job_taskiq_tasks:call_async"]
    assert unsampled not in {span.trace_id for span in spans}
    assert assert_partial([span for span in spans if span.trace_id == kept]).kind == "CONSUMER"
    runs = [span.status for span in spans if span.trace_id == failed and span.kind == "CONSUMER"]
    assert runs == ["ERROR"]  # and it is the instrumentation's
    assert len({(span.trace_id, span.span_id) for span in spans}) == len(spans)  # each delivered once
    errors = {line["logger"] for line in edge.system.logs("worker") if line.get("level") == "ERROR"}
    assert not {name for name in errors if not name.startswith("taskiq.")}  # the launcher, called again, says nothing
