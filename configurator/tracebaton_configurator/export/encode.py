"""Spans as OTLP protobuf bytes, without an object for each field in between.

Upstream's encoder makes some thirty protobuf objects for a span, and hashes the resource's JSON once a span: most of
what recording a request costs. The attributes of spans repeat, so here the bytes of each pair are made once and kept.
The result is checked by parsing it, and what is not foreseen here is left to upstream's encoder, batch by batch.

The message: https://github.com/open-telemetry/opentelemetry-proto/blob/main/opentelemetry/proto/trace/v1/trace.proto
The encoding: https://protobuf.dev/programming-guides/encoding/
One difference to upstream 1.45: `Span.flags` has the W3C flags in its low byte, as the message's definition asks.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import SpanContext

_PAIRS_KEPT = 4096
_LONGEST_KEPT = 256

_fixed64 = Struct("<Q").pack
_fixed32 = Struct("<I").pack
_double = Struct("<d").pack

# SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK and SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK
_HAS_IS_REMOTE, _IS_REMOTE = 0x100, 0x200
_KINDS = {"INTERNAL": 1, "SERVER": 2, "CLIENT": 3, "PRODUCER": 4, "CONSUMER": 5}


class Encoder:
    """Encodes batches; used by one thread at a time, as a batch processor does."""

    def __init__(self) -> None:
        self._pairs: dict[tuple[str, type, Any], bytes] = {}
        # The resource of the process, and the scopes of its instrumentations, are the same objects in every batch.
        self._heads: dict[int, tuple[object, bytes]] = {}

    def encode(self, spans: Iterable[ReadableSpan]) -> bytes:
        """An ExportTraceServiceRequest. Raises (anything) for what it does not know how to encode."""
        by_resource: dict[int, tuple[Any, dict[int, tuple[Any, list[bytes]]]]] = {}
        for span in spans:
            resource, scope = span.resource, span.instrumentation_scope
            scopes = by_resource.setdefault(id(resource), (resource, {}))[1]
            scopes.setdefault(id(scope), (scope, []))[1].append(_field(0x12, self._span(span)))
        return b"".join(
            _field(
                0x0A,
                b"".join(
                    (
                        self._head(resource, self._resource),
                        *(
                            _field(0x12, b"".join((self._head(scope, self._scope), *encoded, _schema(scope))))
                            for scope, encoded in scopes.values()
                        ),
                        _schema(resource),
                    )
                ),
            )
            for resource, scopes in by_resource.values()
        )

    def _head(self, owner: Any, encode: Any) -> bytes:
        known = self._heads.get(id(owner))
        # The object is held here, so its id cannot become another's.
        if known is None or known[0] is not owner:
            if len(self._heads) > 256:
                self._heads.clear()
            known = self._heads[id(owner)] = (owner, _field(0x0A, encode(owner)))
        return known[1]

    def _resource(self, resource: Any) -> bytes:
        return self._attributes(0x0A, resource.attributes)

    def _scope(self, scope: Any) -> bytes:
        if scope is None:
            return b""
        return _text(0x0A, scope.name) + _text(0x12, scope.version or "") + self._attributes(0x1A, scope.attributes)

    def _span(self, span: ReadableSpan) -> bytes:
        context: Any = span.get_span_context()
        parent = span.parent
        status = span.status
        flags = context.trace_flags | _HAS_IS_REMOTE
        parts = [b"\x0a\x10", context.trace_id.to_bytes(16, "big"), b"\x12\x08", context.span_id.to_bytes(8, "big")]
        if context.trace_state:
            parts.append(_text(0x1A, ",".join([f"{name}={value}" for name, value in context.trace_state.items()])))
        if parent is not None:
            parts += (b"\x22\x08", parent.span_id.to_bytes(8, "big"))
            if parent.is_remote:
                flags |= _IS_REMOTE
        parts += (
            _text(0x2A, span.name),
            bytes((0x30, _KINDS[span.kind.name])),
            b"\x39",
            _fixed64(span.start_time or 0),
            b"\x41",
            _fixed64(span.end_time or 0),
            self._attributes(0x4A, span.attributes),
            _count(0x50, span.dropped_attributes),
        )
        for event in span.events:
            parts.append(_field(0x5A, self._event(event)))
        parts.append(_count(0x60, span.dropped_events))
        for link in span.links:
            parts.append(_field(0x6A, self._link(link)))
        parts.append(_count(0x70, span.dropped_links))
        if status is not None:
            message = _text(0x12, status.description) if status.description else b""
            code = status.status_code.value
            parts.append(_field(0x7A, message + (bytes((0x18, code)) if code else b"")))
        parts += (b"\x85\x01", _fixed32(flags))
        return b"".join(parts)

    def _event(self, event: Any) -> bytes:
        return b"".join(
            (
                b"\x09",
                _fixed64(event.timestamp),
                _text(0x12, event.name),
                self._attributes(0x1A, event.attributes),
                _count(0x20, event.dropped_attributes),
            )
        )

    def _link(self, link: Any) -> bytes:
        context: SpanContext = link.context
        flags = context.trace_flags | _HAS_IS_REMOTE | (_IS_REMOTE if context.is_remote else 0)
        return b"".join(
            (
                b"\x0a\x10",
                context.trace_id.to_bytes(16, "big"),
                b"\x12\x08",
                context.span_id.to_bytes(8, "big"),
                self._attributes(0x22, link.attributes),
                _count(0x28, link.dropped_attributes),
                b"\x35",
                _fixed32(flags),
            )
        )

    def _attributes(self, tag: int, attributes: Mapping[str, Any] | None) -> bytes:
        """Repeated KeyValue under `tag`."""
        if not attributes:
            return b""
        pairs = self._pairs
        parts = []
        # A copy is the quickest way through the SDK's own mapping, which takes a lock for each item.
        for name, value in attributes.copy().items():  # type: ignore[attr-defined]
            kind = value.__class__
            if kind is str or kind is int or kind is bool:
                key = (name, kind, value)
                pair = pairs.get(key)
                if pair is None:
                    pair = self._pair(name, value)
                    if len(pair) <= _LONGEST_KEPT:
                        if len(pairs) >= _PAIRS_KEPT:
                            pairs.clear()
                        pairs[key] = pair
            else:
                pair = self._pair(name, value)
            parts.append(pair)
        head = bytes((tag,))
        return head + head.join(parts)

    def _pair(self, name: str, value: Any) -> bytes:
        """A KeyValue with its length before it."""
        body = _text(0x0A, name) + _field(0x12, self._any(value))
        return _varint(len(body)) + body

    def _any(self, value: Any) -> bytes:
        """AnyValue; which types an attribute can have is up to the SDK, which has cleaned them."""
        if value is None:
            return b""
        if isinstance(value, bool):
            return b"\x10\x01" if value else b"\x10\x00"
        if isinstance(value, str):
            return _field(0x0A, value.encode("utf-8", "replace"))
        if isinstance(value, int):
            if not -(1 << 63) <= value < 1 << 63:
                raise ValueError("an integer does not fit")
            return b"\x18" + _varint(value & 0xFFFF_FFFF_FFFF_FFFF)
        if isinstance(value, float):
            return b"\x21" + _double(value)
        if isinstance(value, bytes):
            return _field(0x3A, value)
        if isinstance(value, (list, tuple)):
            return _field(0x2A, b"".join([_field(0x0A, self._any(one)) for one in value]))
        raise TypeError(f"an attribute of type {type(value).__name__}")


def _schema(owner: Any) -> bytes:
    return _text(0x1A, owner.schema_url) if owner is not None and owner.schema_url else b""


def _text(tag: int, text: str) -> bytes:
    """A string field; one that is empty is not written, as proto3 has it. A lone surrogate becomes a question mark."""
    return _field(tag, text.encode("utf-8", "replace")) if text else b""


def _field(tag: int, body: bytes) -> bytes:
    """A length-delimited field."""
    return bytes((tag,)) + _varint(len(body)) + body


def _count(tag: int, number: int) -> bytes:
    return bytes((tag,)) + _varint(number) if number else b""


_ONE_BYTE = tuple(bytes((number,)) for number in range(128))


def _varint(number: int) -> bytes:
    if number < 128:
        return _ONE_BYTE[number]
    out = bytearray()
    while number > 127:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
