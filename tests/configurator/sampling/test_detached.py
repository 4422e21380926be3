"""Spans below a request that is not recorded."""

from __future__ import annotations

from opentelemetry.context import Context
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import INVALID_SPAN, SpanContext, TraceFlags, set_span_in_context

from tracebaton_configurator.sampling.decision import RequestDecision, pending_decision, unsampled_context
from tracebaton_configurator.sampling.detached import DetachingTracerProvider

REQUEST = SpanContext(0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331, is_remote=False, trace_flags=TraceFlags())


def unsampled() -> Context:
    return unsampled_context(RequestDecision(Context(), recorded=False, trace_id=1, trace_state=None), REQUEST)


def test_a_span_that_is_not_recorded_has_the_ids_of_its_request() -> None:
    tracer = DetachingTracerProvider(shutdown_on_exit=False).get_tracer("app")
    span = tracer.start_span("x", unsampled())
    assert not span.is_recording()
    assert span.get_span_context() == REQUEST
    within = tracer.start_span("y", set_span_in_context(span, unsampled()))
    assert within.get_span_context() == REQUEST


def test_one_that_is_meant_to_have_no_parent_has_ids_of_its_own() -> None:
    tracer = DetachingTracerProvider(shutdown_on_exit=False).get_tracer("app")
    span = tracer.start_span("x", set_span_in_context(INVALID_SPAN, unsampled()))
    assert span.get_span_context().trace_id not in {0, REQUEST.trace_id}


def test_a_span_that_was_decided_about_is_made() -> None:
    tracer = DetachingTracerProvider(sampler=ALWAYS_ON, shutdown_on_exit=False).get_tracer("app")
    decision = RequestDecision(Context(), recorded=True, trace_id=REQUEST.trace_id, trace_state=None)
    token = pending_decision.set(decision)
    try:
        span = tracer.start_span("late", unsampled())
    finally:
        pending_decision.reset(token)
    assert span.is_recording()
