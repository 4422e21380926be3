"""Encoded batches of spans: those that wait in memory, and how one that is too large is taken apart."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from tracebaton_configurator.export.forks import importing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tracebaton_configurator.export.spool import Entry

# Above this, the oldest batches make room.
_MOST_BYTES = 16 << 20
# While others keep coming, one of those behind has its turn after so many of them.
_TURNS = 8


class Batch(NamedTuple):
    """An encoded ExportTraceServiceRequest and the number of spans in it; `entry` where it came from the spool.

    `number` grows from one to the next that was taken; halves have that of the whole.
    """

    payload: bytes
    spans: int
    entry: Entry | None = None
    number: int = 0


def halves_of(batch: Batch) -> list[Batch]:
    """Two batches with half of the spans each; none where there is nothing to be split."""
    if batch.spans < 2:
        return []
    with importing():
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    halves = []
    for part in (slice(0, batch.spans // 2), slice(batch.spans // 2, None)):
        try:
            whole = ExportTraceServiceRequest.FromString(batch.payload)
        except Exception:  # noqa: BLE001 (protobuf's DecodeError: somebody else's file in the spool)
            return []
        wanted = range(batch.spans)[part]
        number = 0
        for resource in whole.resource_spans:
            for scope in resource.scope_spans:
                numbers = range(number, number + len(scope.spans))
                number += len(scope.spans)
                kept = [span for at, span in zip(numbers, scope.spans, strict=True) if at in wanted]
                del scope.spans[:]
                scope.spans.extend(kept)
        halves.append(Batch(whole.SerializeToString(), len(wanted), number=batch.number))
    return halves


class Backlog:
    """Batches that wait for their receiver, and behind them those that failed while others passed.

    Bounded in spans (`most_spans`) and in bytes.
    """

    def __init__(self, most_spans: int) -> None:
        self._most_spans = most_spans
        self._first: deque[Batch] = deque()
        self._behind: deque[Batch] = deque()
        self._turns = 0

    def __iter__(self) -> Iterator[Batch]:
        yield from self._behind
        yield from self._first

    def __len__(self) -> int:
        return len(self._first) + len(self._behind)

    def clear(self) -> None:
        self._first.clear()
        self._behind.clear()

    def append(self, batch: Batch) -> int:
        """Add the newest; returns how many spans of the oldest had to make room."""
        self._first.append(batch)
        lost = 0
        while len(self) > 1 and (
            sum(one.spans for one in self) > self._most_spans or sum(len(one.payload) for one in self) > _MOST_BYTES
        ):
            lost += (self._behind or self._first).popleft().spans
        return lost

    def put_back(self, batch: Batch) -> None:
        """It is the next one again."""
        self._first.appendleft(batch)

    def put_behind(self, batch: Batch) -> None:
        self._behind.append(batch)

    def next(self) -> Batch | None:
        """The one whose turn it is; None where none waits but, perhaps, some behind (`next_behind`)."""
        self._turns += 1
        if self._turns > _TURNS:
            batch = self.next_behind()
            if batch is not None:
                return batch
        return self._first.popleft() if self._first else None

    def next_behind(self) -> Batch | None:
        self._turns = 0
        return self._behind.popleft() if self._behind else None

    def restore(self) -> None:
        """The receiver is back: everything in its old order."""
        self._first.extendleft(reversed(self._behind))
        self._behind.clear()

    @property
    def oldest(self) -> Batch | None:
        """Wherever it stands."""
        return next(iter(self), None)

    def remove_oldest(self) -> None:
        (self._behind or self._first).popleft()
