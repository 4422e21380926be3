"""What the patches of the job queues leave as it was, with the real libraries.

Run by tests/e2e/edges/test_job_queues.py in an environment that has them.
"""

# ruff: noqa: S106, S301 (no secrets, and what it reads it has written)
from __future__ import annotations

import asyncio
import copy
import gc
import importlib
import json
import pickle
import sys
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from threading import Event
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.trace import StatusCode

from tracebaton_configurator.patching import registry
from tracebaton_configurator.propagation import job_queues
from tracebaton_configurator.propagation.incoming import Incoming, trace_headers
from tracebaton_configurator.sampling.late_spans import REASON

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    MakeTraced = Callable[..., Any]

TRACE, SENDER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
HEADERS = {"traceparent": f"00-{TRACE}-{SENDER}-01", "tracestate": "a=b", "baggage": "tenant=acme"}

import arq.connections  # noqa: E402 (before the patches, so that what they replace is known)
import arq.jobs  # noqa: E402
import arq.worker  # noqa: E402
import rq.worker  # noqa: E402
from apscheduler.events import EVENT_JOB_EXECUTED  # noqa: E402
from apscheduler.job import Job as ScheduledJob  # noqa: E402
from rq.job import Job  # noqa: E402

restore_plainly = Job.restore
deserialize_plainly = arq.jobs.deserialize_job_raw
scheduled_plainly = ScheduledJob.__setstate__

job_queues.install()

import dramatiq  # noqa: E402
from apscheduler.schedulers.background import BackgroundScheduler  # noqa: E402
from dramatiq.brokers.stub import StubBroker  # noqa: E402
from huey import MemoryHuey  # noqa: E402
from huey.registry import Message  # noqa: E402
from huey.serializer import Serializer, SignedSerializer  # noqa: E402
from rq_scheduler import Scheduler  # noqa: E402


@contextmanager
def in_a_request() -> Iterator[dict[str, str]]:
    with Incoming("request", HEADERS):
        yield trace_headers()


def test_every_patch_is_applied() -> None:
    here = ("apscheduler", "arq", "dramatiq", "huey", "rq")
    assert {name: registry.outcome(name) for name in here} == dict.fromkeys(here, ("applied", ""))


# By patch: a part of the library that it needs, and the module that it is applied for.
NEEDED = {
    "apscheduler": ("apscheduler.job", "Job.__setstate__"),
    "arq": ("arq.worker", "Worker._poll_iteration"),
    "dramatiq": ("dramatiq.worker", "_WorkerThread.process_message"),
    "huey": ("huey.api", "Huey.execute"),
    "rq": ("rq.worker", "handle_exception"),
}


