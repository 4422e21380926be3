"""Retry, backoff, splitting, the spool, and the end: whatever the receiver says, no span is unaccounted for."""

from __future__ import annotations

import logging
import random
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from fault_kinds import Flapping, GrpcStatus, Healthy, Partial, Refused, TooLarge
from fault_receiver import FaultyReceiver
from hypothesis import given, settings
from hypothesis import strategies as st
from peers import payload, span_ids
from processes import wait_for

from tracebaton_configurator.export import backlog
from tracebaton_configurator.export import export_queue as module
from tracebaton_configurator.export import spool as spool_module
from tracebaton_configurator.export.backlog import Batch, halves_of
from tracebaton_configurator.export.export_queue import ExportQueue
from tracebaton_configurator.export.export_result import ExportResult, Outcome
from tracebaton_configurator.export.export_status import ExportStatus
from tracebaton_configurator.export.grpc_client import GrpcClient
from tracebaton_configurator.export.http_client import HttpClient
from tracebaton_configurator.export.spool import Spool
from tracebaton_configurator.settings.endpoint import Endpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DELIVERED = ExportResult(Outcome.DELIVERED)
RETRY = ExportResult(Outcome.RETRY, "away")
REFUSED = ExportResult(Outcome.REFUSED, "no")
SPLIT = ExportResult(Outcome.SPLIT, "too large")


