"""Traces in the making: collects spans by trace id, within bounds, until a trace has gone quiet."""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tracebaton.view.spans import Span

__all__ = ["Trace", "TraceStore"]

# While a span's parent is missing, a trace waits this many times longer: at the default of 2 s that is just over the
# 5 s that a batch span processor may hold spans back (OTEL_BSP_SCHEDULE_DELAY), so another service's half can arrive.
_INCOMPLETE_FACTOR = 3

# Ids of spans already printed are remembered, so that late ones are told from new ones. About 100 bytes each.
_REMEMBERED_SPANS = 200_000


@dataclass(frozen=True, slots=True)
class Trace:
    """What is printed in one piece."""

    trace_id: str
    spans: tuple[Span, ...]
    not_kept: int = 0
    """Spans received beyond the bound on spans per trace."""
    late: bool = False
    """A part of this trace has been printed before."""
    early: bool = False
    """Printed before it went quiet, to make room."""
    printed_parents: frozenset[str] = frozenset()
    """Ids of parents that were in the part printed before."""


@dataclass(slots=True)
class _Pending:
    last_arrival: float
    printed: set[str]
    spans: dict[tuple[str, int, int, str], Span] = field(default_factory=dict)
    ids: set[str] = field(default_factory=set)
    missing_parents: set[str] = field(default_factory=set)
    weight: int = 0
    not_kept: int = 0


class TraceStore:
    """Not thread-safe: one thread adds and takes out.

    Bounded three ways: by traces, by spans in a trace, and by bytes, since a span's size is up to its sender.
    """

    def __init__(
        self,
        *,
        max_traces: int = 1000,
        max_spans_per_trace: int = 10_000,
        max_bytes: int = 64 * 1024 * 1024,
        quiet_after: float = 2.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`quiet_after`: seconds since its last span after which a trace is taken to be over."""
        self._max_traces = max_traces
        self._max_spans_per_trace = max_spans_per_trace
        self._max_bytes = max_bytes
        self._quiet_after = quiet_after
        self._clock = clock
        self._pending: OrderedDict[str, _Pending] = OrderedDict()  # by first arrival
        self._bytes = 0
        self._printed: OrderedDict[str, set[str]] = OrderedDict()  # trace id -> ids of its printed spans
        self._printed_spans = 0

    def __len__(self) -> int:
        """How many traces are held."""
        return len(self._pending)

    def add(self, spans: Iterable[Span]) -> list[Trace]:
        """Take in spans; return the traces that had to leave to make room, oldest first."""
        evicted: list[Trace] = []
        for span in spans:
            self._add(span)
            while len(self._pending) > self._max_traces or self._bytes > self._max_bytes:
                evicted.append(self._take(next(iter(self._pending)), early=True))
        return evicted

    def pop_quiet(self) -> list[Trace]:
        """Take out the traces that have gone quiet, oldest first."""
        now = self._clock()
        quiet = [trace_id for trace_id, pending in self._pending.items() if self._due(pending) <= now]
        return [self._take(trace_id) for trace_id in quiet]

    def pop_all(self) -> list[Trace]:
        """Take out every trace, oldest first."""
        return [self._take(trace_id) for trace_id in list(self._pending)]

    def seconds_until_quiet(self) -> float | None:
        """Seconds until `pop_quiet` has something to return if no span arrives; None when the store is empty."""
        if not self._pending:
            return None
        return max(0.0, min(map(self._due, self._pending.values())) - self._clock())

    def _add(self, span: Span) -> None:
        pending = self._pending.get(span.trace_id)
        if pending is None:
            printed = self._printed.get(span.trace_id, set())
            if span.span_id in printed:
                return  # an exporter that got no answer sends a batch again
            pending = self._pending[span.trace_id] = _Pending(self._clock(), printed)
        key = (span.span_id, span.start_ns, span.end_ns, span.name)
        if key in pending.spans or span.span_id in pending.printed:
            return
        if len(pending.spans) >= self._max_spans_per_trace:
            # Does not count as an arrival: a trace that never ends is printed too, in parts.
            pending.not_kept += 1
            return
        pending.last_arrival = self._clock()
        pending.spans[key] = span
        pending.ids.add(span.span_id)
        pending.missing_parents.discard(span.span_id)
        parent = span.parent_span_id
        if parent and parent not in pending.ids and parent not in pending.printed:
            pending.missing_parents.add(parent)
        pending.weight += span.weight
        self._bytes += span.weight

    def _due(self, pending: _Pending) -> float:
        wait = self._quiet_after * (_INCOMPLETE_FACTOR if pending.missing_parents else 1)
        return pending.last_arrival + wait

    def _take(self, trace_id: str, *, early: bool = False) -> Trace:
        pending = self._pending.pop(trace_id)
        self._bytes -= pending.weight
        spans = tuple(pending.spans.values())
        printed_parents = frozenset(span.parent_span_id for span in spans).intersection(pending.printed)
        self._remember(trace_id, pending.ids)
        return Trace(
            trace_id=trace_id,
            spans=spans,
            not_kept=pending.not_kept,
            late=bool(pending.printed),
            early=early,
            printed_parents=printed_parents,
        )

    def _remember(self, trace_id: str, span_ids: set[str]) -> None:
        known = self._printed.setdefault(trace_id, set())
        self._printed.move_to_end(trace_id)
        self._printed_spans -= len(known)
        known |= span_ids
        self._printed_spans += len(known)
        while self._printed_spans > _REMEMBERED_SPANS:
            _, forgotten = self._printed.popitem(last=False)
            self._printed_spans -= len(forgotten)
