"""The processor: nothing on the request path waits or raises, nothing is lost at a fork or at the end."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from fault_kinds import Hanging, Healthy, Refused
from fault_receiver import FaultyReceiver
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON
from opentelemetry.trace import SpanContext, TraceFlags
from peers import span_ids
from processes import wait_for

from tracebaton_configurator.export import span_processor
from tracebaton_configurator.export.export_queue import ExportQueue
from tracebaton_configurator.export.export_result import ExportResult, Outcome
from tracebaton_configurator.export.export_status import ExportStatus
from tracebaton_configurator.export.exporters import make_encode
from tracebaton_configurator.export.span_processor import QueueSpanProcessor
from tracebaton_configurator.export.spool import Spool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from opentelemetry.trace import Tracer

DELIVERED = ExportResult(Outcome.DELIVERED)
HERE = Path(__file__).parent


class Taking:
    """A client that keeps what it gets; `gate` can hold it up, for ever."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.inside = threading.Event()
        self.result = DELIVERED

    @property
    def taken(self) -> list[int]:
        return [span for batch in self.batches for span in batch]

    def send(self, message: bytes, deadline: Callable[[], float]) -> ExportResult:
        self.inside.set()
        self.gate.wait()
        if self.result is DELIVERED:
            self.batches.append(span_ids(message))
        return self.result

    def close(self) -> None:
        pass


class Made:
    """A processor with its provider, and what it delivers to."""

    def __init__(self, *, spool: Spool | None = None, encode: Any = make_encode, **options: Any) -> None:
        self.client = Taking()
        export_queue = ExportQueue(
            lambda: self.client, ExportStatus("c:4317", "here"), timeout=10.0, most_spans=2048, spool=spool
        )
        given = {"delay": 0.05, "most_queued": 2048, "batch_size": 512, "shutdown_timeout": 2.0, **options}
        self.processor = QueueSpanProcessor(export_queue, encode, **given)
        self.provider = TracerProvider(sampler=ALWAYS_ON, shutdown_on_exit=False)
        self.provider.add_span_processor(self.processor)
        self.tracer: Tracer = self.provider.get_tracer("test")

    def end(self, count: int = 1, **attributes: Any) -> list[int]:
        """So many spans that have just ended; their ids."""
        ended = []
        for number in range(count):
            with self.tracer.start_as_current_span(f"span {number}", attributes=attributes) as span:
                ended.append(span.get_span_context().span_id)
        return ended

    @property
    def counters(self) -> Any:
        return self.processor.counters


@pytest.fixture
def made() -> Iterator[Made]:
    one = Made()
    yield one
    one.client.gate.set()
    one.processor.shutdown()


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    said: list[str] = []
    for level in ("warning", "error"):
        monkeypatch.setattr(span_processor.own, level, lambda message, *args: said.append(message % args))
    return said


def encode_but(bad: str) -> Callable[[], Callable[[Any], bytes]]:
    """Encodes, and raises where a span has that name."""

    def make() -> Callable[[Any], bytes]:
        encode = make_encode()

        def encode_or_raise(spans: Any) -> bytes:
            if any(span.name == bad for span in spans):
                raise ValueError("not this one")
            return encode(spans)

        return encode_or_raise

    return make


