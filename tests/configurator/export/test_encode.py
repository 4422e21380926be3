"""The bytes say what upstream's encoder says."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from tracebaton_configurator.export.encode import _PAIRS_KEPT, Encoder
from tracebaton_configurator.export.exporters import make_encode

W3C_FLAGS = 0xFF

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
numbers = st.integers(-(1 << 63), (1 << 63) - 1)
scalars = texts | st.booleans() | numbers | st.floats(allow_nan=False)
values = scalars | st.lists(texts, max_size=3) | st.lists(st.booleans(), max_size=3) | st.lists(numbers, max_size=3)
attributes = st.dictionaries(names, values, max_size=5)
times = st.integers(0, (1 << 64) - 1)
contexts = st.builds(
    SpanContext,
    trace_id=st.integers(1, (1 << 128) - 1),
    span_id=st.integers(1, (1 << 64) - 1),
    is_remote=st.booleans(),
    trace_flags=st.sampled_from([TraceFlags(0), TraceFlags(1), TraceFlags(3)]),
    trace_state=st.sampled_from([None, TraceState(), TraceState([("ot", "th:e6666"), ("a", "b")])]),
)
statuses = st.sampled_from(
    [Status(), Status(StatusCode.OK), Status(StatusCode.ERROR), Status(StatusCode.ERROR, "no\n")]
)
resources = st.builds(Resource, attributes=attributes, schema_url=st.sampled_from(["", "https://schema"]))
scopes = st.none() | st.builds(
    InstrumentationScope,
    name=names,
    version=st.sampled_from([None, "", "1.0"]),
    schema_url=st.sampled_from(["", "https://s"]),
)


@st.composite
def spans(draw: st.DrawFn) -> ReadableSpan:
    return ReadableSpan(
        name=draw(texts),
        context=draw(contexts),
        parent=draw(st.none() | contexts),
        resource=draw(resources),
        attributes=Resource(draw(attributes)).attributes,
        events=[Event(draw(names), draw(attributes), draw(times)) for _ in range(draw(st.integers(0, 2)))],
        links=[Link(draw(contexts), draw(attributes)) for _ in range(draw(st.integers(0, 2)))],
        kind=draw(st.sampled_from(SpanKind)),
        status=draw(statuses),
        start_time=draw(times),
        end_time=draw(times),
        instrumentation_scope=draw(scopes),
    )


def decoded(data: bytes) -> Any:
    """The message, less the W3C flags, which upstream leaves out."""
    message = ExportTraceServiceRequest.FromString(data)
    for resource_spans in message.resource_spans:
        for scope_spans in resource_spans.scope_spans:
            for span in scope_spans.spans:
                span.flags &= ~W3C_FLAGS
                for link in span.links:
                    link.flags &= ~W3C_FLAGS
    return message


@given(spans())
def test_one_span(span: ReadableSpan) -> None:
    assert decoded(Encoder().encode([span])) == encode_spans([span])


@given(st.lists(spans(), min_size=2, max_size=4))
def test_a_batch_that_is_sent_twice_with_all_that_is_remembered(batch: list[ReadableSpan]) -> None:
    encoder = Encoder()
    for _ in range(2):
        found = decoded(encoder.encode(batch))
        # Upstream groups resources that are equal, this encoder those that are the same: the spans are what counts.
        assert _by_id(found) == _by_id(encode_spans(batch))


def _by_id(message: Any) -> list[Any]:
    return sorted(
        (
            span.SerializeToString(deterministic=True),
            one.resource.SerializeToString(deterministic=True),
            scope.scope.name,
        )
        for one in message.resource_spans
        for scope in one.scope_spans
        for span in scope.spans
    )


def make(context: SpanContext, **attributes: Any) -> ReadableSpan:
    return ReadableSpan("x", context=context, attributes=Resource(attributes).attributes, resource=Resource({}))


CONTEXT = SpanContext(1, 2, is_remote=False, trace_flags=TraceFlags(3))


def test_the_w3c_flags_are_the_low_byte() -> None:
    (span,) = (
        ExportTraceServiceRequest.FromString(Encoder().encode([make(CONTEXT)])).resource_spans[0].scope_spans[0].spans
    )
    assert span.flags == 0x103


def test_equal_values_of_different_types_stay_apart() -> None:
    """In a dictionary 1, True and 1.0 are one key."""
    batch = [make(CONTEXT, a=1), make(CONTEXT, a=True), make(CONTEXT, a=1.0)]
    assert _by_id(decoded(Encoder().encode(batch))) == _by_id(encode_spans(batch))


def test_what_is_remembered_is_bounded() -> None:
    encoder = Encoder()
    for number in range(3 * _PAIRS_KEPT):
        encoder.encode([make(CONTEXT, number=number, text="x" * 10_000)])
    assert len(encoder._pairs) <= _PAIRS_KEPT
    assert len(encoder._heads) <= 257


@pytest.mark.parametrize("value", [1 << 70])
def test_what_is_not_foreseen_is_left_to_upstream(value: object) -> None:
    batch = [make(CONTEXT, odd=value, even=1)]
    with pytest.raises(Exception, match=".+"):
        Encoder().encode(batch)
    (span,) = ExportTraceServiceRequest.FromString(make_encode()(batch)).resource_spans[0].scope_spans[0].spans
    assert "even" in {pair.key for pair in span.attributes}


def test_a_lone_surrogate_costs_a_character_and_no_span() -> None:
    request = ExportTraceServiceRequest.FromString(Encoder().encode([make(CONTEXT, odd="a\udc80b")]))
    (span,) = request.resource_spans[0].scope_spans[0].spans
    assert [pair.value.string_value for pair in span.attributes] == ["a?b"]
