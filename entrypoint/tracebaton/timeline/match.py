"""Lines that belong to the trace, held until all sources are read, in bounded memory."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field

from tracebaton.timeline.record import Record, decode, read_line

__all__ = ["Match", "MatchBuffer", "Seen"]

_MOST_IDS = 1000
_MOST_SERVICES = 5


@dataclass(slots=True, eq=False)
class Match:
    """A line kept small: as bytes, with what ordering and indenting need.

    `time_ns` is since 1970, None if unknown; `order_ns` stands in for it, the time of the line before. `tail` are lines
    of plain text that belong to it: a traceback printed below.
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
        record = read_line(self.line)
        if self.tail:
            record.exception = "\n".join(filter(None, (record.exception, *map(decode, self.tail)))).rstrip("\n")
        return record


@dataclass(slots=True)
class Seen:
    """What is known of one of the traces that a prefix stands for."""

    lines: int = 0
    first_ns: int | None = None
    services: list[str] = field(default_factory=list)

    def add(self, match: Match) -> None:
        self.lines += 1
        if match.time_ns is not None and (self.first_ns is None or match.time_ns < self.first_ns):
            self.first_ns = match.time_ns
        if match.service not in self.services and len(self.services) < _MOST_SERVICES:
            self.services.append(match.service)


class MatchBuffer:
    """Keeps the earliest `most_lines` lines of at most `most_bytes` together; `left_out` counts those that were later.

    As soon as a second trace matches, it keeps no lines, only what tells the traces apart: `seen`, by trace id;
    `has_more_ids` when even these are not all.
    """

    def __init__(self, *, most_lines: int = 50_000, most_bytes: int = 24 << 20) -> None:
        self.seen: dict[str, Seen] = {}
        self.has_more_ids = False
        self.left_out = 0
        self._most_lines = most_lines
        self._most_bytes = most_bytes
        self._bytes = 0
        self._count = 0
        self._last_kept: Match | None = None
        self._latest_first: list[tuple[int, int, Match]] = []

    def __len__(self) -> int:
        return len(self._latest_first)

    def add(self, match: Match) -> None:
        if match.trace_id not in self.seen:
            if len(self.seen) >= _MOST_IDS:
                self.has_more_ids = True
                return
            self.seen[match.trace_id] = Seen()
        self.seen[match.trace_id].add(match)
        if len(self.seen) > 1:
            self.pop_all()
            return
        self._count += 1
        self._bytes += len(match.line)
        heapq.heappush(self._latest_first, (-match.order_ns, -self._count, match))
        self._last_kept = match
        self._make_room()

    def extend(self, match: Match, line: bytes) -> bool:
        """Add a line of plain text to a match; with a match that was left out, it is left out too."""
        if match is self._last_kept:
            match.tail.append(line)
            self._bytes += len(line)
            self._make_room()
        return True

    def pop_all(self) -> list[Match]:
        """Everything in order of time; lines of the same time in the order in which they were read."""
        matches = [match for _, _, match in sorted(self._latest_first, key=lambda entry: entry[:2], reverse=True)]
        self._latest_first.clear()
        self._last_kept = None
        self._bytes = 0
        return matches

    def _make_room(self) -> None:
        kept = self._latest_first
        while len(kept) > 1 and (len(kept) > self._most_lines or self._bytes > self._most_bytes):
            _, _, latest = heapq.heappop(kept)
            self._bytes -= len(latest.line) + sum(map(len, latest.tail))
            self.left_out += 1
            if latest is self._last_kept:
                self._last_kept = None
