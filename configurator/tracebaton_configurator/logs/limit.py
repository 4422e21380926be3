"""At most one line of a kind in a while, and how many were held back."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_MOST_KINDS = 256


class RateLimit:
    """One line a `seconds` for each kind. Its memory is bounded: with more than 256 kinds, the oldest is forgotten."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._kinds: dict[str, tuple[float, int]] = {}

    def pass_or_hold(self, kind: str) -> int | None:
        """None: hold the line back. Else say it; the number is that of the lines that were held back before it."""
        now = self._clock()
        said, held = self._kinds.get(kind, (None, 0))
        if said is not None and now - said < self._seconds:
            self._kinds[kind] = said, held + 1
            return None
        self._kinds.pop(kind, None)
        if len(self._kinds) >= _MOST_KINDS:
            self._kinds.pop(next(iter(self._kinds)), None)
        self._kinds[kind] = now, 0
        return held

    def held_back(self) -> int:
        """How many lines have been held back and not been counted in another line yet."""
        return sum(held for _, held in self._kinds.values())
