"""Puts the lines of all sources in order and prints them: those that there are together, later ones as they come."""

from __future__ import annotations

import heapq
import sys
import time
from typing import TYPE_CHECKING

from tracebaton.timeline.hops import Hops
from tracebaton.timeline.match import MatchBuffer
from tracebaton.timeline.notes import ambiguous, summary

if TYPE_CHECKING:
    from tracebaton.timeline.match import Match
    from tracebaton.timeline.output import JsonOutput, TextOutput

__all__ = ["AmbiguousError", "Merge"]

# A line waits so long for earlier ones from other sources. Files are polled, and engines deliver, well within it.
_WINDOW = 0.5  # seconds
_MOST_WAITING = 10_000


class AmbiguousError(Exception):
    """What there is already belongs to several traces; the arguments are the sentences."""


class Merge:
    """The sink of the readers. What it prints may raise OSError, BrokenPipeError among them."""

    def __init__(self, digits: str, output: JsonOutput | TextOutput) -> None:
        self.buffer = MatchBuffer()
        self.is_live = False
        self.summary = ""
        self.trace_id: str | None = None  # as soon as something is printed
        self.other_traces = 0
        self._digits = digits
        self._output = output
        self._hops = Hops()
        self._sequence = 0
        self._waiting: list[tuple[int, int, float, Match]] = []
        self._unprinted: set[int] = set()

    def add(self, match: Match) -> None:
        if not self.is_live:
            self.buffer.add(match)
            return
        if self.trace_id is None:
            self._begin([match], "")
        if match.trace_id != self.trace_id:
            self.other_traces += 1
            return
        self._sequence += 1
        self._unprinted.add(id(match))
        heapq.heappush(self._waiting, (match.order_ns, self._sequence, time.monotonic() + _WINDOW, match))

    def extend(self, match: Match, line: bytes) -> bool:
        if not self.is_live:
            return self.buffer.extend(match, line)
        if id(match) not in self._unprinted:
            return False
        match.tail.append(line)
        return True

    def finish(self) -> None:
        """Print all that is left; raises AmbiguousError."""
        if not self.is_live:
            self.go_live()
        self.print_due(float("inf"))

    def go_live(self, suffix: str = "") -> None:
        """Print what there is; raises AmbiguousError."""
        if len(self.buffer.seen) > 1:
            raise AmbiguousError(*ambiguous(self._digits, self.buffer.seen, has_more=self.buffer.has_more_ids))
        self.is_live = True
        matches = self.buffer.pop_all()
        if not matches:
            return
        self._hops = Hops(matches)
        self.summary = summary(matches) + suffix
        self._begin(matches, self.summary)
        for match in matches:
            self._output.line(match, self._hops.depth(match))
        sys.stdout.flush()

    def print_due(self, now: float) -> None:
        """Print of the later lines those that have waited long enough at this time of the monotonic clock."""
        waiting = self._waiting
        before = len(waiting)
        while waiting and (waiting[0][2] <= now or len(waiting) > _MOST_WAITING):
            match = heapq.heappop(waiting)[3]
            self._unprinted.discard(id(match))
            self._output.line(match, self._hops.depth(match))
        if len(waiting) < before:
            sys.stdout.flush()

    def _begin(self, matches: list[Match], text: str) -> None:
        self.trace_id = matches[0].trace_id
        self._output.begin(text, matches)
