"""How deep each line is indented: which service called which, as far as log lines let one guess."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tracebaton.timeline.merge import Match

__all__ = ["Hops"]

_Key = tuple[str, str]
_MOST_SPANS = 10_000


@dataclass(slots=True)
class _Interval:
    start: int
    end: int
    parent_id: str


class Hops:
    """The depth of each (service, span id): 0 for the first hop, one more for each below.

    Log lines do not say who called whom: they bear the id of their own span, and hardly ever that of its parent. So the
    depth is a guess, made of times, and only ever indents; the order of lines is that of their times.

    1. Lines of the same service with the same span id are one hop.
    2. Where a line has a parent's span id, and lines of that span are there, the hop is one below it.
    3. Else, the hop whose lines lie within the time from the first to the last line of another one is below it; below
       the shortest of those, if there are several.
    4. Else, a hop that begins while an outermost hop is going on, but outlasts it, as a background task does, is below
       that one.
    5. Lines without a span id are a hop of their service of their own.

    Wrong guesses come from clocks that differ between machines; from two calls made at the same time, one of which lies
    within the other; and from a caller that logs only once, and so has no duration.

    A line that arrives later (`--follow`), of a hop that is not known yet, is put one below the line before it.
    """

    def __init__(self, matches: Iterable[Match]) -> None:
        self._depths: dict[_Key, int] = {}
        self._span_depths: dict[str, int] = {}
        self._last = -1
        intervals = _intervals(matches)
        by_span = {key[1]: key for key in reversed(intervals) if key[1]}
        parents = _guess_parents(intervals)
        parents.update({key: by_span[this.parent_id] for key, this in intervals.items() if this.parent_id in by_span})
        for key in intervals:
            # Up to an ancestor whose depth is known, then down again; a circle of parents is cut where it closes.
            path: dict[_Key, None] = {}
            each: _Key | None = key
            while each is not None and each not in self._depths and each not in path:
                path[each] = None
                each = parents.get(each)
            depth = -1 if each is None else self._depths.get(each, -1)
            for below in reversed(path):
                depth += 1
                self._set(below, depth)

    def depth(self, match: Match) -> int:
        key = (match.service, match.span_id)
        depth = self._depths.get(key)
        if depth is None:
            depth = self._span_depths.get(match.parent_id, self._last) + 1
            if len(self._depths) < _MOST_SPANS:
                self._set(key, depth)
        self._last = depth
        return depth

    def _set(self, key: _Key, depth: int) -> None:
        self._depths[key] = depth
        if key[1]:
            self._span_depths.setdefault(key[1], depth)


def _intervals(matches: Iterable[Match]) -> dict[_Key, _Interval]:
    intervals: dict[_Key, _Interval] = {}
    for match in matches:
        known = intervals.get((match.service, match.span_id))
        if known is None:
            intervals[match.service, match.span_id] = _Interval(match.order_ns, match.order_ns, match.parent_id)
        else:
            known.start = min(known.start, match.order_ns)
            known.end = max(known.end, match.order_ns)
            known.parent_id = known.parent_id or match.parent_id
    return intervals


def _guess_parents(intervals: dict[_Key, _Interval]) -> dict[_Key, _Key]:
    """Rules 3 and 4, in one pass over the intervals by their start; of those with the same start, the longest first."""
    parents: dict[_Key, _Key] = {}
    enclosing: list[_Key] = []
    outermost: deque[_Key] = deque()
    for key in sorted(intervals, key=lambda each: (intervals[each].start, -intervals[each].end)):
        this = intervals[key]
        while enclosing and intervals[enclosing[-1]].end < this.end:
            enclosing.pop()
        while outermost and intervals[outermost[0]].end < this.start:
            outermost.popleft()
        if enclosing:
            parents[key] = enclosing[-1]
        elif outermost:
            parents[key] = outermost[0]
        else:
            outermost.append(key)
        enclosing.append(key)
    return parents