class Clock:
    """`time.monotonic` and `time.sleep`, for whoever would not wait."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += max(seconds, 0.0)

    time_ns = staticmethod(time.time_ns)


class Scripted:
    """A client that answers what `answer` says; remembers what was taken."""

    def __init__(self, answer: Callable[[bytes], ExportResult]) -> None:
        self.answer = answer
        self.sent: list[bytes] = []
        self.taken: list[int] = []

    def send(self, message: bytes, deadline: Callable[[], float]) -> ExportResult:
        self.sent.append(message)
        result = self.answer(message)
        if result.outcome is Outcome.DELIVERED:
            self.taken += span_ids(message)[result.rejected :]
        return result

    def close(self) -> None:
        pass


def made(client: Any, spool: Spool | None = None, *, most: int = 1000, timeout: float = 10.0) -> ExportQueue:
    return ExportQueue(lambda: client, ExportStatus("c:4317", "here"), timeout=timeout, most_spans=most, spool=spool)


def nothing() -> None:
    """No spans are left to collect."""


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    monkeypatch.setattr(module.os_threads, "sleep", clock.sleep)
    return clock


class TestRetry:
    def test_waits_longer_and_longer_with_jitter(self, clock: Clock) -> None:
        client = Scripted(lambda _: RETRY)
        export_queue = made(client)
        export_queue.take(payload(), 1)
        waits = []
        for _ in range(12):
            export_queue.work(nothing)
            wait = export_queue.seconds_to_next_try()
            assert wait is not None
            waits.append(wait)
            sent = len(client.sent)
            export_queue.work(nothing)
            assert len(client.sent) == sent  # not before its time
            clock.now += wait
        for base, wait in zip([0.5, 1.0, 2.0, 4.0, *[5.0] * 8], waits, strict=True):
            assert base / 2 <= wait <= base
        assert len(set(waits)) > 6
        assert export_queue.counters.retried == 12

    def test_as_long_as_the_receiver_says(self, clock: Clock) -> None:
        export_queue = made(Scripted(lambda _: ExportResult(Outcome.RETRY, "busy", 60.0)))
        export_queue.take(payload(), 1)
        export_queue.work(nothing)
        wait = export_queue.seconds_to_next_try()
        assert wait is not None
        assert 60.0 <= wait <= 66.0

    def test_again_at_once_is_not_without_a_pause(self, clock: Clock) -> None:
        """`Retry-After: 0`, or a date that is over, is no invitation to send without end."""
        client = Scripted(lambda _: ExportResult(Outcome.RETRY, "busy", 0.0))
        export_queue = made(client)
        export_queue.take(payload(), 1)
        export_queue.work(nothing)
        assert len(client.sent) == 1
        wait = export_queue.seconds_to_next_try()
        assert wait is not None
        assert wait >= 0.1

    def test_in_the_order_of_the_batches(self, clock: Clock) -> None:
        answers = iter([RETRY, DELIVERED, RETRY, DELIVERED, DELIVERED])
        client = Scripted(lambda _: next(answers))
        export_queue = made(client)
        for first in (1, 2, 3):
            export_queue.take(payload(1, first), 1)
        for _ in range(3):
            export_queue.work(nothing)
            clock.now += 10
        assert client.taken == [1, 2, 3]
        assert export_queue.idle
        assert export_queue.seconds_to_next_try() is None

    def test_nothing_to_do_is_nothing_to_be_busy_with(self, clock: Clock) -> None:
        """An outage in which everything that waited has been dropped, or taken over by others, goes on quietly."""
        export_queue = made(Scripted(lambda _: RETRY))
        export_queue.take(payload(), 1)
        export_queue.work(nothing)
        export_queue._waiting.clear()
        clock.now += 10
        assert export_queue.seconds_to_next_try() is None

    def test_a_forked_child_has_no_outage(self, clock: Clock) -> None:
        export_queue = made(Scripted(lambda _: RETRY))
        export_queue.take(payload(), 1)
        export_queue.work(nothing)
        export_queue.forget()
        assert (export_queue.idle, export_queue.seconds_to_next_try()) == (True, None)
        assert export_queue.counters.as_dict()["retried"] == 0

    def test_a_client_that_raises_or_cannot_be_made(self, clock: Clock) -> None:
        trouble: list[Callable[[], Any]] = [lambda: 1 / 0, lambda: DELIVERED]
        client = Scripted(lambda _: trouble.pop(0)())
        makes: list[Callable[[], Any]] = [lambda: 1 / 0, lambda: client]

        def make() -> Any:
            return makes.pop(0)()

        export_queue = ExportQueue(make, ExportStatus("c", "here"), timeout=10, most_spans=100, spool=None)
        export_queue.take(payload(), 1)
        for _ in range(3):
            export_queue.work(nothing)
            clock.now += 10
        assert client.taken == [1]
        assert export_queue.status.last_error == "ZeroDivisionError: division by zero"


class TestVerdicts:
    @pytest.mark.parametrize("entry", [False, True])
    def test_split_down_to_single_spans(self, clock: Clock, entry: bool, tmp_path: Path) -> None:  # noqa: FBT001
        client = Scripted(lambda message: SPLIT if len(span_ids(message)) > 1 else DELIVERED)
        spool = None
        if entry:
            left_behind = Spool(str(tmp_path), 1_000_000)
            left_behind.put(payload(100), 100)
            left_behind.close()
            spool = Spool(str(tmp_path), 1_000_000)
        export_queue = made(client, spool)
        if not entry:
            export_queue.take(payload(100), 100)
        export_queue.work(nothing)
        assert sorted(client.taken) == list(range(1, 101))
        assert export_queue.counters.exported == 100
        assert export_queue.counters.recovered == (100 if entry else 0)
        assert list(tmp_path.glob("*/*.otlp")) == []

    def test_what_was_on_disk_stays_there_while_it_is_split(self, clock: Clock, tmp_path: Path) -> None:
        left_behind = Spool(str(tmp_path), 1_000_000)
        left_behind.put(payload(10), 10)
        left_behind.close()

        def on_disk() -> int:
            return sum(len(span_ids(path.read_bytes())) for path in tmp_path.glob("*/*.otlp"))

        seen: list[int] = []

        def answer(message: bytes) -> Any:
            seen.append(on_disk())
            return SPLIT if len(span_ids(message)) > 5 else DELIVERED

        export_queue = made(Scripted(answer), Spool(str(tmp_path), 1_000_000))
        export_queue.work(nothing)
        assert seen == [10, 10, 5]

    def test_a_single_span_that_is_too_large_is_lost_and_no_other(self, clock: Clock) -> None:
        client = Scripted(lambda message: SPLIT if 7 in span_ids(message) else DELIVERED)
        export_queue = made(client)
        export_queue.take(payload(10), 10)
        export_queue.work(nothing)
        assert sorted(client.taken) == [1, 2, 3, 4, 5, 6, 8, 9, 10]
        assert export_queue.counters.dropped == {"a single span was too large for the receiver": 1}

    def test_resources_and_scopes_survive_the_split(self) -> None:
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

        whole = ExportTraceServiceRequest()
        for resource in range(3):
            part = whole.resource_spans.add(schema_url=f"r{resource}")
            for scope in range(2):
                inner = part.scope_spans.add(schema_url=f"s{scope}")
                for span in range(3):
                    inner.spans.add(span_id=f"{resource}-{scope}-{span}".ljust(8).encode())
        halves = halves_of(Batch(whole.SerializeToString(), 18))
        found = [
            (resource.schema_url, scope.schema_url, span.span_id)
            for half in halves
            for resource in ExportTraceServiceRequest.FromString(half.payload).resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]
        assert [half.spans for half in halves] == [9, 9]
        assert len(found) == len(set(found)) == 18
        assert all(span.decode().strip()[0] == resource[1] for resource, _, span in found)

    def test_what_cannot_be_split_is_lost_and_counted(self, clock: Clock) -> None:
        export_queue = made(Scripted(lambda message: SPLIT if message == b"\xff" else DELIVERED))
        export_queue.take(b"\xff", 5)
        export_queue.take(payload(), 1)
        export_queue.work(nothing)
        assert sum(export_queue.counters.dropped.values()) == 5
        assert export_queue.counters.exported == 1

    def test_partial_success(self, clock: Clock) -> None:
        export_queue = made(Scripted(lambda _: ExportResult(Outcome.DELIVERED, "old", rejected=3)))
        export_queue.take(payload(10), 10)
        export_queue.take(payload(2), 2)  # it says more than it got
        export_queue.work(nothing)
        assert export_queue.counters.exported == 7
        assert export_queue.counters.dropped == {"the receiver left them out": 5}
        assert export_queue.counters.retried == 0

    def test_refused(self, clock: Clock) -> None:
        export_queue = made(Scripted(lambda _: REFUSED))
        export_queue.take(payload(10), 10)
        export_queue.work(nothing)
        assert export_queue.counters.dropped == {"the receiver refused them": 10}
        assert export_queue.status.shutdown_summary() == (
            "10 spans were lost (10 because the receiver refused them); 0 were delivered. The last error was: no."
        )


class TestMemory:
    def test_an_hour_without_a_receiver(self, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
        """Bounded in spans and in bytes; the newest stay; two lines."""
        lines: list[str] = []

        class Keep(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                lines.append(record.getMessage())

        handler = Keep()
        logging.getLogger("tracebaton").addHandler(handler)
        try:
            answers = [RETRY]
            client = Scripted(lambda _: answers[0])
            export_queue = made(client, most=2048)
            export_queue.status._clock = clock.monotonic
            for second in range(3600):
                export_queue.take(payload(50, 1 + 50 * second), 50)
                export_queue.work(nothing)
                clock.now += 1
                client.sent.clear()
                assert sum(batch.spans for batch in export_queue._waiting) <= 2048 + 50
            answers[0] = DELIVERED
            clock.now += 10
            export_queue.work(nothing)
        finally:
            logging.getLogger("tracebaton").removeHandler(handler)
        assert client.taken[-1] == 50 * 3600
        assert export_queue.counters.exported == len(client.taken)
        assert export_queue.counters.exported + sum(export_queue.counters.dropped.values()) == 50 * 3600
        assert len(lines) == 2

    def test_large_batches_are_bounded_in_bytes(self, clock: Clock) -> None:
        export_queue = made(Scripted(lambda _: RETRY), most=1_000_000)
        for _ in range(20):
            export_queue.take(b"x" * 3_500_000, 1)
        assert sum(len(batch.payload) for batch in export_queue._waiting) <= backlog._MOST_BYTES
        assert export_queue.counters.dropped == {"they waited in memory and there were too many": 16}


class TestSpooled:
    @pytest.fixture(autouse=True)
    def look_always(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(spool_module, "_LOOK_EVERY", 0.0)

    def test_an_outage_is_spent_on_disk_and_ends_there(self, clock: Clock, tmp_path: Path) -> None:
        answers = [RETRY]
        client = Scripted(lambda _: answers[0])
        export_queue = made(client, Spool(str(tmp_path), 10_000_000), most=10)
        for first in range(1, 301):
            export_queue.take(payload(1, first), 1)
            export_queue.work(nothing)
            assert export_queue.idle  # nothing waits in memory
            clock.now += 0.1
        assert export_queue.counters.spooled == 300
        answers[0] = DELIVERED
        clock.now += 10
        export_queue.work(nothing)
        assert client.taken == list(range(1, 301))
        counters = export_queue.counters
        assert (counters.exported, counters.recovered, counters.dropped) == (300, 300, {})
        assert list(tmp_path.glob("*/*.otlp")) == []

    def test_the_next_process_delivers_what_the_last_one_left(self, clock: Clock, tmp_path: Path) -> None:
        first = made(Scripted(lambda _: RETRY), Spool(str(tmp_path), 10_000_000))
        first.take(payload(5), 5)
        first.end_at(clock.now + 2)
        first.finish()
        first.abandon(nothing)
        assert first.status.shutdown_summary() is None
        client = Scripted(lambda _: DELIVERED)
        second = made(client, Spool(str(tmp_path), 10_000_000))
        second.work(nothing)
        assert client.taken == [1, 2, 3, 4, 5]

    def test_a_spool_that_does_not_work_leaves_memory(self, clock: Clock) -> None:
        export_queue = made(Scripted(lambda _: RETRY), Spool("/proc/nowhere", 10_000_000), most=10)
        for first in range(1, 31):
            export_queue.take(payload(1, first), 1)
            export_queue.work(nothing)
        assert export_queue.counters.spooled == 0
        waiting = sum(batch.spans for batch in export_queue._waiting)
        assert waiting + sum(export_queue.counters.dropped.values()) == 30
        assert waiting <= 11

    def test_a_batch_from_disk_that_fails_stays_there(self, clock: Clock, tmp_path: Path) -> None:
        before = Spool(str(tmp_path), 10_000_000)
        before.put(payload(3), 3)
        before.close()
        export_queue = made(Scripted(lambda _: RETRY), Spool(str(tmp_path), 10_000_000))
        export_queue.work(nothing)
        assert export_queue.idle
        export_queue.abandon(nothing)
        assert len(list(tmp_path.glob("*/*.otlp"))) == 1
        assert export_queue.counters.dropped == {}

    def test_an_unreadable_file_does_not_hold_the_thread(
        self, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = Spool(str(tmp_path), 10_000_000)
        before.put(payload(3), 3)
        before.close()

        def fail(*_: object) -> bytes:
            raise OSError(5, "Input/output error")

        monkeypatch.setattr("tracebaton_configurator.export.spool_file.read_payload", fail)
        client = Scripted(lambda _: DELIVERED)
        export_queue = made(client, Spool(str(tmp_path), 10_000_000))
        export_queue.take(payload(1, 9), 1)
        for _ in range(3):
            export_queue.work(nothing)  # returns
        assert client.taken == [9]
        monkeypatch.undo()
        monkeypatch.setattr(spool_module, "_LOOK_EVERY", 0.0)
        for _ in range(2):  # first, others have their turn
            export_queue.work(nothing)
        assert client.taken == [9, 1, 2, 3]


class TestTheEnd:
    def test_what_waits_is_tried_once_more_at_once(self, clock: Clock) -> None:
        answers = [RETRY]
        client = Scripted(lambda _: answers[0])
        export_queue = made(client)
        export_queue.take(payload(), 1)
        export_queue.work(nothing)
        answers[0] = DELIVERED
        export_queue.end_at(clock.now + 5)
        export_queue.finish()
        assert client.taken == [1]

    def test_a_receiver_that_is_gone_is_asked_for_a_second(self, clock: Clock) -> None:
        client = Scripted(lambda _: RETRY)
        export_queue = made(client)
        export_queue.take(payload(), 1)
        begun = clock.now
        export_queue.end_at(clock.now + 5)
        export_queue.finish()
        assert clock.now - begun <= 1.0
        assert len(client.sent) >= 2

    def test_one_that_says_when_is_waited_for(self, clock: Clock) -> None:
        answers = [DELIVERED, ExportResult(Outcome.RETRY, "busy", 3.0)]
        client = Scripted(lambda _: answers.pop())
        export_queue = made(client)
        export_queue.take(payload(), 1)
        export_queue.end_at(clock.now + 5)
        export_queue.finish()
        assert client.taken == [1]

    def test_but_not_beyond_the_end(self, clock: Clock) -> None:
        export_queue = made(Scripted(lambda _: ExportResult(Outcome.RETRY, "busy", 30.0)))
        export_queue.take(payload(), 1)
        begun = clock.now
        export_queue.end_at(clock.now + 5)
        export_queue.finish()
        assert clock.now == begun

    @pytest.mark.parametrize("spooled", [False, True])
    def test_a_client_that_hangs_for_ever_is_left_behind(self, tmp_path: Path, spooled: bool) -> None:  # noqa: FBT001
        inside, release = threading.Event(), threading.Event()

        def hang(_: bytes) -> ExportResult:
            inside.set()
            release.wait(60)
            return DELIVERED

        export_queue = made(Scripted(hang), Spool(str(tmp_path), 1_000_000) if spooled else None)
        for first in range(3):
            export_queue.take(payload(2, 1 + 2 * first), 2)
        thread = threading.Thread(target=export_queue.work, args=(nothing,))
        thread.start()
        try:
            assert inside.wait(10)
            export_queue.abandon(lambda: export_queue.take(payload(1, 7), 1))
            expected = {} if spooled else {"the process ended": 7}
            assert export_queue.counters.dropped == expected
            on_disk = [span for file in tmp_path.glob("*/*.otlp") for span in span_ids(file.read_bytes())]
            assert on_disk == ([1, 2, 3, 4, 5, 6, 7] if spooled else [])
        finally:
            release.set()
            thread.join(10)
        # It comes back after all: nothing is counted twice, and nothing else is sent.
        assert export_queue.counters.dropped == expected
        assert export_queue.counters.exported == 0
        export_queue.take(payload(), 1)
        assert sum(export_queue.counters.dropped.values()) == (1 if spooled else 8)

    def test_a_disk_that_hangs_is_left_behind(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The thread that writes to it holds the lock."""
        inside, release = threading.Event(), threading.Event()

        class Hanging(Spool):
            def put(self, payload: bytes, spans: int) -> None:
                inside.set()
                release.wait(60)
                raise OSError(5, "Input/output error")

        export_queue = made(Scripted(lambda _: RETRY), Hanging("/nowhere", 100_000))
        export_queue.take(payload(2), 2)
        thread = threading.Thread(target=export_queue.work, args=(nothing,))
        thread.start()
        try:
            assert inside.wait(10)
            ended = threading.Thread(target=export_queue.abandon, args=(lambda: export_queue.take(payload(), 1),))
            ended.start()
            ended.join(10)
            assert not ended.is_alive()
            assert export_queue.counters.dropped == {"the process ended": 3}
        finally:
            release.set()
            thread.join(10)

    def test_a_collect_that_raises_loses_nothing(self, clock: Clock) -> None:
        export_queue = made(Scripted(lambda _: DELIVERED))
        export_queue.take(payload(), 1)
        with pytest.raises(ZeroDivisionError):
            export_queue.work(lambda: 1 / 0)
        export_queue.work(nothing)
        assert export_queue.counters.exported == 1


