"""A batch is encoded a little at a time: threads that wait for the interpreter get it in between."""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tracebaton_configurator.export.export_queue import ExportQueue
from tracebaton_configurator.export.export_result import ExportResult, Outcome
from tracebaton_configurator.export.export_status import ExportStatus
from tracebaton_configurator.export.exporters import make_encode
from tracebaton_configurator.export.gradually import Gradually
from tracebaton_configurator.export.span_processor import QueueSpanProcessor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from opentelemetry.sdk.trace import ReadableSpan


@pytest.fixture
def spans() -> list[ReadableSpan]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("test")
    for number in range(5000):
        tracer.start_span(f"span {number}", attributes={"number": number, "text": f"text {number}"}).end()
    return list(exporter.get_finished_spans())


@pytest.fixture
def nobody_is_interrupted() -> Iterator[None]:
    """A thread that computes keeps the interpreter until it lets go of it."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1000)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def turns_of_others(work: Callable[[], object]) -> int:
    """How often another thread comes by the interpreter while `work` is done in one."""
    worked = threading.Thread(target=work)
    turns = 0
    worked.start()
    while worked.is_alive():
        turns += 1
        time.sleep(0)
    return turns


def never() -> bool:
    return False


@pytest.mark.usefixtures("nobody_is_interrupted")
@pytest.mark.parametrize("is_behind", [False, True])
def test_others_have_their_turn_while_a_batch_is_encoded(spans: list[ReadableSpan], *, is_behind: bool) -> None:
    encode = make_encode()
    many = Gradually(spans * 4, lambda: is_behind)  # 20,000
    assert turns_of_others(lambda: encode(many)) > 8
    # Seen without it, in this very process: once before it begins, and once when it is over.
    assert turns_of_others(lambda: encode(spans[:500])) <= 4


@pytest.mark.usefixtures("nobody_is_interrupted")
def test_a_processor_has_its_batches_encoded_so(spans: list[ReadableSpan]) -> None:
    encode = make_encode()
    turns: list[int] = []

    def counting(batch: Sequence[ReadableSpan]) -> bytes:
        turns.append(turns_of_others(lambda: encode(batch)))
        return encode(batch)

    export_queue = ExportQueue(Taking, ExportStatus("c:4317", "here"), timeout=10, most_spans=20_000, spool=None)
    processor = QueueSpanProcessor(
        export_queue, lambda: counting, delay=3600, most_queued=20_000, batch_size=20_000, shutdown_timeout=60
    )
    for span in spans * 3:
        processor.on_end(span)
    processor.shutdown()
    assert export_queue.counters.exported == len(spans) * 3
    assert max(turns) > 8


class Taking:
    """A client to whom everything is delivered."""

    def send(self, message: bytes, deadline: Callable[[], float]) -> ExportResult:
        return ExportResult(Outcome.DELIVERED)

    def close(self) -> None:
        pass


def test_the_bytes_are_the_same(spans: list[ReadableSpan]) -> None:
    from tracebaton_configurator.export.encode import Encoder

    assert make_encode()(Gradually(spans, never)) == Encoder().encode(spans)


class Clock:
    """Which goes on while something is worked on and while others have their turn."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pauses = 0
        self.is_behind = False

    def __call__(self) -> float:
        return self.now

    def pause(self, seconds: float) -> None:
        assert 0 < seconds <= 0.0001
        self.pauses += 1
        self.now += 0.005

    def work_on(self, takes: list[float]) -> list[int]:
        """How many pauses there were before each item."""
        before = []
        for seconds in Gradually(takes, lambda: self.is_behind, self, self.pause):
            before.append(self.pauses)
            self.now += seconds
        return before


def test_a_pause_comes_after_a_tenth_of_a_millisecond_of_work_and_not_before() -> None:
    takes = [0.00004, 0.00004, 0.00004, 0.005, 0.00001, 0.00001]
    assert Clock().work_on(takes) == [0, 0, 0, 1, 2, 2]


def test_who_is_behind_goes_on_for_longer() -> None:
    clock = Clock()
    clock.is_behind = True
    clock.work_on([0.00001] * 10_000)  # 0.1 s of work
    assert 95 <= clock.pauses <= 100


def test_who_has_been_at_it_for_long_goes_on_for_longer() -> None:
    """Others may take all the time that they are given."""
    clock = Clock()
    clock.work_on([0.00001] * 10_000)  # 0.1 s of work
    # In the first tenth of a second one after each 0.1 ms, each of which takes 5 ms; then after each ms.
    assert 115 <= clock.pauses <= 125


def test_it_is_a_list() -> None:
    items = Gradually([1, 2, 3], never)
    assert (len(items), items[1], list(items), items[:2]) == (3, 2, [1, 2, 3], [1, 2])
    assert list(Gradually([], never)) == []
