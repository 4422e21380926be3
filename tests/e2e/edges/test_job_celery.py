"""A request publishes tasks of celery, which a worker runs in processes of its own."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest
from edge_services import assert_partial, assert_whole
from libraries import EVERY_AGE, ages
from processes import wait_for
from test_job_queues import Queue, Shop
from test_job_queues import test_a_job_is_part_of_the_request_that_added_it as check

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_services import Edge

NEWEST, OLDEST = "celery[redis]==5.7.0", "celery[redis]==5.4.0 kombu==5.4.2"
CELERY = Queue(
    *("celery", "celery", "celery -A job_celery_tasks worker -c 2 -l INFO", ("call",)),
    late="late",
    too_late="SoftTimeLimitExceeded",
)


THREADS = CELERY._replace(command="celery -A job_celery_tasks worker -c 2 -P threads -l INFO", late="")


@pytest.mark.parametrize(
    "queue", [CELERY, THREADS] if EVERY_AGE else [CELERY], ids=["prefork", "threads"][: 1 + EVERY_AGE]
)
@pytest.mark.parametrize("libraries", ages(NEWEST, OLDEST))
def test_a_task_is_part_of_the_request_that_published_it(
    edge: Edge, cell: Callable[..., None], queue: Queue, libraries: tuple[str, ...]
) -> None:
    check(edge, cell, queue, libraries)


@pytest.mark.parametrize("libraries", [pytest.param((NEWEST,), id="newest")])
def test_chains_chords_and_eager_tasks(edge: Edge, libraries: tuple[str, ...]) -> None:
    # Processes that end after each task: nobody tells them to.
    queue = CELERY._replace(command="celery -A job_celery_tasks worker -c 2 --max-tasks-per-child 1")
    shop = Shop(edge, queue, libraries)
    chained, joined, eager = (shop.add(task, sampled=True) for task in ("chain", "chord", "eager"))
    shop.runs(chained, 2)
    shop.runs(joined, 3)
    shop.worker.signal(signal.SIGTERM)
    assert wait_for(lambda: shop.worker.returncode is not None, 30), shop.worker.output_end()
    spans = edge.whole({chained, joined, eager}, lambda spans: sum(span.kind == "CONSUMER" for span in spans) >= 5)
    of_requests = [span for span in spans if span.trace_id in {chained, joined, eager}]
    assert_whole(of_requests, roots=3)
    counted = dict.fromkeys((chained, joined, eager), 0)
    for span in of_requests:
        counted[span.trace_id] += span.kind == "CONSUMER"
    assert counted == {chained: 2, joined: 3, eager: 0}
    assert [span.name for span in spans if span.service == "worker" and not span.parent_span_id] == []
    ran = [line for line in edge.system.logs("agent") if str(line.get("message")).startswith("ran ")]
    assert {line["trace_id"] for line in ran} == {eager}


def test_the_official_instrumentation_goes_first(edge: Edge, cell: Callable[..., None]) -> None:
    for sampled in (True, False):
        cell("job queue", "celery 5.7.0, opentelemetry-instrumentation-celery", style="sync", sampled=sampled)
    shop = Shop(edge, CELERY, (NEWEST, "opentelemetry-instrumentation-celery==0.66b2"))
    sampled, unsampled = (shop.add("call", sampled=decision) for decision in (True, False))
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
    assert names == ["apply_async/job_celery_tasks.call", "run/job_celery_tasks.call"]
    assert unsampled not in {span.trace_id for span in spans}
    assert assert_partial([span for span in spans if span.trace_id == kept]).kind == "CONSUMER"
    runs = [span.status for span in spans if span.trace_id == failed and span.kind == "CONSUMER"]
    assert runs == ["ERROR"]  # and it is the instrumentation's
