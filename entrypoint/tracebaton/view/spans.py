"""A received span as a small immutable object, and how it is read from OTLP protobuf."""

from __future__ import annotations

import base64
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable

    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
    from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
    from opentelemetry.proto.trace.v1.trace_pb2 import Span as OtlpSpan

__all__ = ["Link", "Span", "SpanEvent", "Value", "attributes_of", "decode", "value_of"]

Value: TypeAlias = "str | bool | int | float | list[Value] | dict[str, Value] | None"
"""An attribute's value, ready for JSON: bytes are base64, NaN and the infinities are their names."""

# trace.proto, enum SpanKind and enum Status.StatusCode: the position is the number on the wire.
_KINDS = ("UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER")
_STATUSES = ("UNSET", "OK", "ERROR")

# The names are those of protobuf's JSON mapping; JSON itself has no word for them.
_NO_NUMBERS = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}

# What Python objects cost beyond the bytes on the wire, measured with tracemalloc and rounded up: a span about 630, an
# attribute about 150.
_SPAN_BYTES = 1024
_ATTRIBUTE_BYTES = 160
_LARGE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class SpanEvent:
    name: str
    time_ns: int
    attributes: dict[str, Value]


@dataclass(frozen=True, slots=True)
class Link:
    trace_id: str
    span_id: str
    trace_state: str
    attributes: dict[str, Value]


@dataclass(frozen=True, slots=True)
class Span:
    """Ids are lower-case hex (32, 16 and 16 digits; no parent: ''), times nanoseconds since 1970."""

    trace_id: str
    span_id: str
    parent_span_id: str
    name: str
    kind: str
    start_ns: int
    end_ns: int
    service: str
    status: str
    status_message: str
    attributes: dict[str, Value]
    resource: dict[str, Value]
    scope_name: str
    scope_version: str
    events: tuple[SpanEvent, ...] = ()
    links: tuple[Link, ...] = ()
    trace_state: str = ""
    flags: int = 0
    weight: int = _SPAN_BYTES
    """About how many bytes of memory this span holds."""

    @property
    def duration_ms(self) -> float:
        return (self.end_ns - self.start_ns) / 1e6


def decode(request: ExportTraceServiceRequest) -> tuple[list[Span], int]:
    """Return the request's spans, and how many were left out because an id of theirs is invalid.

    Valid is what trace.proto says: 16 bytes for a trace, 8 for a span, not all zero; a parent may be absent.
    """
    spans: list[Span] = []
    rejected = 0
    for resource_spans in request.resource_spans:
        resource = attributes_of(resource_spans.resource.attributes)
        service = str(resource.get("service.name") or "unknown_service")
        resource_bytes = resource_spans.resource.ByteSize()
        for scope_spans in resource_spans.scope_spans:
            scope = scope_spans.scope
            for span in scope_spans.spans:
                if not _has_valid_ids(span):
                    rejected += 1
                    continue
                spans.append(
                    Span(
                        trace_id=span.trace_id.hex(),
                        span_id=span.span_id.hex(),
                        parent_span_id=span.parent_span_id.hex() if any(span.parent_span_id) else "",
                        name=span.name,
                        kind=_name(_KINDS, span.kind),
                        start_ns=span.start_time_unix_nano,
                        end_ns=span.end_time_unix_nano,
                        service=service,
                        status=_name(_STATUSES, span.status.code),
                        status_message=span.status.message,
                        attributes=attributes_of(span.attributes),
                        resource=resource,
                        scope_name=scope.name,
                        scope_version=scope.version,
                        events=tuple(
                            SpanEvent(event.name, event.time_unix_nano, attributes_of(event.attributes))
                            for event in span.events
                        ),
                        links=tuple(
                            Link(
                                link.trace_id.hex(),
                                link.span_id.hex(),
                                link.trace_state,
                                attributes_of(link.attributes),
                            )
                            for link in span.links
                        ),
                        trace_state=span.trace_state,
                        flags=span.flags,
                        # The resource is shared, yet counted in full: one small span can be all that keeps it alive.
                        weight=_weight(span) + resource_bytes,
                    )
                )
    return spans, rejected


def _has_valid_ids(span: OtlpSpan) -> bool:
    return (
        len(span.trace_id) == 16
        and any(span.trace_id)
        and len(span.span_id) == 8
        and any(span.span_id)
        and len(span.parent_span_id) in {0, 8}
    )


def _weight(span: OtlpSpan) -> int:
    attributes = len(span.attributes)
    attributes += sum(1 + len(event.attributes) for event in span.events)
    attributes += sum(1 + len(link.attributes) for link in span.links)
    size = span.ByteSize()
    # One character beyond U+FFFF makes every other one of a text four bytes wide.
    return _SPAN_BYTES + (size if size < _LARGE else size * 4) + attributes * _ATTRIBUTE_BYTES


def _name(names: tuple[str, ...], number: int) -> str:
    # proto3 enums are open: a newer exporter may send a number that has no name here.
    return names[number] if 0 <= number < len(names) else names[0]


def attributes_of(pairs: Iterable[KeyValue]) -> dict[str, Value]:
    return {pair.key: value_of(pair.value) for pair in pairs}


def value_of(value: AnyValue) -> Value:
    # Recursion is bounded by protobuf's parser, which refuses messages nested more than 100 deep.
    match value.WhichOneof("value"):
        case "string_value" | "bool_value" | "int_value" as kind:
            known: str | bool | int = getattr(value, kind)
            return known
        case "double_value":
            number = value.double_value
            return number if math.isfinite(number) else _NO_NUMBERS[str(number)]
        case "array_value":
            return [value_of(item) for item in value.array_value.values]
        case "kvlist_value":
            return attributes_of(value.kvlist_value.values)
        case "bytes_value":
            return base64.b64encode(value.bytes_value).decode("ascii")
        case _:
            return None
