"""A request adds a job, a worker runs it and calls the next service: one trace, whichever queue is between them."""

from __future__ import annotations

import signal
import subprocess
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx
import pytest
from edge_services import APPS, assert_partial, assert_whole
from libraries import EVERY_AGE, ages, environment
from processes import HOST, is_listening, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge_services import Edge
    from processes import Child

NEWEST = "arq==0.28.0 rq==3.0.0 dramatiq[redis]==2.2.1 huey==3.5.4 apscheduler==3.11.3 rq-scheduler==0.14.0"
OLDEST = (
    "arq==0.26.1 rq==1.16.2 dramatiq[redis]==1.17.0 huey==2.5.1 apscheduler==3.10.4 rq-scheduler==0.13.1 setuptools<80"
)


class Queue(NamedTuple):
    """`fail` is the task that raises, `again` the one that runs twice; `late` is one that takes too long."""

    name: str
    destination: str
    command: str
    calls: tuple[str, ...]
    fail: str = "fail"
    again: str = "again"
    late: str = ""
    too_late: str = "Timeout"
    redis_messages: str = "off"


ARQ = Queue(
    *("arq", "arq:queue", "arq job_arq_tasks.WorkerSettings", ("call_async",), "fail_async", "again_async"),
    late="late_async",
)
RQ = Queue("rq", "default", "rq worker", ("call", "call_async"))
DRAMATIQ = Queue(
    *("dramatiq", "default", "dramatiq job_dramatiq_tasks -p 1 -t 2", ("call", "call_async")),
    late="late",
    too_late="TimeLimitExceeded",
)
HUEY = Queue("huey", "huey", "huey_consumer job_huey_tasks.huey", ("call",))
QUEUES = [ARQ, RQ, DRAMATIQ, HUEY]
# Of a library's other kinds of workers.
WORKERS = [
    RQ._replace(command="rq worker -w rq.worker.SimpleWorker"),
    RQ._replace(command="rq worker -w rq.worker.SpawnWorker"),
    HUEY._replace(command="huey_consumer job_huey_tasks.huey -k process"),
    HUEY._replace(command="huey_consumer job_huey_tasks.huey -k greenlet"),
]


def named(queue: Queue) -> str:
    return "-".join([queue.name, *queue.command.replace("-", "").split()[2:]])


def is_up(port: int) -> Callable[[], bool]:
    return lambda: is_listening(port)


class Shop:
    """The agent, the worker and the next service, of which only the first two are told what to sample."""

    def __init__(self, edge: Edge, queue: Queue, libraries: tuple[str, ...]) -> None:
        self.edge, self.queue, self.libraries = edge, queue, libraries
        redis = edge.system.start_redis()
        peer, agent = edge.system.free_port(), edge.system.free_port()
        self.url = f"http://{HOST}:{agent}"
        self.variables = {
            "REDIS_URL": redis,
            "RQ_REDIS_URL": redis,
            "PEER": f"http://{HOST}:{peer}",
            "TASKS": f"job_{queue.name}_tasks",
            "OTEL_TRACEBATON_REDIS_MESSAGES": queue.redis_messages,
        }
        uvicorn = ("python", "-m", "uvicorn", "--port")
        of_agent = {"OTEL_TRACES_SAMPLER_ARG": "GET /sampled*=1, *=0"}
        started = [
            self.start("peer", *uvicorn, str(peer), "peer:app", OTEL_TRACES_SAMPLER_ARG="*=0"),
            self.start("agent", *uvicorn, str(agent), "job_agent:app", **of_agent),
        ]
        self.worker = self.start_worker()
        for child, port in zip(started, (peer, agent), strict=True):
            child.wait_until(is_up(port), "listening", 60)

    def start(self, name: str, *command: str, **variables: str) -> Child:
        return self.edge.start(name, *command, libraries=self.libraries, env={**self.variables, **variables})

    def start_worker(self) -> Child:
        words = self.queue.command.split()
        # Nothing is delivered before the worker, or rq's work horse, ends.
        return self.start("worker", *words, OTEL_TRACES_SAMPLER_ARG="CLIENT *=1, *=1", OTEL_BSP_SCHEDULE_DELAY="60000")

    def add(self, task: str, *, sampled: bool) -> str:
        """Have a request add that task; returns its trace id."""
        known = len(self.edge.system.logs("agent"))
        httpx.get(f"{self.url}/{'sampled' if sampled else 'unsampled'}/{task}", timeout=20).raise_for_status()
        lines = [line for line in self.edge.system.logs("agent")[known:] if line["message"] == f"adding {task}"]
        return str(lines[0]["trace_id"])

    def lines(self, trace_id: str, begin: str = "") -> list[dict[str, Any]]:
        """Those that the worker has logged for that trace, and that begin so."""
        found = (line for line in self.edge.system.logs("worker") if line.get("trace_id") == trace_id)
        return [line for line in found if str(line["message"]).startswith(begin)]

    def runs(self, trace_id: str, times: int = 1) -> list[dict[str, Any]]:
        """The lines of what the worker runs for that trace, so many times."""
        assert wait_for(lambda: len(self.lines(trace_id, "ran ")) >= times, 30, 0.1), self.worker.output_end()
        return self.lines(trace_id, "ran ")

    def start_plainly(self, name: str, *words: str) -> Child:
        """As a program that knows nothing of tracing."""
        program = str(environment(self.libraries) / words[0])
        variables = {**self.variables, "PYTHONPATH": str(APPS)}
        return self.edge.system.start(name, [program, *words[1:]], env=variables, cwd=APPS)

    def add_plainly(self, task: str) -> None:
        """Have a plain program add that task, and wait until the worker has run it, for a trace of its own."""
        code = f"import asyncio, job_{self.queue.name}_tasks as tasks; asyncio.run(tasks.add({task!r}))"
        self.start_plainly("producer", "python", "-c", code)
        of_requests = {line.get("trace_id") for line in self.edge.system.logs("agent")}

        def is_run() -> bool:
            ran = [line for line in self.edge.system.logs("worker") if str(line.get("message")).startswith("ran ")]
            return any(line["trace_id"] not in of_requests for line in ran)

        assert wait_for(is_run, 30, 0.1), self.worker.output_end()

    def is_run_plainly(self, task: str) -> bool:
        """Whether a plain worker runs what the agent adds."""
        self.add(task, sampled=True)
        worker = self.start_plainly("plain", *self.queue.command.split())
        return wait_for(lambda: f"ran {task} of order-1" in worker.output(), 30, 0.1)


