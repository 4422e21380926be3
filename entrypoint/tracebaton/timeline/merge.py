"""Puts the lines of all sources in order and prints them: those that there are together, later ones as they come."""

from __future__ import annotations

import sys
import time
from bisect import insort
from dataclasses import dataclass, field
from operator import attrgetter
from typing import TYPE_CHECKING

from tracebaton.timeline.hops import Hops
from tracebaton.timeline.notes import ambiguous, summary
from tracebaton.timeline.record import Record, decode, read_line

if TYPE_CHECKING:
    from tracebaton.timeline.output import JsonTimeline, TextOutput

__all__ = ["AmbiguousError", "Match", "Merge", "Seen"]

# A line waits so long for earlier ones from other sources. Files are polled, and engines deliver, well within it.
_WINDOW = 0.5  # seconds
_MOST_WAITING = 10_000
_MOST_IDS = 1000
_MOST_SERVICES = 5


class AmbiguousError(Exception):
    """What there is already belongs to several traces; the arguments are the sentences."""


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
    arrived: float = field(default_factory=time.monotonic)
    is_open: bool = True  # not yet printed or left out

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


class Merge:
    """Takes the lines that the readers find. Whatever prints may raise OSError and, the first time, AmbiguousError.

    Keeps the earliest `most_lines` lines of at most `most_bytes` together; `left_out` counts those that were later. As
    soon as there is a second trace, it keeps no lines, only what tells the traces apart.
    """

    def __init__(
        self,
        digits: str,
        output: JsonTimeline | TextOutput,
        *,
        follow: bool = False,
        most_lines: int = 50_000,
        most_bytes: int = 24 << 20,
    ) -> None:
        self.summary = ""
        self.trace_id: str | None = None  # as soon as something is printed
        self.is_live = False  # what there was at the beginning is printed
        self.left_out = 0
        self.other_traces = 0
        self._digits = digits
        self._output = output
        self._follow = follow
        self._most_lines = most_lines
        self._most_bytes = most_bytes
        self._seen: dict[str, Seen] = {}
        self._has_more_ids = False
        self._hops = Hops([])
        self._matches: list[Match] = []  # in order of time; those of the same time in the order in which they were read
        self._bytes = 0
        self._first_ns: int | None = None

    def add(self, match: Match) -> None:
        if self.is_live and self._seen and match.trace_id not in self._seen:
            self.other_traces += 1
        elif self._see(match):
            insort(self._matches, match, key=attrgetter("order_ns"))
            self._bytes += len(match.line)
            self._make_room()

    def extend(self, match: Match, line: bytes) -> bool:
        """Add a line of plain text to a match; False if it has been printed; if it was left out, so is the line."""
        if match.is_open:
            match.tail.append(line)
            self._bytes += len(line)
            self._make_room()
        return match.is_open or not self.is_live

    def print_due(self, *, everything: bool = False) -> None:
        """Print what there is the first time, and then what has waited long enough, or `everything`."""
        if not self.is_live:
            if len(self._seen) > 1:
                raise AmbiguousError(*ambiguous(self._digits, self._seen, has_more=self._has_more_ids))
            self.is_live = everything = True
        matches, due = self._matches, 0
        arrived = time.monotonic() - _WINDOW
        while due < len(matches) and (
            everything or matches[due].arrived <= arrived or len(matches) - due > _MOST_WAITING
        ):
            due += 1
        if not due:
            return
        matches, self._matches = matches[:due], matches[due:]
        if self.trace_id is None:
            self.trace_id = matches[0].trace_id
            self.summary = summary(matches) + (" so far" if self._follow else "")
            self._hops = Hops(matches)
            self._output.begin(self.summary, matches)
        for match in matches:
            if self._first_ns is None:
                self._first_ns = match.time_ns
            offset_ns = None if match.time_ns is None else match.time_ns - (self._first_ns or 0)
            self._output.line(match, self._hops.depth(match), offset_ns)
            self._forget(match)
        sys.stdout.flush()

    def _forget(self, match: Match) -> None:
        match.is_open = False
        self._bytes -= len(match.line) + sum(map(len, match.tail))

    def _see(self, match: Match) -> bool:
        """Whether there is no other trace."""
        if match.trace_id not in self._seen and len(self._seen) >= _MOST_IDS:
            self._has_more_ids = True
            return False
        seen = self._seen.setdefault(match.trace_id, Seen())
        seen.lines += 1
        if match.time_ns is not None and (seen.first_ns is None or match.time_ns < seen.first_ns):
            seen.first_ns = match.time_ns
        if match.service not in seen.services and len(seen.services) < _MOST_SERVICES:
            seen.services.append(match.service)
        if len(self._seen) > 1:
            self._matches.clear()
        return len(self._seen) == 1

    def _make_room(self) -> None:
        kept = self._matches
        while len(kept) > 1 and (len(kept) > self._most_lines or self._bytes > self._most_bytes):
            self._forget(kept.pop())
            self.left_out += 1
