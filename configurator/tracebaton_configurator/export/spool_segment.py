"""A segment: one file with a batch behind the other, which is still one valid ExportTraceServiceRequest.

Messages of protobuf that stand one behind the other are one message, and a parser skips fields that it does not know
(https://protobuf.dev/programming-guides/encoding/, "Last One Wins" and "Unknown Fields"). So a record is a header that
looks like an unknown field, and then the batch:

    2 bytes   tag of field 2047, length-delimited
    4 bytes   its length, a varint that is padded to four bytes: 20, or 20 + the batch's length once it is delivered
    20 bytes  magic, length of the batch, spans, CRC-32 of the batch, CRC-32 of the four before (big endian)
    n bytes   the batch, an ExportTraceServiceRequest

With the longer length, the batch becomes a part of the unknown field. A file that somebody sends by hand therefore
holds what has not been delivered, and nothing else. Nothing in a file is believed before its checksum was looked at.

0.1.0 wrote a file for each batch, with spans and checksum in the name; such files are read as segments of one record.
"""

from __future__ import annotations

import os
import re
import struct
import time
import zlib
from contextlib import suppress
from typing import NamedTuple

# Not read and not written beyond this: a receiver takes messages of 4 MiB, unless it is told otherwise.
MOST_BATCH = 16 << 20
MOST_SEGMENT = 32 << 20
# Names that are dated later than this many seconds from now come from a clock that was wrong.
_CLOCK_SLACK = 86_400

_NAME = re.compile(r"([0-9]{20})-([0-9]{1,9})(?:-([0-9]{1,9})-([0-9a-f]{8}))?\.otlp")
_UNFINISHED = re.compile(r"[0-9]{20}-[0-9]{1,9}-([0-9]{1,9})-[0-9a-f]{8}\.otlp\.part")  # 0.1.0, cut off while writing
_TAG = b"\xfa\x7f"
_MAGIC = b"tbr1"
_FIELDS = struct.Struct(">4sIII")
_CHECK = struct.Struct(">I")
_BODY = _FIELDS.size + _CHECK.size
_LENGTH_AT = len(_TAG)
HEADER = len(_TAG) + 4 + _BODY


class Name(NamedTuple):
    """What a file's name says; sorted, the oldest comes first. `spans` and `crc` are those of a file of 0.1.0."""

    time: int
    number: int
    text: str
    spans: int | None
    crc: int
    complete: bool


class SpoolRecord(NamedTuple):
    """A batch in a segment; `at` is the offset of its header, `delivered` whether it has been marked as such."""

    at: int
    payload_at: int
    size: int
    spans: int
    crc: int
    delivered: bool


def parse_name(text: str) -> Name | None:
    """None for a file that is none of ours."""
    match = _NAME.fullmatch(text)
    if match:
        when = int(match[1])
        if when > time.time_ns() + _CLOCK_SLACK * 10**9:
            when = 0
        spans, crc = (int(match[3]), int(match[4], 16)) if match[3] else (None, 0)
        return Name(when, int(match[2]), text, spans, crc, complete=True)
    match = _UNFINISHED.fullmatch(text)
    return Name(0, 0, text, int(match[1]), 0, complete=False) if match else None


def name_of(when: int, number: int) -> str:
    """`when` is in nanoseconds since the epoch."""
    return f"{when:020d}-{number % 10**9}.otlp"


def header(payload: bytes, spans: int) -> bytes:
    fields = _FIELDS.pack(_MAGIC, len(payload), min(spans, 0xFFFFFFFF), zlib.crc32(payload))
    return _TAG + _varint(_BODY) + fields + _CHECK.pack(zlib.crc32(fields))


def parse_header(data: bytes, at: int) -> SpoolRecord | None:
    """The record whose header was read at the offset `at`; None where it is none."""
    fields = data[_LENGTH_AT + 4 : HEADER - _CHECK.size]
    if (
        len(data) < HEADER
        or data[:_LENGTH_AT] != _TAG
        or data[HEADER - _CHECK.size :] != _CHECK.pack(zlib.crc32(fields))
    ):
        return None
    magic, size, spans, crc = _FIELDS.unpack(fields)
    if magic != _MAGIC or size > MOST_BATCH:
        return None
    delivered = data[_LENGTH_AT : _LENGTH_AT + 4] == _varint(_BODY + size)
    return SpoolRecord(at, at + HEADER, size, spans, crc, delivered)


def mark_delivered(descriptor: int, record: SpoolRecord) -> None:
    """Hide the batch from whoever reads the file after this (OSError)."""
    os.pwrite(descriptor, _varint(_BODY + record.size), record.at + _LENGTH_AT)


def append(descriptor: int, at: int, payload: bytes, spans: int) -> int:
    """Write a record at the end, which is at `at`; returns the new end. On OSError the file is as it was before.

    Without a buffer, of which a forked child would have a copy, and write it once more.
    """
    rest = memoryview(header(payload, spans) + payload)
    end = at
    try:
        while rest:
            written = os.pwrite(descriptor, rest, end)
            if not written:
                raise OSError("nothing could be written")
            end += written
            rest = rest[written:]
    except BaseException:
        # Where this fails as well, whoever reads it next finds a record that ends too early.
        with suppress(OSError):
            os.ftruncate(descriptor, at)
        raise
    return end


def read_record(descriptor: int, name: Name, at: int, size: int) -> SpoolRecord | None:
    """The record at the offset `at` of a file of `size` bytes; None where there is none that could be believed.

    Its batch may still be cut off, or changed: that is for `read_payload` to find out.
    """
    if name.spans is not None:
        return SpoolRecord(0, 0, size, name.spans, name.crc, delivered=False) if name.complete else None
    return parse_header(os.pread(descriptor, HEADER, at), at)


def read_payload(descriptor: int, record: SpoolRecord) -> bytes | None:
    """None where it is not what was written (OSError)."""
    parts = []
    at, left = record.payload_at, record.size
    while left:
        part = os.pread(descriptor, left, at)
        if not part:
            return None
        parts.append(part)
        at += len(part)
        left -= len(part)
    payload = b"".join(parts)
    return payload if zlib.crc32(payload) == record.crc else None


def spans_left(descriptor: int, name: Name, size: int) -> int:
    """How many spans in the file have not been delivered, as its headers say (OSError)."""
    spans, at = 0, 0
    while at < size <= MOST_SEGMENT:
        record = read_record(descriptor, name, at, size)
        if record is None:
            break
        spans += 0 if record.delivered else record.spans
        at = record.payload_at + record.size
    return spans


def _varint(number: int) -> bytes:
    """Four bytes, whatever the number; below 2**28."""
    return bytes((number >> shift & 0x7F) | (0x80 if shift < 21 else 0) for shift in (0, 7, 14, 21))
