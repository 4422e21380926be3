"""How many bytes of requests may wait to be decoded, over all connections together."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from tracebaton.view.intake import BusyError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Budget", "Hold"]

_FULL = "other requests fill the memory that there is for them; try again later"


class Budget:
    """Shared by all threads. Where it is used up, the request that has been arriving for longest has to go."""

    def __init__(self, limit: int, *, patience: float = 5.0) -> None:
        """`limit`: bytes. `patience`: seconds that a request waits for others to be decoded or to go."""
        self._limit = limit
        self._patience = patience
        self._holds: dict[Hold, None] = {}  # oldest first
        self._changed = threading.Condition()

    @property
    def used(self) -> int:
        """Bytes."""
        with self._changed:
            return sum(hold.size for hold in self._holds)

    def hold(self, drop: Callable[[], None]) -> Hold:
        """Make room for one request; `drop` ends the connection that it arrives on, and does not raise."""
        hold = Hold(self, drop)
        with self._changed:
            self._holds[hold] = None
        return hold

    def add(self, hold: Hold, size: int) -> None:
        """Raises BusyError where there is no room, and then for a request that is the slowest of all."""
        deadline = time.monotonic() + self._patience
        with self._changed:
            while hold.dropped or sum(one.size for one in self._holds) + size > self._limit:
                if hold.dropped:
                    raise BusyError(_FULL)
                # What is complete leaves soon, and so does what was told to.
                if not any(one.size and (one.complete or one.dropped) for one in self._holds):
                    slowest = next((one for one in self._holds if one.size), hold)
                    if slowest is hold:
                        raise BusyError(_FULL)
                    slowest.dropped = True
                    slowest.drop()
                if not self._changed.wait(deadline - time.monotonic()) and time.monotonic() >= deadline:
                    raise BusyError(_FULL)
            hold.size += size

    def release(self, hold: Hold) -> None:
        with self._changed:
            self._holds.pop(hold, None)
            hold.size = 0
            self._changed.notify_all()


class Hold:
    """What one request holds, until it is closed."""

    def __init__(self, budget: Budget, drop: Callable[[], None]) -> None:
        self._budget = budget
        self.drop = drop
        self.size = 0
        self.complete = False
        """It has arrived in full, and is not to blame for what happens from now on."""
        self.dropped = False

    def add(self, size: int) -> None:
        """Before so many more bytes are kept; raises BusyError."""
        self._budget.add(self, size)

    def close(self) -> None:
        self._budget.release(self)
