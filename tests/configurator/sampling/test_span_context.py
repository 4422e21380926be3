"""A span context that is made in fewer steps is the one that OpenTelemetry makes."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.trace import SpanContext, TraceFlags, TraceState

from tracebaton_configurator.sampling.upstream import local_span_context

TRACE_IDS = st.one_of(st.sampled_from([0, 1, 2**128 - 1, 2**128, -1]), st.integers(0, 2**128))
SPAN_IDS = st.one_of(st.sampled_from([0, 1, 2**64 - 1, 2**64, -1]), st.integers(0, 2**64))
STATES = st.sampled_from([None, TraceState(), TraceState([("ot", "th:0")])])


@given(TRACE_IDS, SPAN_IDS, st.integers(0, 3).map(TraceFlags), STATES)
def test_it_is_the_one_of_opentelemetry(trace_id: int, span_id: int, flags: TraceFlags, state: TraceState) -> None:
    ours = local_span_context(trace_id, span_id, flags, state)
    theirs = SpanContext(trace_id, span_id, is_remote=False, trace_flags=flags, trace_state=state)
    assert type(ours) is SpanContext
    assert tuple(ours) == tuple(theirs)
    assert (ours.is_valid, ours.is_remote, repr(ours)) == (theirs.is_valid, False, repr(theirs))
    assert pickle.loads(pickle.dumps(ours)) == theirs  # noqa: S301 (its own)


@pytest.mark.parametrize(("trace_id", "span_id"), [(0, 1), (1, 0), (0, 0)])
def test_without_ids_it_is_not_valid(trace_id: int, span_id: int) -> None:
    assert not local_span_context(trace_id, span_id, TraceFlags(0), None).is_valid