class TestOnTheRequestPath:
    def test_spans_are_delivered_after_the_delay(self, made: Made) -> None:
        ended = made.end(3)
        assert wait_for(lambda: made.client.taken == ended, 10)
        assert wait_for(lambda: made.counters.exported == 3, 10)

    def test_a_full_batch_does_not_wait(self) -> None:
        made = Made(delay=3600.0, batch_size=10)
        ended = made.end(10)
        assert wait_for(lambda: sorted(made.client.taken) == sorted(ended), 10)
        made.processor.shutdown()

    def test_no_thread_before_the_first_span(self, made: Made) -> None:
        assert made.processor._thread is None
        made.end()
        assert made.processor._thread is not None

    def test_a_spool_is_looked_at_at_once(self, tmp_path: Path) -> None:
        made = Made(spool=Spool(str(tmp_path), 1000))
        assert made.processor._thread is not None
        made.processor.shutdown()

    def test_what_is_not_sampled_is_passed_over(self, made: Made) -> None:
        off = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False)
        off.add_span_processor(made.processor)
        off.get_tracer("test").start_span("not recorded").end()

        class Unsampled:
            context = SpanContext(1, 2, is_remote=False, trace_flags=TraceFlags(0))
            start_time = 1

        class Nothing:
            context = None

        for span in (Unsampled(), Nothing()):
            made.processor.on_end(span)  # type: ignore[arg-type]
        assert made.processor.queued == 0
        assert made.counters.dropped == {}

    def test_the_queue_is_bounded_and_what_is_beyond_is_counted(self) -> None:
        made = Made(most_queued=100, batch_size=50)
        made.client.gate.clear()
        made.end(1)
        assert made.client.inside.wait(10)  # the thread is held up
        made.end(150)
        assert made.processor.queued == 100
        assert made.counters.dropped == {"the queue was full": 50}
        made.client.gate.set()
        made.processor.shutdown()
        assert made.counters.exported == 101

    def test_it_makes_haste_before_the_queue_is_full(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Also where a batch may be as large as the queue."""
        hurried: list[bool] = []

        class Asking(list[Any]):
            def __init__(self, items: list[Any], is_behind: Callable[[], bool]) -> None:
                super().__init__(items)
                made.end(99)
                hurried.append(is_behind())
                made.end(1)
                hurried.append(is_behind())

        monkeypatch.setattr(span_processor, "Gradually", Asking)
        made = Made(delay=3600.0, most_queued=400, batch_size=400)
        made.end(1)
        made.processor._collect(1)
        assert hurried == [False, True]
        made.processor.shutdown()

    def test_a_load_that_never_ends_does_not_keep_the_thread_from_sending(self) -> None:
        """It collects what there is, and not what comes while it collects."""
        made = Made()
        stop = threading.Event()

        def load() -> None:
            while not stop.is_set():
                made.end(100)

        threads = [threading.Thread(target=load) for _ in range(2)]
        for thread in threads:
            thread.start()
        assert wait_for(lambda: len(made.client.batches) > 20, 30)
        stop.set()
        for thread in threads:
            thread.join()
        made.processor.shutdown()
        assert set(made.counters.dropped) <= {"the queue was full"}

    def test_it_waits_for_no_lock_that_another_thread_holds(self, made: Made) -> None:
        made.end()
        done = threading.Event()

        def end_some() -> None:
            made.end(600)
            done.set()

        with made.processor.export_queue._lock:
            made.processor._starting.acquire()
            thread = threading.Thread(target=end_some)
            thread.start()
            assert done.wait(10)
            made.processor._starting.release()
        thread.join()

    def test_a_thread_that_cannot_be_started_is_tried_again(self, made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
        start = threading.Thread.start

        def fail(thread: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        monkeypatch.setattr(threading.Thread, "start", fail)
        first = made.end(3)
        assert made.processor.queued == 3
        monkeypatch.setattr(threading.Thread, "start", start)
        first += made.end(1)
        assert wait_for(lambda: made.client.taken == first, 10)

    def test_and_never_at_all_the_end_delivers(self, made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(thread: threading.Thread) -> None:
            raise RuntimeError("can't create new thread at interpreter shutdown")

        monkeypatch.setattr(threading.Thread, "start", fail)
        ended = made.end(3)
        made.processor.shutdown()
        assert made.client.taken == ended

    def test_a_thread_that_died_is_replaced(self, made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(threading, "excepthook", lambda *_: None)
        first = made.end()
        assert wait_for(lambda: made.client.taken == first, 10)

        def die(*_: object) -> None:
            raise SystemExit

        with monkeypatch.context() as patch:
            patch.setattr(made.processor.export_queue, "work", die)
            assert wait_for(lambda: made.processor._thread is None, 10)
        second = made.end(2)
        assert wait_for(lambda: made.client.taken == first + second, 10)


class TestSpansThatCannotBeEncoded:
    def test_the_others_are_delivered(self, lines: list[str]) -> None:
        made = Made(encode=encode_but("span 5"))
        ended = made.end(20)
        made.processor.shutdown()
        assert sorted(made.client.taken) == sorted(set(ended) - {ended[5]})
        assert made.counters.dropped == {"they could not be encoded": 1}
        assert lines[0] == "A span could not be encoded and is lost: ValueError: not this one"

    def test_many_of_them_are_one_line(self, lines: list[str]) -> None:
        made = Made(encode=encode_but("span 0"))
        for _ in range(100):
            made.end(1)
        made.processor.shutdown()
        assert made.counters.dropped == {"they could not be encoded": 100}
        assert len([line for line in lines if "encoded and is lost" in line]) == 1

    def test_an_encoder_that_cannot_be_made(self, lines: list[str]) -> None:
        def fail() -> Any:
            raise ImportError("sys.meta_path is None, Python is likely shutting down")

        made = Made(encode=fail)
        made.end(8)
        made.processor.shutdown()
        assert made.counters.dropped == {"they could not be encoded": 8}

    def test_large_spans_are_sent_in_parts(self) -> None:
        made = Made()
        ended = made.end(12, filling="x" * 1_000_000)
        made.processor.shutdown()
        assert sorted(made.client.taken) == sorted(ended)
        assert max(map(len, made.client.batches)) <= 3


class TestForceFlush:
    def test_delivers(self, made: Made) -> None:
        made.processor._delay = 3600.0
        for _ in range(20):
            ended = made.end(2)
            assert made.processor.force_flush(10_000)
            assert set(ended) <= set(made.client.taken)

    def test_with_nothing_to_do(self, made: Made) -> None:
        assert made.processor.force_flush(10_000)

    def test_while_others_go_on(self, made: Made) -> None:
        """Under load the queue is never seen empty; what had ended before is delivered all the same."""
        stop = threading.Event()

        def load() -> None:
            while not stop.is_set():
                made.end(20)

        thread = threading.Thread(target=load)
        thread.start()
        try:
            ended = made.end(3)
            assert made.processor.force_flush(20_000)
            assert set(ended) <= set(made.client.taken)
        finally:
            stop.set()
            thread.join()

    def test_while_each_delivery_brings_the_next(self) -> None:
        """So that something is always on its way."""
        made = Made(delay=0.0, batch_size=1)
        send = made.client.send

        def send_and_end(message: bytes, deadline: Callable[[], float]) -> ExportResult:
            made.end()
            return send(message, deadline)

        made.client.send = send_and_end  # type: ignore[method-assign]
        ended = made.end(3)
        assert made.processor.force_flush(20_000)
        assert set(ended) <= set(made.client.taken)
        made.client.send = send  # type: ignore[method-assign]
        made.processor.shutdown()

    def test_not_while_an_earlier_batch_waits_for_its_receiver(self, made: Made) -> None:
        made.client.result = ExportResult(Outcome.RETRY, "not now", wait=30.0)
        made.end(3)
        assert not made.processor.force_flush(300)
        made.client.result = DELIVERED

    def test_gives_up(self, made: Made) -> None:
        made.client.gate.clear()
        made.end()
        assert not made.processor.force_flush(100)

    def test_leaves_nothing_in_the_queue_when_it_gives_up(self, made: Made) -> None:
        """A receiver that hangs, and an application that flushes after each request."""
        made.client.gate.clear()
        made.end()
        assert wait_for(made.client.inside.is_set, 10)
        for _ in range(20):
            assert not made.processor.force_flush(1)
        assert made.processor.queued == 0

    def test_not_while_what_has_ended_is_being_encoded(self) -> None:
        """Then it is neither queued nor on its way."""
        begun, gate = threading.Event(), threading.Event()
        encode = make_encode()

        def slow(spans: Any) -> bytes:
            begun.set()
            gate.wait()
            return encode(spans)

        made = Made(encode=lambda: slow, delay=0.0)
        ended = made.end(3)
        assert begun.wait(10)
        assert not made.processor.force_flush(50)
        assert made.client.taken == []
        gate.set()
        assert made.processor.force_flush(10_000)
        assert made.client.taken == ended
        made.processor.shutdown()

    def test_where_no_thread_can_be_started(self, made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
        """As in an atexit handler, from CPython 3.12 on."""

        def fail(thread: threading.Thread) -> None:
            raise RuntimeError("can't create new thread at interpreter shutdown")

        monkeypatch.setattr(threading.Thread, "start", fail)
        assert made.processor.force_flush(60_000)
        ended = made.end(3)
        assert made.processor.force_flush(60_000)
        assert made.client.taken == ended

    def test_makes_haste(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Threads that compute get the interpreter for 5 ms each, whenever encoding lets go of it."""
        hurried: list[bool] = []

        class Asking(list[Any]):
            def __init__(self, items: list[Any], is_behind: Callable[[], bool]) -> None:
                super().__init__(items)
                hurried.append(is_behind())

        monkeypatch.setattr(span_processor, "Gradually", Asking)
        made = Made(delay=3600.0)
        made.end(3)
        assert made.processor.force_flush(10_000)
        made.processor._delay = 0.0
        made.end(3)
        assert wait_for(lambda: len(made.client.taken) == 6, 10)
        assert hurried == [True, False]
        made.processor.shutdown()

    def test_after_the_end_does_not_wait(self, made: Made) -> None:
        made.end()
        made.processor.shutdown()
        begun = time.monotonic()
        assert made.processor.force_flush(60_000)
        assert time.monotonic() - begun < 30


class TestShutdown:
    def test_delivers_what_is_queued(self, made: Made, lines: list[str]) -> None:
        made.processor._delay = 3600.0
        ended = made.end(700)
        made.processor.shutdown()
        assert sorted(made.client.taken) == sorted(ended)
        assert lines == []

    def test_twice_is_once(self, made: Made, lines: list[str]) -> None:
        made.client.result = ExportResult(Outcome.REFUSED, "no")
        made.end(2)
        made.processor.shutdown()
        made.processor.shutdown()
        assert [line for line in lines if "were lost" in line] == [
            "2 spans were lost (2 because the receiver refused them); 0 were delivered. The last error was: no."
        ]

    def test_spans_that_come_later_are_counted(self, made: Made) -> None:
        made.end(2)
        made.processor.shutdown()
        made.end(3)
        assert sum(made.counters.dropped.values()) == 3
        assert made.counters.exported == 2
        assert made.processor.queued == 0

    @pytest.mark.parametrize("spooled", [False, True])
    def test_while_the_thread_is_stuck(self, tmp_path: Path, lines: list[str], spooled: bool) -> None:  # noqa: FBT001
        """What it sends, what waits behind that, and what it has not come to: each span once, on disk or counted."""
        made = Made(spool=Spool(str(tmp_path), 1_000_000) if spooled else None, shutdown_timeout=0.4, batch_size=2)
        made.client.gate.clear()
        ended = made.end(1)
        assert made.client.inside.wait(10)
        ended += made.end(9)
        assert made.processor.queued > 0
        made.processor.shutdown()
        assert made.processor.queued == 0
        dropped = sum(made.counters.dropped.values())
        found = [span for file in tmp_path.glob("*/*.otlp") for span in span_ids(file.read_bytes())]
        assert (sorted(found), dropped) == ((sorted(ended), 0) if spooled else ([], 10))
        made.client.gate.set()
        thread = made.processor._thread
        assert thread is not None
        thread.join(10)
        assert sum(made.counters.dropped.values()) == dropped
        assert made.counters.exported == 0

    @pytest.mark.parametrize("fault", [Refused(), Hanging()])
    def test_without_a_receiver_is_in_time_and_counted(self, fault: Any, lines: list[str]) -> None:
        from tracebaton_configurator.export.grpc_client import GrpcClient
        from tracebaton_configurator.settings.endpoint import Endpoint

        with FaultyReceiver("grpc") as receiver:
            made = Made(shutdown_timeout=1.0)
            made.processor.export_queue._make_client = lambda: GrpcClient(Endpoint(receiver.endpoint, "grpc"))
            made.end(1)
            assert wait_for(lambda: made.counters.exported == 1, 10)
            receiver.fault = fault
            made.end(700)
            begun = time.monotonic()
            made.processor.shutdown()
            assert time.monotonic() - begun < 1.0 + 5  # far from the 10 s of a request
            assert sum(made.counters.dropped.values()) == 700
            assert len(lines) == 1
            receiver.fault = Healthy()

    def test_a_processor_that_is_let_go_of_is_not_kept_for_forks(self) -> None:
        from weakref import ref

        one = Made()
        kept = ref(one.processor)
        del one
        gc.collect()
        assert kept() is None


PRELUDE = f"""
import json, os, signal, sys, threading, time
sys.path[:0] = {[str(HERE), str(HERE.parents[2] / "tests" / "faults"), str(HERE.parents[2] / "docker" / "demo")]!r}
from tracebaton_configurator.export.span_processor import QueueSpanProcessor
from tracebaton_configurator.export.export_queue import ExportQueue
from tracebaton_configurator.export.exporters import make_encode
from tracebaton_configurator.export.grpc_client import GrpcClient
from tracebaton_configurator.export.export_status import ExportStatus
from tracebaton_configurator.settings.endpoint import Endpoint
from opentelemetry.sdk.trace import TracerProvider
export_queue = ExportQueue(lambda: GrpcClient(Endpoint(sys.argv[1], "grpc")), ExportStatus("c", "here"), timeout=10.0,
                    most_spans=100_000, spool=None)
processor = QueueSpanProcessor(export_queue, make_encode, delay=float(sys.argv[2]), most_queued=100_000,
                                    batch_size=512, shutdown_timeout=10.0)
provider = TracerProvider(shutdown_on_exit=False)
provider.add_span_processor(processor)
tracer = provider.get_tracer("test")
def end(name, count=1):
    for _ in range(count):
        tracer.start_span(name).end()
"""


def run(code: str, delay: float = 0.05) -> tuple[dict[str, int], Any]:
    """How many spans of each name were received, and what the code printed as JSON."""
    with FaultyReceiver("grpc") as receiver:
        done = subprocess.run(
            [sys.executable, "-c", PRELUDE + code, receiver.endpoint, str(delay)],
            capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        names: dict[str, int] = {}
        for span in receiver.spans():
            names[span.name] = names.get(span.name, 0) + 1
        assert receiver.duplicates == 0
        return names, json.loads(done.stdout or "null")


class TestForks:
    @pytest.mark.parametrize("seconds", [-3600, 3600])
    def test_a_clock_that_jumps_in_a_child_loses_no_span(self, seconds: int) -> None:
        """In the process as a whole, as time.time_ns is where the SDK and this package read the wall clock."""
        names, _ = run(
            f"""
open_then = tracer.start_span("open")
real = time.time_ns
child = os.fork()
if child == 0:
    time.time_ns = lambda: real() + {seconds} * 10**9
    import opentelemetry.sdk.trace
    opentelemetry.sdk.trace.time_ns = time.time_ns
    end("child", 3)
    open_then.end()
    processor.shutdown()
    os._exit(0)
os.waitpid(child, 0)
open_then.end()
processor.shutdown()
""",
            delay=3600.0,
        )
        assert names == {"open": 1, "child": 3}

    def test_a_child_begins_anew(self) -> None:
        """What was queued is the parent's, and so is what was open; its own spans are the child's."""
        names, printed = run(
            """
end("before", 5)
processor.force_flush(10_000)
end("queued", 7)
open_then = tracer.start_span("open")
child = os.fork()
if child == 0:
    begun = (processor.queued, processor.counters.as_dict(), processor._thread is None)
    open_then.end()
    end("child", 3)
    processor.shutdown()
    print(json.dumps([*begun, processor.counters.as_dict()]), flush=True)
    os._exit(0)
os.waitpid(child, 0)
open_then.end()
processor.shutdown()
""",
            delay=3600.0,
        )
        assert names == {"before": 5, "queued": 7, "open": 1, "child": 3}
        empty = {"exported": 0, "dropped": {}, "spooled": 0, "recovered": 0, "retried": 0}
        assert printed == [0, empty, True, {**empty, "exported": 3}]

    def test_200_forks_while_spans_are_delivered(self) -> None:
        names, printed = run(
            """
stop = threading.Event()
def load():
    while not stop.is_set():
        end("parent", 5)
        time.sleep(0.001)
threads = [threading.Thread(target=load) for _ in range(2)]
for thread in threads:
    thread.start()
failed = 0
for number in range(200):
    child = os.fork()
    if child == 0:
        signal.alarm(30)
        end("child")
        processor.shutdown()
        os._exit(0 if processor.counters.exported == 1 else 9)
    failed += os.waitpid(child, 0)[1] != 0
stop.set()
for thread in threads:
    thread.join()
processor.shutdown()
print(json.dumps([failed, processor.counters.exported, processor.counters.dropped]))
""",
            delay=0.001,
        )
        failed, exported, dropped = printed
        assert (failed, dropped) == (0, {})
        assert names == {"parent": exported, "child": 200}


class TestSignals:
    def test_spans_that_end_in_a_signal_handler_while_others_end(self) -> None:
        names, printed = run(
            """
handled = 0
def handle(*_):
    global handled
    handled += 1
    end("handler")
end("main")
signal.signal(signal.SIGALRM, handle)
signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
ended = 1
until = time.monotonic() + 1.5
while time.monotonic() < until:
    end("main")
    ended += 1
signal.setitimer(signal.ITIMER_REAL, 0)
processor.shutdown()
print(json.dumps([handled, ended, processor.counters.dropped]))
"""
        )
        handled, ended, dropped = printed
        assert handled > 10
        assert dropped == {}
        assert names == {"main": ended, "handler": handled}
