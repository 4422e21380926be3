"""About how much memory a payload takes once it is decoded, found out before it is.

Two bytes can make an object of a kilobyte: sixteen MiB of them would be gigabytes. So what a payload is made of is
counted first, and one of too many parts is refused.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TypeAlias

from tracebaton.view.refusal import RefusedError

__all__ = ["LOGS", "MAX_COST", "TRACES", "TooManyPartsError", "check_json", "check_protobuf"]

MAX_COST = 96 * 1024 * 1024
"""Bytes. Eight thousand spans with twenty attributes each, the batch of a Collector, are within it."""

# Measured with tracemalloc and upb, rounded up: what a field costs, whatever its type, and a span or one of its events.
_FIELD = 100
_RECORD = 1000
# Of JSON: an object, a list or a member, with what protobuf makes of it.
_MARK = 200
_MARKS = (b"{", b"[", b",")
# As deep as protobuf's own parser goes.
_MAX_DEPTH = 100

Message: TypeAlias = "dict[int, Message]"


class TooManyPartsError(RefusedError):
    def __init__(self) -> None:
        sentence = "the payload has too many spans, attributes and other parts; send it in smaller batches"
        super().__init__(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, sentence)


def check_json(document: bytes | bytearray) -> None:
    """Raises TooManyPartsError. Marks within texts count too, at the price of one in fifty being a mark."""
    if sum(map(document.count, _MARKS)) * _MARK > MAX_COST:
        raise TooManyPartsError


def check_protobuf(message: bytes | bytearray, request: Message) -> None:
    """Walk an export request, which is TRACES or LOGS.

    Raises TooManyPartsError, or ValueError for what is no protobuf message.

    The encoding: https://protobuf.dev/programming-guides/encoding/
    """
    position, end, fields = 0, len(message), request
    within: list[tuple[int, Message]] = []
    left = MAX_COST
    try:
        while True:
            while position >= end:
                if position > end:
                    raise ValueError("a field is longer than its message")
                if not within:
                    return
                end, fields = within.pop()
            left -= _FIELD
            if left < 0:
                raise TooManyPartsError
            tag = message[position]
            position += 1
            if tag > 127:
                tag, position = _varint(message, tag, position)
            wire_type = tag & 7
            if wire_type == 2:
                length = message[position]
                position += 1
                if length > 127:
                    length, position = _varint(message, length, position)
                inner = fields.get(tag >> 3)
                if inner is None:
                    position += length
                    continue
                if position + length > end or len(within) >= _MAX_DEPTH:
                    raise ValueError("a field is longer than its message, or too deep")
                if inner is _SPAN or inner is _EVENT or inner is _LINK or inner is _LOG_RECORD:
                    left -= _RECORD
                within.append((end, fields))
                end, fields = position + length, inner
            elif wire_type == 0:
                while message[position] > 127:
                    position += 1
                position += 1
            elif wire_type == 1:
                position += 8
            elif wire_type == 5:
                position += 4
            elif wire_type == 3 and len(within) < _MAX_DEPTH:  # a group, which proto3 skips
                within.append((end, fields))
                fields = {}
            elif wire_type == 4 and within:
                end, fields = within.pop()
            else:
                raise ValueError("a wire type is not known, or it is too deep")
    except IndexError:
        raise ValueError("it ends within a field") from None


def _varint(message: bytes | bytearray, first: int, position: int) -> tuple[int, int]:
    """A number whose first byte has been read, and where it ends."""
    number, shift = first & 127, 7
    while True:
        byte = message[position]
        position += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number, position
        shift += 7
        if shift > 63:
            raise ValueError("a number is too long")


# opentelemetry/proto: common.proto, resource.proto, trace.proto, logs.proto: the fields that are messages.
_ANY_VALUE: Message = {}
_KEY_VALUE: Message = {2: _ANY_VALUE}
_ANY_VALUE.update({5: {1: _ANY_VALUE}, 6: {1: _KEY_VALUE}})
_EVENT: Message = {3: _KEY_VALUE}
_LINK: Message = {4: _KEY_VALUE}
_STATUS: Message = {}
_SPAN: Message = {9: _KEY_VALUE, 11: _EVENT, 13: _LINK, 15: _STATUS}
_SCOPE_SPANS: Message = {1: {3: _KEY_VALUE}, 2: _SPAN}
_ENTITY_REF: Message = {}
_RESOURCE: Message = {1: _KEY_VALUE, 3: _ENTITY_REF}
_LOG_RECORD: Message = {5: _ANY_VALUE, 6: _KEY_VALUE}
_SCOPE_LOGS: Message = {1: {3: _KEY_VALUE}, 2: _LOG_RECORD}
TRACES: Message = {1: {1: _RESOURCE, 2: _SCOPE_SPANS}}
LOGS: Message = {1: {1: _RESOURCE, 2: _SCOPE_LOGS}}
