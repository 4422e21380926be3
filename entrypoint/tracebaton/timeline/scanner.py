"""One source, block by block: finds the lines in which an id occurs, fast, and counts the others."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Protocol

from tracebaton.timeline.prefixes import JsonCounter

if TYPE_CHECKING:
    from tracebaton.timeline.query import Query

__all__ = ["LONGEST_LINE", "Counts", "Scanner", "Take", "Taker"]

# A longer line is counted, not read: parsed, it could take a multiple of its size in memory.
LONGEST_LINE = 1 << 20


@dataclass
class Counts:
    """What became of the lines that are not shown.

    `plain` are those that do not begin as a JSON object, `plain_between` the part of them that stands between the
    first and the last line of the trace in the same source. `elsewhere` hold the id, but not where loggers put it.
    """

    lines: int = 0
    plain: int = 0
    plain_between: int = 0
    elsewhere: int = 0
    first_elsewhere: int = 0
    too_long: int = 0
    first_too_long: int = 0


class Take(Enum):
    """What a `Taker` does with a line after one that it took: it belongs to it; it does not, but more may; the end."""

    TAKEN = auto()
    PASSED = auto()
    END = auto()


class Taker(Protocol):
    def take(self, line: bytes, number: int) -> bool:
        """Offered a line in which an id occurs; return whether it is one of the trace."""

    def take_following(self, line: bytes) -> Take:
        """Offered the lines after one that was taken, until this says END."""

    def finish(self) -> None:
        """The source has ended."""


class Scanner:
    """Feed it blocks of bytes, cut anywhere; memory is bounded by the block and `LONGEST_LINE`."""

    def __init__(self, query: Query, taker: Taker, counts: Counts) -> None:
        self.counts = counts
        self._query = query
        self._taker = taker
        self._json = JsonCounter()
        self._carry = b""  # the line that has not ended yet; of one that is too long, its last bytes
        self._too_long = False
        self._too_long_matches = False
        self._following = False
        self._seen = False
        self._plain_since_match = 0

    def feed(self, block: bytes) -> None:
        data = self._carry + block if self._carry else block
        start = 0
        if self._too_long:
            start = data.find(b"\n") + 1
            self._skip(data, start)
            if not start:
                return
        end = data.rfind(b"\n") + 1
        if start < end:
            self._scan(data if not start else data[start:], end - start)
        self._carry = data[end:]
        if len(self._carry) > LONGEST_LINE:
            self._too_long = True
            self._too_long_matches = False
            self._skip(self._carry, 0)

    def finish(self) -> None:
        """The source has ended, or begins anew; a last line without a newline is one."""
        if self._carry:
            self.feed(b"\n")
        self._taker.finish()
        self._following = False

    def _scan(self, data: bytes, end: int) -> None:
        position = self._offer_following(data, 0, end)
        for found in self._query.positions(data, end):
            if found < position:
                continue  # a second one in a line that is done with
            start = data.rfind(b"\n", position, found) + 1 or position
            stop = data.find(b"\n", found, end)
            self._count(data, position, start)
            position = self._offer(data, start, stop, end)
        self._count(data, position, end)

    def _offer(self, data: bytes, start: int, stop: int, end: int) -> int:
        """Offer the line `data[start:stop]`, and after it those that may belong to it; return where to go on."""
        number = self.counts.lines + 1
        if stop - start > LONGEST_LINE:
            self._note_too_long()
            return self._count(data, start, stop + 1)
        if not self._taker.take(data[start:stop].rstrip(b"\r"), number):
            if not self.counts.elsewhere:
                self.counts.first_elsewhere = number
            self.counts.elsewhere += 1
            return self._count(data, start, stop + 1)
        self.counts.lines += 1
        if self._seen:
            self.counts.plain_between += self._plain_since_match
        self._seen = True
        self._plain_since_match = 0
        self._following = True
        return self._offer_following(data, stop + 1, end)

    def _offer_following(self, data: bytes, position: int, end: int) -> int:
        while self._following and position < end:
            stop = data.find(b"\n", position, end)
            line = data[position:stop].rstrip(b"\r")
            if stop - position > LONGEST_LINE or (take := self._taker.take_following(line)) is Take.END:
                self._following = False
            elif take is Take.PASSED:
                if self._query.occurs_in(line):
                    return position  # it is found again, and offered as a line of its own
                position = self._count(data, position, stop + 1)
            else:
                self.counts.lines += 1
                position = stop + 1
        return position

    def _count(self, data: bytes, start: int, end: int) -> int:
        """Count the lines of `data[start:end]`; return `end`."""
        lines = data.count(b"\n", start, end)
        plain = lines - self._json.count(data, start, end)
        self.counts.lines += lines
        self.counts.plain += plain
        self._plain_since_match += plain
        return end

    def _skip(self, data: bytes, end: int) -> None:
        """Look through a part of a line that is too long; `end` is where it ends, 0 if it goes on."""
        if not self._too_long_matches:
            self._too_long_matches = self._query.occurs_in(data[: end or len(data)])
        if not end:
            self._carry = data[-self._query.longest :]
            return
        self._too_long = False
        self._carry = b""
        if self._too_long_matches:
            self._note_too_long()
        self.counts.lines += 1

    def _note_too_long(self) -> None:
        if not self.counts.too_long:
            self.counts.first_too_long = self.counts.lines + 1
        self.counts.too_long += 1