result = st.one_of(
    st.just(DELIVERED),
    st.just(RETRY),
    st.just(REFUSED),
    st.just(SPLIT),
    st.builds(lambda wait: ExportResult(Outcome.RETRY, "busy", wait), st.floats(0, 20)),
    st.builds(lambda rejected: ExportResult(Outcome.DELIVERED, "some", rejected=rejected), st.integers(0, 9)),
    st.none(),  # raises
)
step = st.one_of(
    st.tuples(st.just("take"), st.integers(1, 9)),
    st.tuples(st.just("work"), st.floats(0, 10)),
    st.tuples(st.just("look"), st.just(0)),
)


def test_a_request_under_way_ends_with_the_process() -> None:
    """The client asks how long it may still wait, again and again: the end may come while it does."""
    told: list[float] = []

    class Asking(Scripted):
        def send(self, message: bytes, deadline: Callable[[], float]) -> ExportResult:
            told.append(deadline())
            export_queue.end_at(time.monotonic() + 1)
            told.append(deadline())
            export_queue.end_at(time.monotonic() - 1)
            told.append(deadline())
            return super().send(message, deadline)

    export_queue = made(Asking(lambda _: DELIVERED), timeout=10)
    export_queue.take(payload(1), 1)
    export_queue.work(lambda: None)
    assert 9 < told[0] <= 10
    assert 0 < told[1] <= 1
    assert told[2] < 0


