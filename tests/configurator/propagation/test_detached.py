"""What still runs long after its request was answered: until then it is part of the request, from then on it is not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import context as context_api
from opentelemetry import trace
from opentelemetry.instrumentation.utils import is_instrumentation_enabled

from tracebaton_configurator.logs import ids
from tracebaton_configurator.logs.ids import current_ids
from tracebaton_configurator.propagation.incoming import Incoming, trace_headers
from tracebaton_configurator.sampling.decision import UNSAMPLED

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Context

    MakeTraced = Callable[..., Any]

TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time is in it."""
    now = [1000.0]
    monkeypatch.setattr(ids, "monotonic", lambda: now[0])
    monkeypatch.setattr("tracebaton_configurator.propagation.incoming.monotonic", lambda: now[0])
    monkeypatch.setattr(ids, "detach_after", 300.0)
    return now


def started_by_a_request(*, sampled: bool) -> Context:
    """What a task has that a request started, and that goes on; the request is over."""
    from contextvars import copy_context

    with Incoming("request", {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-{sampled:02x}"}):
        return copy_context()


@pytest.mark.parametrize("sampled", [True, False])
def test_soon_after_it_is_part_of_the_request(traced: MakeTraced, clock: list[float], *, sampled: bool) -> None:
    made = traced("*=1")
    task = started_by_a_request(sampled=sampled)
    before = len(made.spans())
    clock[0] += 299

    def work() -> None:
        assert current_ids() is not None
        assert TRACE in trace_headers()["traceparent"]
        made.tracer.start_span("below").end()

    task.run(work)
    assert [f"{span.context.trace_id:032x}" for span in made.spans()[before:]] == [TRACE] * sampled


@pytest.mark.parametrize("sampled", [True, False])
@pytest.mark.parametrize("rate", ["1", "0"])
def test_then_it_begins_traces_of_its_own(traced: MakeTraced, clock: list[float], *, sampled: bool, rate: str) -> None:
    made = traced(f"*={rate}")
    task = started_by_a_request(sampled=sampled)
    before = len(made.spans())
    clock[0] += 301

    def work() -> None:
        assert (current_ids(), trace_headers()) == (None, {})
        assert is_instrumentation_enabled()
        with made.tracer.start_as_current_span("turn") as turn:
            found = current_ids()
            assert found is not None
            assert int(found.trace_id, 16) == turn.get_span_context().trace_id
            assert TRACE not in trace_headers()["traceparent"]
            with made.tracer.start_as_current_span("inner"):
                pass

    task.run(work)
    found = made.spans()[before:]
    if rate == "0":
        assert found == []
        return
    inner, turn = found
    assert (turn.parent, inner.parent.span_id) == (None, turn.context.span_id)
    assert turn.context.trace_id != int(TRACE, 16)
    assert [f"{link.context.trace_id:032x}" for link in turn.links] == [TRACE]
    assert inner.links == ()


def test_a_span_that_is_still_open_stays_the_parent(traced: MakeTraced, clock: list[float]) -> None:
    made = traced("*=1")
    task = started_by_a_request(sampled=True)

    def work() -> None:
        with made.tracer.start_as_current_span("open"):
            clock[0] += 301
            made.tracer.start_span("inner").end()

    task.run(work)
    inner, opened = made.spans()[-2:]
    assert inner.parent.span_id == opened.context.span_id


def test_a_context_of_the_works_own_stays(traced: MakeTraced, clock: list[float]) -> None:
    made = traced("*=1")
    task = started_by_a_request(sampled=False)
    clock[0] += 301
    other = trace.SpanContext(5, 6, is_remote=True, trace_flags=trace.TraceFlags(1))
    context = trace.set_span_in_context(trace.NonRecordingSpan(other), context_api.Context())
    task.run(lambda: made.tracer.start_span("below", context=context).end())
    assert made.spans()[-1].parent.span_id == 6


def test_a_request_that_goes_on_is_not_left(traced: MakeTraced, clock: list[float]) -> None:
    made = traced("*=0")
    with Incoming("request", {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-00"}):
        clock[0] += 10_000
        assert context_api.get_value(UNSAMPLED)
        assert TRACE in trace_headers()["traceparent"]
        made.tracer.start_span("below").end()
    assert made.spans() == []


@pytest.mark.parametrize("flags", ["01", "00"])
def test_a_message_of_the_same_trace_is_followed(traced: MakeTraced, clock: list[float], flags: str) -> None:
    made = traced("*=0")
    task = started_by_a_request(sampled=True)
    before = len(made.spans())
    clock[0] += 301

    def work() -> None:
        with Incoming("message", {"traceparent": f"00-{TRACE}-00f067aa0ba902b8-{flags}"}):
            assert TRACE in trace_headers()["traceparent"]

    task.run(work)
    assert [span.parent.span_id for span in made.spans()[before:]] == [0x00F067AA0BA902B8] * (flags == "01")
