"""Makes matches of the lines of one source in which an id occurs."""

from __future__ import annotations

from sys import intern
from typing import TYPE_CHECKING, Protocol

from tracebaton.timeline.match import Match, decode
from tracebaton.timeline.prefixes import Wrapped, json_file_entry, unwrap
from tracebaton.timeline.record import from_fields, from_text, json_object, trace_ids
from tracebaton.timeline.scanner import LONGEST_LINE, Take
from tracebaton.timeline.traceback_text import TracebackText

if TYPE_CHECKING:
    from tracebaton.timeline.query import Query

__all__ = ["Reader", "Sink"]

# Compose mixes the lines of its containers: so many of others may stand between a line and its traceback.
_LINES_OF_OTHERS = 200


class Sink(Protocol):
    def add(self, match: Match) -> None: ...

    def extend(self, match: Match, line: bytes) -> bool:
        """Add a line of plain text to a match that was added before; False if it is too late for that."""


class Reader:
    """The `Taker` of one source. `service` is what lines are attributed to that name none themselves."""

    def __init__(
        self, query: Query, sink: Sink, source: str, service: str, *, since_ns: int | None, until_ns: int | None
    ) -> None:
        self._query = query
        self._sink = sink
        self._source = source
        self._service = service
        self._since_ns = since_ns
        self._until_ns = until_ns
        self._last_ns = 0
        self._match: Match | None = None  # the last one, as long as lines may belong to it
        self._container = b""
        self._has_level = False
        self._traceback = TracebackText()
        self._others = 0
        self._part: bytearray | None = None  # a line of which Docker's json-file log has only shown a part
        self._part_number = 0
        self._part_ns: int | None = None

    def take(self, line: bytes, number: int) -> bool:
        self.finish()
        entry = json_file_entry(line)
        if entry is None:
            return self._accept(unwrap(line), number)
        text, stamp_ns = entry
        if text.endswith(b"\n"):
            return self._accept(Wrapped(text.rstrip(b"\r\n"), b"", stamp_ns), number)
        self._part, self._part_number, self._part_ns = bytearray(text), number, stamp_ns
        return True

    def take_following(self, line: bytes) -> Take:
        if self._part is not None:
            return self._take_part(line)
        if self._match is None:
            return Take.END
        entry = json_file_entry(line)
        wrapped = unwrap(line) if entry is None else Wrapped(entry[0].rstrip(b"\r\n"), b"", entry[1])
        if wrapped.container != self._container:
            self._others += 1
            return Take.PASSED if self._others <= _LINES_OF_OTHERS else Take.END
        if self._query.occurs_in(line) or not self._traceback.takes(wrapped.line):
            return Take.END
        self._match.is_error |= not self._has_level
        return Take.TAKEN if self._sink.extend(self._match, wrapped.line) else Take.END

    def finish(self) -> None:
        if self._part is not None:
            part, self._part = bytes(self._part), None
            self._accept(Wrapped(part, b"", self._part_ns), self._part_number)
        self._match = None

    def _take_part(self, line: bytes) -> Take:
        entry = json_file_entry(line)
        if entry is None or self._part is None:
            self.finish()
            return Take.END
        self._part += entry[0]
        if entry[0].endswith(b"\n") or len(self._part) > LONGEST_LINE:
            part, self._part = bytes(self._part).rstrip(b"\r\n"), None
            self._accept(Wrapped(part, b"", self._part_ns), self._part_number)
        return Take.TAKEN

    def _accept(self, wrapped: Wrapped, number: int) -> bool:
        """Make a match of a line, unless the id is not where loggers put it."""
        text = decode(wrapped.line)
        fields = json_object(text)
        if fields is None:
            trace_id = self._query.id_in_text(wrapped.line)
        else:
            trace_id = next(filter(None, map(self._query.matching_id, trace_ids(fields))), None)
        if trace_id is None:
            return False
        record = from_text(text) if fields is None else from_fields(fields)
        time_ns = wrapped.stamp_ns if record.time_ns is None else record.time_ns
        if time_ns is not None:
            self._last_ns = time_ns
            if (self._since_ns or 0) > time_ns or (self._until_ns is not None and time_ns > self._until_ns):
                return True  # left out because that was asked for, so not to be counted either
        service = record.service or wrapped.service or self._service
        ids = intern(trace_id), intern(record.span_id), intern(record.parent_id)
        self._match = Match(
            trace_id=ids[0],
            time_ns=time_ns,
            order_ns=self._last_ns,
            source=self._source,
            number=number,
            service=intern(service),
            span_id=ids[1],
            parent_id=ids[2],
            line=wrapped.line,
            is_error=record.is_error,
        )
        self._has_level = bool(record.level)
        self._container = wrapped.container
        self._traceback = TracebackText()
        self._others = 0
        self._sink.add(self._match)
        return True
