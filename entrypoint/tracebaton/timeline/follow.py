"""`--follow`: sources read at the same time, their lines merged in order within a short window."""

from __future__ import annotations

import heapq
import queue
import threading
import time
from typing import TYPE_CHECKING

from tracebaton.timeline.hops import Hops
from tracebaton.timeline.notes import ambiguous, summary
from tracebaton.timeline.record_buffer import RecordBuffer
from tracebaton.timeline.sources import CAUGHT_UP, RESTARTED, SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tracebaton.timeline.match import Match
    from tracebaton.timeline.output import Output
    from tracebaton.timeline.scanner import Scanner
    from tracebaton.timeline.sources import Source

__all__ = ["AmbiguousError", "Following"]

# A line waits so long for earlier ones from other sources. Files are polled, and engines deliver, well within it.
WINDOW = 0.5  # seconds
_MOST_WAITING = 10_000
# A source that says nothing for so long has shown what there was when the following began.
_QUIET = 1.0
_TICK = 0.1
_MOST_BLOCKS = 16
_LOOK_AGAIN = 2.0


class AmbiguousError(Exception):
    """What there is already belongs to several traces; the arguments are the sentences."""


class Following:
    """First prints the lines that there are, in order, then each new one. Is the sink of the readers."""

    def __init__(self, digits: str, output: Output) -> None:
        self.buffer = RecordBuffer()
        self.other_traces = 0
        self.printed = 0
        self._digits = digits
        self._output = output
        self._hops = Hops()
        self._trace_id: str | None = None
        self._live = False
        self._sequence = 0
        self._waiting: list[tuple[int, int, float, Match]] = []
        self._unprinted: set[int] = set()

    def run(
        self,
        sources: Iterable[Source],
        *,
        scanner_of: Callable[[Source], Scanner],
        discover: Callable[[], list[Source]] | None,
        say: Callable[[SourceError], None],
        goes_on: Callable[[], bool],
    ) -> None:
        """Print until all sources have ended, or `goes_on` says no; raises OSError and AmbiguousError.

        `discover` returns the sources that there are now, if more may come.
        """
        inbox: queue.Queue[tuple[Source, bytes | bytearray | SourceError | None]] = queue.Queue(_MOST_BLOCKS)
        heard: dict[int, float] = {}  # when a source that has not caught up yet was last heard of
        running: set[int] = set()

        def start(source: Source) -> None:
            heard[id(source)] = time.monotonic()
            running.add(id(source))
            threading.Thread(target=_read, args=(source, inbox), name=f"read {source.name}", daemon=True).start()

        for source in sources:
            start(source)
        look_again = time.monotonic() + _LOOK_AGAIN
        while running or discover or not inbox.empty():
            if not goes_on():
                return
            try:
                source, item = inbox.get(timeout=_TICK)
            except queue.Empty:
                pass
            else:
                if isinstance(item, SourceError):
                    say(item)
                elif item is RESTARTED:
                    scanner_of(source).finish()
                elif item is None:
                    running.discard(id(source))
                    scanner_of(source).finish()
                elif item:
                    scanner_of(source).feed(bytes(item))
                if item is CAUGHT_UP or item is None:
                    heard.pop(id(source), None)
                elif id(source) in heard:
                    heard[id(source)] = time.monotonic()
            now = time.monotonic()
            if not self._live and all(last + _QUIET < now for last in heard.values()):
                self._go_live()
            self._print_due(now)
            if discover and now >= look_again:
                look_again = now + _LOOK_AGAIN
                for source in discover():
                    start(source)

    def finish(self) -> None:
        """Print what still waits; raises OSError and AmbiguousError."""
        if not self._live:
            self._go_live()
        self._print_due(float("inf"))

    def add(self, match: Match) -> None:
        if not self._live:
            self.buffer.add(match)
            return
        if self._trace_id is None:
            self._begin(match, "")
        if match.trace_id != self._trace_id:
            self.other_traces += 1
            return
        self._sequence += 1
        self._unprinted.add(id(match))
        heapq.heappush(self._waiting, (match.order_ns, self._sequence, time.monotonic() + WINDOW, match))

    def extend(self, match: Match, line: bytes) -> bool:
        if not self._live:
            return self.buffer.extend(match, line)
        if id(match) not in self._unprinted:
            return False
        match.tail.append(line)
        return True

    def _go_live(self) -> None:
        if len(self.buffer.seen) > 1:
            raise AmbiguousError(*ambiguous(self._digits, self.buffer.seen, has_more=self.buffer.has_more_ids))
        self._live = True
        matches = self.buffer.pop_all()
        if not matches:
            return
        self._hops = Hops(matches)
        self._begin(matches[0], f"{summary(matches)} so far")
        for match in matches:
            self._print(match)
        self._output.flush()

    def _begin(self, first: Match, text: str) -> None:
        self._trace_id = first.trace_id
        self._output.begin(first.trace_id, text, first)

    def _print_due(self, now: float) -> None:
        waiting = self._waiting
        if not waiting or (waiting[0][2] > now and len(waiting) <= _MOST_WAITING):
            return
        while waiting and (waiting[0][2] <= now or len(waiting) > _MOST_WAITING):
            _, _, _, match = heapq.heappop(waiting)
            self._unprinted.discard(id(match))
            self._print(match)
        self._output.flush()

    def _print(self, match: Match) -> None:
        self._output.line(match, self._hops.depth(match))
        self.printed += 1


def _read(source: Source, inbox: queue.Queue[tuple[Source, bytes | bytearray | SourceError | None]]) -> None:
    try:
        for block in source.follow():
            inbox.put((source, block))
    except SourceError as error:
        inbox.put((source, error))
    inbox.put((source, None))