class TestTheSum:
    """taken == exported + dropped + waiting + on disk, always."""

    @settings(max_examples=150, deadline=None)
    @given(
        replies=st.lists(result, max_size=40),
        steps=st.lists(step, max_size=40),
        most=st.integers(1, 30),
        spooled=st.sampled_from([None, 24_000, 100_000]),
        end=st.sampled_from(["finish", "abandon", "none"]),
    )
    def test_for_any_sequence_of_replies(
        self,
        replies: list[ExportResult | None],
        steps: list[tuple[str, float]],
        most: int,
        spooled: int | None,
        end: str,
    ) -> None:
        with tempfile.TemporaryDirectory() as root, pytest.MonkeyPatch.context() as patch:
            clock = Clock()
            patch.setattr(module, "time", clock)
            patch.setattr(module.os_threads, "sleep", clock.sleep)
            patch.setattr(spool_module, "_LOOK_EVERY", 1.0)
            patch.setattr(spool_module, "time", clock)
            spool = Spool(root, spooled) if spooled else None
            script = iter(replies)

            def answer(_: bytes) -> ExportResult:
                one = next(script, DELIVERED)
                if one is None:
                    raise RuntimeError("a bug")
                return one

            client = Scripted(answer)
            export_queue = made(client, spool, most=most)
            taken = 0

            def check() -> None:
                waiting = sum(batch.spans for batch in export_queue._waiting)
                if export_queue._in_flight and export_queue._in_flight.entry is None:
                    waiting += export_queue._in_flight.spans
                on_disk = sum(len(span_ids(file.read_bytes())) for file in Path(root).glob("*/*.otlp"))
                counters = export_queue.counters
                assert taken == counters.exported + sum(counters.dropped.values()) + waiting + on_disk

            def collect() -> None:
                check()

            for kind, value in steps:
                if kind == "take":
                    export_queue.take(payload(int(value), taken + 1), int(value))
                    taken += int(value)
                elif kind == "work":
                    clock.now += value
                    export_queue.work(collect)
                else:
                    check()
            if end != "none":
                export_queue.end_at(clock.now + 5)
                if end == "finish":
                    export_queue.finish()
                export_queue.abandon(collect)
            check()
            # No span is delivered that was not taken, and none twice.
            assert Counter(client.taken).most_common(1)[0][1] == 1 if client.taken else True
            if spool:
                spool.close()