@pytest.mark.parametrize("queue", [*QUEUES, *(WORKERS if EVERY_AGE else ())], ids=named)
@pytest.mark.parametrize("libraries", ages(NEWEST, OLDEST))
def test_a_job_is_part_of_the_request_that_added_it(
    edge: Edge, cell: Callable[..., None], queue: Queue, libraries: tuple[str, ...]
) -> None:
    if "Spawn" in queue.command and OLDEST.split() == list(libraries):
        pytest.skip("there is none in that environment")
    kind = " ".join(queue.command.split()[2:]) if queue in WORKERS else ""
    (release, *_) = (
        word.partition("==")[2] for word in libraries if word.startswith((f"{queue.name}=", f"{queue.name}["))
    )
    for task in queue.calls:
        for sampled in (True, False):
            style = "async" if "async" in task else "sync"
            cell("job queue", f"{queue.name} {release} {kind}".strip(), style=style, sampled=sampled)
    shop = Shop(edge, queue, libraries)

    sampled = {shop.add(task, sampled=True): task for task in queue.calls}
    unsampled = {shop.add(task, sampled=False): task for task in queue.calls}
    failed, kept = shop.add(queue.fail, sampled=True), shop.add(queue.fail, sampled=False)
    twice = shop.add(queue.again, sampled=True)
    for trace_id in (*sampled, *unsampled, failed, kept):
        (line,) = shop.runs(trace_id)
        assert trace_id in line["message"]
    assert len(shop.runs(twice, 2)) == 2
    late = shop.add(queue.late, sampled=False) if queue.late and EVERY_AGE else ""
    shop.add_plainly(queue.calls[0])
    if late:
        shop.runs(late)
        assert wait_for(lambda: any(queue.too_late in str(line) for line in shop.lines(late)), 20, 0.1)
    shop.worker.signal(signal.SIGTERM)
    assert wait_for(lambda: shop.worker.returncode is not None, 30), shop.worker.output_end()

    wanted = {*sampled, failed, kept, twice, *((late,) if late else ())}
    spans = edge.whole(
        {*sampled, failed, twice}, lambda spans: wanted <= {span.trace_id for span in spans if span.service == "worker"}
    )
    jobs = [span for span in spans if span.kind == "CONSUMER"]
    assert {span.name for span in jobs} == {f"process {queue.destination}"}
    assert {span.attributes["messaging.system"] for span in jobs} == {queue.name}
    assert all(span.attributes["messaging.message.id"] for span in jobs)
    (kept_span,) = (span for span in jobs if span.trace_id == kept)
    assert kept_span.attributes["tracebaton.kept"] == "error"
    assert kept_span.attributes["error.type"] == "ValueError"
    # The request that added it ended well, and what the job called before it failed is below it.
    path = [span for span in spans if span.trace_id == kept]
    assert assert_partial(path) is kept_span
    assert ("CLIENT", "GET", kept_span.span_id) in {(span.kind, span.name, span.parent_span_id) for span in path}
    assert [span.trace_id for span in jobs if span.trace_id == late] == ([late] if late else [])
    (failed_span,) = (span for span in jobs if span.trace_id == failed)
    assert (failed_span.status, failed_span.attributes["error.type"]) == ("ERROR", "ValueError")
    of_requests = [span for span in spans if span.trace_id in {*sampled, failed, twice}]
    assert_whole(of_requests, roots=len(sampled) + 2)
    servers = {span.trace_id: span.span_id for span in of_requests if span.service == "agent" and span.kind == "SERVER"}
    runs = [span for span in jobs if span.trace_id in servers]
    assert {span.parent_span_id for span in runs} == set(servers.values())
    assert len([span for span in runs if span.trace_id == twice]) == 2
    below = {span.parent_span_id for span in of_requests if span.service == "worker" and span.kind == "CLIENT"}
    assert below >= {span.span_id for span in runs}
    assert not unsampled.keys() & {span.trace_id for span in spans}
    assert len([span for span in jobs if not span.parent_span_id]) == 1  # that of the plain producer
    # What a worker says to Redis on its own account is what it says at its start and its end. (Each work horse of a
    # SpawnWorker has a start of its own, before it comes to its job.)
    own = [span.name for span in spans if (span.service, span.kind, span.parent_span_id) == ("worker", "CLIENT", "")]
    assert "Spawn" in queue.command or len(own) <= len(set(own)) + 2 < 10, own
    assert not EVERY_AGE or shop.is_run_plainly(queue.calls[0])


@pytest.mark.parametrize("libraries", ages(NEWEST, OLDEST))
def test_what_the_libraries_do_stays_as_it_was(root: Path, libraries: tuple[str, ...]) -> None:
    tests = root / "tests" / "configurator" / "propagation" / "job_patches.py"
    command = [str(environment(libraries) / "python"), "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tests)]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