@pytest.mark.parametrize("name", NEEDED)
def test_a_patch_that_declines_leaves_the_library_as_it_was(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_outcomes", {})
    module_name, needed = NEEDED[name]
    module: Any = sys.modules[module_name]
    if name == "rq":
        owner = getattr(module, "BaseWorker", module.Worker)
        needed = f"{(owner if needed in vars(owner) else module.Worker).__name__}.{needed}"
    monkeypatch.delattr(f"{module_name}.{needed}")

    def state() -> dict[tuple[str, str], object]:
        modules = {key: one for key, one in sys.modules.items() if key.partition(".")[0] == name}
        owners = {f"{key}.{word}": one for key, of in modules.items() for word, one in vars(of).items()}
        classes = {key: one for key, one in owners.items() if isinstance(one, type)}
        return {(key, word): one for key, of in {**modules, **classes}.items() for word, one in vars(of).items()}

    before = state()
    replace = importlib.import_module(f"tracebaton_configurator.propagation.job_{name}").replace
    assert not registry.apply(name, lambda: replace(module))
    after = state()
    assert [key for key in before if after.get(key) is not before[key] and not key[1].startswith("__")] == []
    assert before.keys() == after.keys()


class TestArq:
    def serialize(self, **kwargs: Any) -> bytes:
        serialize: Any = arq.connections.serialize_job
        return bytes(serialize("send", (1,), {"a": 2}, None, 1700000000000, **kwargs))

    def test_any_worker_can_read_a_job(self, traced: MakeTraced) -> None:
        traced()
        with in_a_request() as headers:
            job = self.serialize()
        assert pickle.loads(job) == {"t": None, "f": "send", "a": (1,), "k": {"a": 2}, "et": 1700000000000, **headers}
        assert deserialize_plainly(job) == ("send", (1,), {"a": 2}, None, 1700000000000)

    def test_outside_a_request_not_a_byte_differs(self, traced: MakeTraced) -> None:
        traced()
        assert self.serialize() == arq.jobs.serialize_job("send", (1,), {"a": 2}, None, 1700000000000)

    def test_a_serializer_that_takes_nothing_else(self, traced: MakeTraced) -> None:
        traced()

        def strict(data: dict[str, Any]) -> bytes:
            assert data.keys() == {"t", "f", "a", "k", "et"}
            return json.dumps(data).encode()

        with in_a_request():
            assert json.loads(self.serialize(serializer=strict))["f"] == "send"

    def test_a_job_that_cannot_be_read_fails_as_it_did(self) -> None:
        for deserialize in (arq.worker.deserialize_job_raw, deserialize_plainly):
            with pytest.raises(arq.jobs.DeserializationError):
                deserialize(b"nonsense")


class TestRq:
    def make(self) -> Any:
        return Job.create("os.getcwd", args=(1,), connection=object(), meta={"user": "u1"})

    def test_the_application_sees_nothing_of_it(self, traced: MakeTraced) -> None:
        traced()
        with in_a_request() as headers:
            job = self.make()
            saved = job.to_dict()
        assert job.meta == {"user": "u1"}
        assert headers.items() <= saved.items()
        assert job.to_dict() == saved  # saved once more, in whatever context
        stored = {name.encode(): value.encode() if isinstance(value, str) else value for name, value in saved.items()}
        for restore in (restore_plainly, Job.restore):
            there: Any = Job("there", connection=object())
            restore(there, stored)
            assert (there.func_name, there.args, there.meta) == (
                "os.getcwd",
                [1] if there.args == [1] else (1,),
                job.meta,
            )
        assert headers.items() <= there.to_dict().items()

    def test_a_job_whose_id_was_used_before_has_nothing_of_that(self, traced: MakeTraced) -> None:
        """Its hash is written over the one that there is: `HSET`."""
        made = traced()
        with in_a_request():
            stored = self.make().to_dict()
        stored |= self.make().to_dict()
        span = self.run(made, self.restored(stored))
        assert (span.parent, span.links) == (None, ())

    def test_a_job_of_another_producer_stays_one(self, traced: MakeTraced) -> None:
        traced()
        saved = {name: value for name, value in self.make().to_dict().items() if name not in HEADERS}
        there: Any = Job("there", connection=object())
        there.restore({name: value.encode() if isinstance(value, str) else value for name, value in saved.items()})
        with in_a_request():
            assert "traceparent" not in there.to_dict()

    def run(self, made: Any, job: Any) -> Any:
        job.origin = "default"
        perform: Any = rq.worker.Worker.perform_job
        with pytest.raises((AttributeError, TypeError)):
            perform(None, job, None, None)  # without a worker
        (span,) = (span for span in made.spans() if span.name == "process default")
        return span

    def test_a_job_that_repeats_is_linked(self, traced: MakeTraced) -> None:
        made = traced()
        job = self.make()
        job.repeats_left, job._tracebaton_headers = 3, HEADERS
        span = self.run(made, job)
        assert span.parent is None
        assert [f"{link.context.trace_id:032x}" for link in span.links] == [TRACE]

    def restored(self, saved: dict[str, Any]) -> Any:
        there: Any = Job("there", connection=object())
        there.restore(
            {name.encode(): value.encode() if isinstance(value, str) else value for name, value in saved.items()}
        )
        return there

    @pytest.mark.parametrize("meta", [{"interval": 5}, {"cron_string": "* * * * *"}])
    def test_what_an_application_calls_by_these_names_is_its_own(self, traced: MakeTraced, meta: Any) -> None:
        made = traced()
        with in_a_request() as headers:
            job = self.restored(Job.create("os.getcwd", connection=object(), meta=meta).to_dict())
        assert job.meta == meta
        assert f"{self.run(made, job).parent.span_id:016x}" == headers["traceparent"][36:52]

    @pytest.mark.parametrize("kind", ["interval", "cron", "once"])
    def test_a_job_that_rq_scheduler_repeats_is_linked(self, traced: MakeTraced, kind: str) -> None:
        made, saved = traced(), {}
        connection: Any = SimpleNamespace(
            hset=lambda _, mapping: saved.update(mapping), zadd=lambda *_: 1, info=lambda _: {"redis_version": "7.0.0"}
        )
        scheduler = Scheduler(connection=connection)
        with in_a_request() as headers:
            if kind == "cron":
                scheduler.cron("* * * * *", "os.getcwd")
            else:
                scheduler.schedule(datetime.now(timezone.utc), "os.getcwd", interval=5 if kind == "interval" else None)
        span = self.run(made, self.restored(saved))
        sender = headers["traceparent"][36:52]
        if kind == "once":
            assert f"{span.parent.span_id:016x}" == sender
        else:
            assert span.parent is None
            assert [f"{link.context.span_id:016x}" for link in span.links] == [sender]


class TestDramatiq:
    @pytest.fixture
    def broker(self) -> Iterator[Any]:
        broker = StubBroker(middleware=[dramatiq.middleware.Retries(max_retries=1, min_backoff=1, max_backoff=1)])
        yield broker
        broker.close()

    def run(self, broker: Any, body: Callable[[], None], **options: Any) -> None:
        actor = dramatiq.actor(body, broker=broker, actor_name="act")
        worker = dramatiq.Worker(broker, worker_timeout=10, worker_threads=1)
        worker.start()
        try:
            broker.enqueue(actor.message_with_options(**options))
            broker.join(actor.queue_name, fail_fast=False)
            worker.join()
        finally:
            worker.stop()

    def test_a_message_that_is_tried_again_has_the_same_parent(self, traced: MakeTraced, broker: Any) -> None:
        made = traced()
        with in_a_request() as headers:
            self.run(broker, lambda: 1 // 0)
        runs = [span for span in made.spans() if span.name == "process default"]
        assert {f"{span.parent.span_id:016x}" for span in runs} == {headers["traceparent"][36:52]}
        assert [span.status.status_code for span in runs] == [StatusCode.ERROR] * 2

    @pytest.mark.parametrize("error", [dramatiq.errors.Retry("later"), dramatiq.errors.RateLimitExceeded("later")])
    def test_one_that_asks_to_come_again_has_not_failed(
        self, traced: MakeTraced, broker: Any, error: Exception
    ) -> None:
        made = traced("*=0")

        def later() -> None:
            raise error

        self.run(broker, later)
        assert made.spans() == []

    def test_a_message_that_is_sent_twice_is_two(self, traced: MakeTraced, broker: Any) -> None:
        traced()
        actor = dramatiq.actor(lambda: None, broker=broker, actor_name="act")
        message = actor.message_with_options(baggage="mine")
        sent = broker.queues["default"]
        with in_a_request() as headers:
            broker.enqueue(message)
        assert message.options == {"baggage": "mine"}
        broker.enqueue(message)
        first, second = (dramatiq.Message.decode(sent.get()).options for _ in range(2))
        assert headers.items() <= first.items()
        assert second == {"baggage": "mine"}

    def test_neither_has_one_that_could_not_be_sent(
        self, traced: MakeTraced, broker: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        traced()
        message = dramatiq.actor(lambda: None, broker=broker, actor_name="act").message()
        with in_a_request(), monkeypatch.context() as patch:
            patch.setattr(type(message), "encode", lambda _: 1 // 0)
            with pytest.raises(ZeroDivisionError):
                broker.enqueue(message)
        broker.enqueue(message)
        assert "traceparent" not in dramatiq.Message.decode(broker.queues["default"].get()).options

    def test_an_option_that_is_no_trace_context_stays(self, traced: MakeTraced, broker: Any) -> None:
        made, found = traced(), []
        before = dramatiq.Middleware()
        before.before_process_message = lambda _, message: found.append(message.options)
        broker.add_middleware(before)
        self.run(broker, lambda: None, traceparent="mine")
        assert found[0]["traceparent"] == "mine"
        assert made.spans()[0].parent is None


class JsonSerializer(Serializer):
    def _serialize(self, data: Any) -> bytes:
        return json.dumps(data).encode()

    def _deserialize(self, data: bytes) -> Any:
        return Message(*json.loads(data))


class TestHuey:
    @pytest.mark.parametrize("options", [{}, {"compression": True}, {"compression": True, "use_zlib": True}])
    @pytest.mark.parametrize("signed", [True, False])
    def test_a_task_carries_it_through_any_pickle(self, traced: MakeTraced, options: Any, *, signed: bool) -> None:
        made = traced()
        serializer = SignedSerializer(secret="s", **options) if signed else Serializer(**options)
        queue = MemoryHuey(serializer=serializer)
        seen: list[Any] = []
        task = queue.task()(lambda *args, **kwargs: seen.append((args, kwargs)))
        with in_a_request() as headers:
            task("ünïcode", key=[1])
        (raw,) = queue.storage.enqueued_items()
        plain = Serializer.deserialize(serializer, raw)
        assert (plain.args, plain.kwargs) == (("ünïcode",), {"key": [1]})
        queue.execute(queue.dequeue())
        assert seen == [(("ünïcode",), {"key": [1]})]
        (span,) = (span for span in made.spans() if span.name == "process huey")
        assert f"{span.parent.span_id:016x}" == headers["traceparent"][36:52]

    def test_a_plain_pickle_reader_finds_the_message(self, traced: MakeTraced) -> None:
        traced()
        queue = MemoryHuey()
        task = queue.task(name="a")(lambda: None)
        with in_a_request():
            task()
        (raw,) = queue.storage.enqueued_items()
        assert type(pickle.loads(raw)) is Message
        assert b"traceparent" in raw

    def test_outside_a_request_not_a_byte_differs(self, traced: MakeTraced) -> None:
        traced()
        queue = MemoryHuey()
        task = queue.task(name="b")(lambda: None)
        task()
        (raw,) = queue.storage.enqueued_items()
        assert raw == pickle.dumps(pickle.loads(raw), pickle.HIGHEST_PROTOCOL)

    def test_another_format_carries_nothing_and_works(self, traced: MakeTraced) -> None:
        made = traced()
        queue = MemoryHuey(serializer=JsonSerializer())
        task = queue.task(name="c")(lambda: None)
        with in_a_request():
            task()
        queue.execute(queue.dequeue())
        assert [span.parent for span in made.spans() if span.name == "process huey"] == [None]

    def test_a_retry_has_the_same_parent_and_the_next_task_this_one(self, traced: MakeTraced) -> None:
        made = traced()
        queue = MemoryHuey()
        times: list[int] = []

        def once() -> int:
            times.append(1)
            return 1 // (len(times) - 1)

        first = queue.task(retries=1, name="d")(once)
        then = queue.task(name="e")(lambda _: None)
        with in_a_request() as headers:
            queue.enqueue(first.s().then(then))
        for _ in range(3):
            queue.execute(queue.dequeue())
        runs = [span for span in made.spans() if span.name == "process huey"]
        request = headers["traceparent"][36:52]
        parents = [f"{span.parent.span_id:016x}" for span in runs]
        assert parents == [request, request, f"{runs[1].context.span_id:016x}"]
        assert [span.status.status_code for span in runs] == [StatusCode.ERROR, StatusCode.UNSET, StatusCode.UNSET]

    def test_a_task_can_be_copied_while_it_runs(self, traced: MakeTraced) -> None:
        traced()
        queue, copies = MemoryHuey(), []

        def look(task: Any = None) -> None:
            copies.append(copy.deepcopy(task))

        queue.task(context=True, name="h")(look)()
        queue.execute(queue.dequeue())
        assert len(copies) == 1

    def test_one_that_is_not_run_leaves_no_span(self, traced: MakeTraced) -> None:
        made = traced()
        queue = MemoryHuey()
        task = queue.task(name="g")(lambda: None)
        result = task()
        result.revoke()
        task.schedule(delay=60)
        for _ in range(2):
            queue.execute(queue.dequeue())
        assert len(queue.scheduled()) == 1
        assert made.spans() == []

    def test_an_immediate_task_is_a_part_of_its_caller(self, traced: MakeTraced) -> None:
        made = traced()
        queue = MemoryHuey(immediate=True)
        with in_a_request() as headers:
            found: list[dict[str, str]] = []
            queue.task(name="f")(lambda: found.append(trace_headers()))()
        assert found == [headers]
        assert [span.name for span in made.spans()] == ["request"]


def scheduled() -> None:
    """A job."""


def add(scheduler: Any, func: Any = scheduled) -> Any:
    """A job with all that a scheduler would give it once it runs."""
    return scheduler.add_job(func, next_run_time=None, misfire_grace_time=1, coalesce=False, max_instances=1)


def wait_until(condition: Callable[[], bool], *, gevent: bool) -> bool:
    """For 20 seconds at the most, in which greenlets have their turn."""
    if gevent:
        from gevent import sleep
    else:
        from time import sleep
    for _ in range(1000):
        if condition():
            return True
        sleep(0.02)
    return False


class TestApscheduler:
    def test_any_store_can_read_a_job(self, traced: MakeTraced) -> None:
        traced()
        scheduler = BackgroundScheduler()
        with in_a_request() as headers:
            job = add(scheduler)
        state = pickle.loads(pickle.dumps(job)).__getstate__()
        assert headers.items() <= state.items()
        there = object.__new__(ScheduledJob)
        scheduled_plainly(there, state)
        assert there.func is scheduled
        assert add(scheduler).__getstate__().keys() == state.keys() - headers.keys()

    def test_a_job_that_is_gone_is_forgotten(self, traced: MakeTraced) -> None:
        from tracebaton_configurator.propagation import job_apscheduler

        traced()
        with in_a_request():
            job = add(BackgroundScheduler())
        assert job_apscheduler._headers_of(job)
        del job
        gc.collect()
        assert job_apscheduler._headers == {}

    @pytest.mark.parametrize("kind", ["background", "debug", "gevent"])
    def test_each_executor_runs_it_in_a_trace_of_its_own(self, traced: MakeTraced, kind: str) -> None:
        made = traced()
        done = Event()
        scheduler = BackgroundScheduler()
        if kind == "gevent":
            scheduler = pytest.importorskip("apscheduler.schedulers.gevent").GeventScheduler()
        elif kind == "debug":
            scheduler.add_executor("debug")
        scheduler.start()
        scheduler.add_listener(lambda _: done.set(), EVENT_JOB_EXECUTED)
        with in_a_request() as headers:
            scheduler.add_job(scheduled, misfire_grace_time=60)
        assert wait_until(done.is_set, gevent=kind == "gevent")
        scheduler.shutdown()
        (span,) = (span for span in made.spans() if span.name == "run scheduled")
        assert span.parent is None
        assert [f"{link.context.span_id:016x}" for link in span.links] == [headers["traceparent"][36:52]]

    @pytest.mark.parametrize("kind", ["run_job", "run_coroutine_job"])
    def test_a_run_that_was_missed_leaves_no_span(self, traced: MakeTraced, kind: str) -> None:
        from apscheduler.executors import asyncio as executors

        made = traced()
        job = add(BackgroundScheduler(), _scheduled if "co" in kind else scheduled)
        now = datetime.now(timezone.utc)
        run = getattr(executors, kind)
        events = run(job, "default", [now - timedelta(hours=1), now], "jobs")
        events = asyncio.run(events) if "co" in kind else events
        assert len(events) == 2
        assert len(made.spans()) == 1


async def _scheduled() -> None:
    """A job."""


def test_somebody_elses_instrumentation_goes_first(traced: MakeTraced, monkeypatch: pytest.MonkeyPatch) -> None:
    made = traced()
    module = ModuleType("opentelemetry_instrumentor_dramatiq")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(job_queues, "_left_to_others", set())
    monkeypatch.setattr(registry, "_outcomes", dict(registry._outcomes))
    job_queues.install()
    assert registry.outcome("dramatiq").reason == "opentelemetry_instrumentor_dramatiq is installed"
    broker = StubBroker(middleware=[])
    with in_a_request():
        TestDramatiq().run(broker, lambda: None)
    assert [span.name for span in made.spans()] == ["request"]
    assert [span.attributes.get(REASON) for span in made.spans()] == [None]
