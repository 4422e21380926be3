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

from tracebaton_configurator.export.exporters import make_encode
from tracebaton_configurator.export.gradually import gradually

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


@pytest.mark.usefixtures("nobody_is_interrupted")
def test_others_have_their_turn_while_a_batch_is_encoded(spans: list[ReadableSpan]) -> None:
    encode = make_encode()
    assert turns_of_others(lambda: encode(spans * 4)) > 8  # 20,000 spans
    # Seen without it, in this very process: once before it begins, and once when it is over.
    assert turns_of_others(lambda: [span.to_json() for span in spans[:200]]) <= 4


def test_the_bytes_are_the_same(spans: list[ReadableSpan]) -> None:
    from tracebaton_configurator.export.encode import Encoder

    assert make_encode()(spans) == Encoder().encode(spans)


class Clock:
    """Which goes on while something is worked on and while others have their turn."""

    def __init__(self, others_take: float) -> None:
        self.now = 0.0
        self.pauses = 0
        self._others_take = others_take

    def __call__(self) -> float:
        return self.now

    def pause(self, seconds: float) -> None:
        assert 0 < seconds <= 0.0001
        self.pauses += 1
        self.now += self._others_take

    def work_on(self, takes: Sequence[float]) -> list[int]:
        """How many pauses there were before each item."""
        before = []
        for seconds in gradually(takes, self, self.pause):
            before.append(self.pauses)
            self.now += seconds
        return before


def test_a_pause_comes_after_a_tenth_of_a_millisecond_of_work_and_not_before() -> None:
    takes = (0.00004, 0.00004, 0.00004, 0.005, 0.00001, 0.00001)
    assert Clock(others_take=0.0001).work_on(takes) == [0, 0, 0, 1, 2, 2]


def test_who_waits_long_for_the_interpreter_keeps_it_longer() -> None:
    """As beside a thread that computes: with 0.1 ms of work after 5 ms of waiting, the queue would overflow."""
    others_take = 0.005
    clock = Clock(others_take)
    clock.work_on([0.00001] * 10_000)  # 0.1 s of work
    assert 95 <= clock.pauses <= 105
    # As long as that, not ever longer.
    clock = Clock(others_take=1.0)
    clock.work_on([0.00001] * 10_000)
    assert 95 <= clock.pauses <= 105


def test_nothing_is_nothing() -> None:
    assert list(gradually([])) == []
