"""Batches in memory that wait for their receiver, and behind them those that failed while others passed."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tracebaton_configurator.export.batch import Batch

# Above this, the oldest batches make room.
_MOST_BYTES = 16 << 20
# While others keep coming, one of those behind has its turn after so many of them.
_TURNS = 8


class Backlog:
    """Bounded in spans (`most_spans`) and in bytes."""

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
