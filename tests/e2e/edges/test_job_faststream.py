"""A request publishes messages with faststream, whose own telemetry is on without a word in the application."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest
from edge_services import assert_whole
from libraries import EVERY_AGE, ages
from processes import wait_for
from test_job_queues import Queue, Shop

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_services import Edge

NEWEST, OLDEST = "faststream[redis,cli]==0.7.8", "faststream[redis,cli]==0.5.34"
FASTSTREAM = Queue("faststream", "call", "python -m faststream run job_faststream_tasks:app", ("call",))


def end(shop: Shop) -> None:
    shop.worker.signal(signal.SIGTERM)
    assert wait_for(lambda: shop.worker.returncode is not None, 30), shop.worker.output_end()


@pytest.mark.parametrize("libraries", ages(NEWEST, OLDEST))
@pytest.mark.parametrize("redis_messages", ["off", "streams,lists,pubsub"])
def test_a_message_is_part_of_the_request_that_published_it(
    edge: Edge, cell: Callable[..., None], libraries: tuple[str, ...], redis_messages: str
) -> None:
    """Redis' messages make no second span of it."""
    release = libraries[0].partition("==")[2]
    for style in ("sync", "async"):
        for sampled in (True, False):
            cell("job queue", f"faststream {release}", style=style, sampled=sampled)
    shop = Shop(edge, FASTSTREAM._replace(redis_messages=redis_messages), libraries)
    assert wait_for(lambda: "started successfully" in str(edge.system.logs("worker")), 30, 0.1)
    sampled = {task: shop.add(task, sampled=True) for task in ("call", "channel", "stream", "fail")}
    unsampled = {task: shop.add(task, sampled=False) for task in ("call", "channel", "stream", "fail")}
    for traces in (sampled, unsampled):
        for task, trace_id in traces.items():
            for line in shop.runs(trace_id, 2 if task == "stream" else 1):
                assert trace_id in line["message"]
    shop.add_plainly("call")
    end(shop)
    spans = edge.whole(
        sampled.values(), lambda spans: {*sampled.values(), unsampled["fail"]} <= {span.trace_id for span in spans}
    )
    of_requests = [span for span in spans if span.trace_id in sampled.values()]
    assert_whole(of_requests, roots=4)
    runs = [(span.name, span.status) for span in of_requests if span.kind == "CONSUMER"]
    assert sorted(runs) == [
        ("call process", "UNSET"),
        ("call process", "UNSET"),
        ("channel process", "UNSET"),
        ("fail process", "ERROR"),
        ("stream process", "UNSET"),
    ]
    assert not [span for span in spans if span.trace_id in {unsampled[task] for task in ("call", "channel", "stream")}]
    (kept,) = (span for span in spans if span.trace_id == unsampled["fail"] and span.kind == "CONSUMER")
    assert (kept.name, kept.attributes["tracebaton.kept"]) == ("fail process", "error")
    assert kept.attributes["messaging.system"] == "redis"
    assert not EVERY_AGE or shop.is_run_plainly("call")


def test_a_middleware_that_the_application_adds_is_the_only_one(edge: Edge) -> None:
    command = FASTSTREAM.command.replace("_tasks", "_own_tasks")
    shop = Shop(edge, FASTSTREAM._replace(name="faststream_own", command=command), (NEWEST,))
    assert wait_for(lambda: "started successfully" in str(edge.system.logs("worker")), 30, 0.1)
    sampled = shop.add("call", sampled=True)
    shop.runs(sampled)
    end(shop)
    spans = edge.whole({sampled}, lambda spans: any(span.kind == "CONSUMER" for span in spans))
    assert_whole([span for span in spans if span.trace_id == sampled])
    kinds = [span.kind for span in spans if span.trace_id == sampled]
    assert (kinds.count("CONSUMER"), kinds.count("PRODUCER")) == (1, 2)  # `create` and `publish`
