"""A line that belongs to the trace, kept small: as bytes, with what ordering and indenting need."""

from __future__ import annotations

from dataclasses import dataclass, field

from tracebaton.timeline.record import Record, from_fields, from_text, json_object

__all__ = ["Match", "decode"]


@dataclass(slots=True, eq=False)
class Match:
    """`time_ns` is since 1970, None if unknown; `order_ns` stands in for it, the time of the line before.

    `tail` are lines of plain text that belong to it: a traceback printed below.
    """

    trace_id: str
    time_ns: int | None
    order_ns: int
    source: str
    number: int
    service: str
    span_id: str
    parent_id: str
    line: bytes
    is_error: bool = False
    tail: list[bytes] = field(default_factory=list)

    def record(self) -> Record:
        """The fields of the line, read once more: kept for 50 000 lines they would take a lot of memory."""
        text = decode(self.line)
        fields = json_object(text)
        record = from_text(text) if fields is None else from_fields(fields)
        if self.tail:
            record.exception = "\n".join(filter(None, (record.exception, *map(decode, self.tail)))).rstrip("\n")
        return record


def decode(line: bytes) -> str:
    """Bytes that are no UTF-8 become lone surrogates, which `output.escape` shows: a JSON string may hold them."""
    return line.decode("utf-8", "surrogateescape")
