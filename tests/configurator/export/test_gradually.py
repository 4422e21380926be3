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
    from collections.abc import Callable, Iterator

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


def test_a_pause_comes_after_a_millisecond_of_work_and_not_before() -> None:
    done: list[float] = []
    pauses: list[tuple[int, float]] = []
    takes = (0.0004, 0.0004, 0.0004, 0.005, 0.0001, 0.0001)
    for one in gradually(takes, lambda: sum(done), lambda seconds: pauses.append((len(done), seconds))):
        done.append(one)  # noqa: PERF402 (it is looked at meanwhile)
    assert [count for count, _ in pauses] == [3, 4]
    assert all(0 < seconds <= 0.001 for _, seconds in pauses)


def test_nothing_is_nothing() -> None:
    assert list(gradually([])) == []
