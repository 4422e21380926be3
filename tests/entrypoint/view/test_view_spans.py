"""tracebaton.view.spans"""

from __future__ import annotations

import json
import math
import tracemalloc

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList

from tracebaton.view.spans import Link, SpanEvent, decode

TRACE_ID, SPAN_ID, PARENT_ID = b"\xab" * 16, b"\xcd" * 8, b"\xef" * 8


def request_with(**span: object) -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    resource_spans = request.resource_spans.add()
    resource_spans.resource.attributes.append(KeyValue(key="service.name", value=AnyValue(string_value="backend")))
    scope_spans = resource_spans.scope_spans.add()
    scope_spans.scope.name, scope_spans.scope.version = "opentelemetry.instrumentation.httpx", "0.60b1"
    scope_spans.spans.add(**{"trace_id": TRACE_ID, "span_id": SPAN_ID, **span})  # type: ignore[arg-type]
    return request


class TestDecode:
    def test_every_field(self) -> None:
        """Each field of an OTLP span has its place, ids as lower-case hex."""
        request = request_with(
            parent_span_id=PARENT_ID,
            name="POST",
            kind=3,
            start_time_unix_nano=1_000_000,
            end_time_unix_nano=3_500_000,
            trace_state="ot=th:8",
            flags=0x301,
        )
        span = request.resource_spans[0].scope_spans[0].spans[0]
        span.status.code, span.status.message = 2, "boom"
        span.events.add(name="exception", time_unix_nano=7).attributes.append(
            KeyValue(key="exception.type", value=AnyValue(string_value="ValueError"))
        )
        span.links.add(trace_id=TRACE_ID, span_id=PARENT_ID, trace_state="a=b")

        (decoded,), rejected = decode(request)

        assert rejected == 0
        assert (decoded.trace_id, decoded.span_id, decoded.parent_span_id) == ("ab" * 16, "cd" * 8, "ef" * 8)
        assert (decoded.name, decoded.kind, decoded.service) == ("POST", "CLIENT", "backend")
        assert (decoded.start_ns, decoded.end_ns, decoded.duration_ms) == (1_000_000, 3_500_000, 2.5)
        assert (decoded.status, decoded.status_message) == ("ERROR", "boom")
        assert (decoded.scope_name, decoded.scope_version) == ("opentelemetry.instrumentation.httpx", "0.60b1")
        assert decoded.resource == {"service.name": "backend"}
        assert decoded.events == (SpanEvent("exception", 7, {"exception.type": "ValueError"}),)
        assert decoded.links == (Link("ab" * 16, "ef" * 8, "a=b", {}),)
        assert (decoded.trace_state, decoded.flags) == ("ot=th:8", 0x301)

    @pytest.mark.parametrize(
        "ids",
        [
            {"trace_id": b""},
            {"trace_id": b"\x01" * 15},
            {"trace_id": bytes(16)},
            {"span_id": b""},
            {"span_id": b"\x01" * 9},
            {"span_id": bytes(8)},
            {"parent_span_id": b"\x01" * 7},
        ],
    )
    def test_invalid_ids(self, ids: dict[str, bytes]) -> None:
        """A span with an id of the wrong length, or of zeros, is left out and counted; the others stay."""
        request = request_with(**ids)
        request.resource_spans[0].scope_spans[0].spans.add(trace_id=TRACE_ID, span_id=SPAN_ID, name="good")
        spans, rejected = decode(request)
        assert [span.name for span in spans] == ["good"]
        assert rejected == 1

    def test_parent_of_zeros_is_no_parent(self) -> None:
        (span,), _ = decode(request_with(parent_span_id=bytes(8)))
        assert span.parent_span_id == ""

    def test_unknown_enum_numbers(self) -> None:
        """A kind or status that a newer protocol may add reads as unspecified."""
        request = request_with(kind=99)
        request.resource_spans[0].scope_spans[0].spans[0].status.code = 77  # type: ignore[assignment]
        (span,), _ = decode(request)
        assert (span.kind, span.status) == ("UNSPECIFIED", "UNSET")

    def test_no_service_name(self) -> None:
        request = request_with()
        request.resource_spans[0].ClearField("resource")
        (span,), _ = decode(request)
        assert span.service == "unknown_service"

    def test_attribute_values_are_ready_for_json(self) -> None:
        """Every kind of AnyValue becomes what JSON can say."""
        values = {
            "text": (AnyValue(string_value="x"), "x"),
            "yes": (AnyValue(bool_value=True), True),
            "big": (AnyValue(int_value=2**62), 2**62),
            "half": (AnyValue(double_value=0.5), 0.5),
            "nan": (AnyValue(double_value=math.nan), "NaN"),
            "inf": (AnyValue(double_value=-math.inf), "-Infinity"),
            "bytes": (AnyValue(bytes_value=b"\x00\xff"), "AP8="),
            "list": (AnyValue(array_value=ArrayValue(values=[AnyValue(int_value=1), AnyValue()])), [1, None]),
            "map": (
                AnyValue(kvlist_value=KeyValueList(values=[KeyValue(key="k", value=AnyValue(int_value=1))])),
                {"k": 1},
            ),
        }
        request = request_with(attributes=[KeyValue(key=key, value=value) for key, (value, _) in values.items()])
        (span,), _ = decode(request)
        assert span.attributes == {key: expected for key, (_, expected) in values.items()}
        json.dumps(span.attributes, allow_nan=False)

    def test_weight_counts_the_payload(self) -> None:
        """What a span is counted with grows with what it brings along, its resource too."""
        small, _ = decode(request_with())
        large, _ = decode(request_with(name="x" * 100_000))
        request = request_with()
        request.resource_spans[0].resource.attributes[0].value.string_value = "y" * 100_000
        in_large_resource, _ = decode(request)
        assert large[0].weight >= small[0].weight + 99_000
        assert in_large_resource[0].weight >= small[0].weight + 99_000

    @pytest.mark.parametrize(("attributes", "length"), [(0, 0), (10, 30), (100, 5), (1, 100_000)])
    def test_weight_is_no_less_than_the_memory(self, attributes: int, length: int) -> None:
        """The bound in bytes is one: Python's objects are counted, not the wire alone."""
        pairs = [KeyValue(key=f"key {n}", value=AnyValue(string_value="v" * length)) for n in range(attributes)]
        request = request_with(attributes=pairs)
        scope_spans = request.resource_spans[0].scope_spans[0]
        for _ in range(199):
            scope_spans.spans.append(scope_spans.spans[0])
        tracemalloc.start()
        try:
            spans, _ = decode(request)
            memory, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert memory <= sum(span.weight for span in spans)