PROTOCOLS = pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])


class Running:
    """A delivery in a thread of its own, to a real receiver."""

    def __init__(self, receiver: FaultyReceiver, spool: Spool | None = None) -> None:
        protocol = receiver.protocol
        url = receiver.endpoint + ("" if protocol == "grpc" else "/v1/traces")
        client = (GrpcClient if protocol == "grpc" else HttpClient)(Endpoint(url, protocol))
        self.export_queue = ExportQueue(
            lambda: client, ExportStatus(url, "here"), timeout=1.0, most_spans=100_000, spool=spool
        )
        self._stop = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop:
            self.export_queue.work(nothing)
            time.sleep(0.005)

    def stop(self) -> None:
        self._stop = True
        self._thread.join(20)
        assert not self._thread.is_alive()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LONGEST_WAIT", 0.5)
    monkeypatch.setattr(module, "_FIRST_WAIT", 0.1)
    monkeypatch.setattr(spool_module, "_LOOK_EVERY", 0.2)


@PROTOCOLS
class TestARealReceiver:
    @pytest.fixture
    def receiver(self, protocol: Any) -> Iterator[FaultyReceiver]:
        with FaultyReceiver(protocol) as receiver:
            yield receiver

    def ids(self, receiver: FaultyReceiver) -> list[int]:
        return sorted(int(span.span_id, 16) for span in receiver.spans())

    def test_that_takes_small_requests_only(self, receiver: FaultyReceiver) -> None:
        receiver.fault = TooLarge(2000)
        running = Running(receiver)
        running.export_queue.take(payload(200, 1), 200)
        assert wait_for(lambda: running.export_queue.counters.exported == 200, 20)
        running.stop()
        assert self.ids(receiver) == list(range(1, 201))
        assert receiver.duplicates == 0

    def test_that_leaves_some_out(self, receiver: FaultyReceiver) -> None:
        receiver.fault = Partial(2)
        running = Running(receiver)
        running.export_queue.take(payload(10), 10)
        assert wait_for(lambda: running.export_queue.counters.exported == 8, 20)
        running.stop()
        assert running.export_queue.counters.dropped == {"the receiver left them out": 2}

    @pytest.mark.parametrize("spooled", [False, True])
    def test_that_goes_and_comes(
        self,
        receiver: FaultyReceiver,
        quick: None,
        tmp_path: Path,
        spooled: bool,  # noqa: FBT001
    ) -> None:
        """Everything is delivered, whatever happened meanwhile."""
        running = Running(receiver, Spool(str(tmp_path), 10_000_000) if spooled else None)
        taken = 0
        faults: list[Any] = [Refused(), Flapping(0.1), Healthy()]
        if receiver.protocol == "grpc":
            faults.insert(1, GrpcStatus("UNAVAILABLE", retry_after=0.1))
        for fault in faults:
            receiver.fault = fault
            for _ in range(20):
                running.export_queue.take(payload(5, taken + 1), 5)
                taken += 5
                time.sleep(random.uniform(0, 0.03))
        assert wait_for(lambda: len(receiver.spans()) == taken, 30)
        counters = running.export_queue.counters
        assert wait_for(lambda: counters.exported == taken, 10)
        running.stop()
        assert counters.dropped == {}
        assert self.ids(receiver) == list(range(1, taken + 1))
