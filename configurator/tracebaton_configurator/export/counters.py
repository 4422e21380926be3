"""What became of the spans of this process."""

from __future__ import annotations

from collections import Counter
from itertools import count


class Tally:
    """A number that any thread, and a signal handler too, may raise by one without waiting for anybody."""

    __slots__ = ("_count",)

    def __init__(self) -> None:
        self._count = count()

    def add(self) -> None:
        next(self._count)  # one step of C code: it happens as a whole

    @property
    def value(self) -> int:
        # Asking the iterator itself would raise it. `repr` is `count(5)` in every CPython.
        return int(repr(self._count)[6:-1])


class Counters:
    """Numbers of spans, except for `retried`, which counts requests, and `corrupt`, files in the spool.

    Every span that is taken ends up as exported or dropped; those in `spooled` were on disk meanwhile, or still are.
    """

    def __init__(self) -> None:
        self.exported = 0
        self.spooled = 0
        self.recovered = 0
        self.retried = 0
        self.corrupt = 0
        self._dropped: Counter[str] = Counter()
        self.overflow = Tally()

    def drop(self, reason: str, spans: int) -> None:
        """`reason` completes the sentence "so many spans were dropped: ..."."""
        if spans > 0:
            self._dropped[reason] += spans

    @property
    def dropped(self) -> dict[str, int]:
        """Spans by reason, without those that are zero."""
        dropped = dict(self._dropped)
        if self.overflow.value:
            dropped["the queue was full"] = self.overflow.value
        return dropped

    def as_dict(self) -> dict[str, object]:
        """For `tracebaton status`."""
        return {
            "exported": self.exported,
            "dropped": self.dropped,
            "spooled": self.spooled,
            "recovered": self.recovered,
            "retried": self.retried,
            **({"corrupt_files": self.corrupt} if self.corrupt else {}),
        }

    def shutdown_summary(self) -> str | None:
        """The line at the end of a process that lost spans; None where none was lost."""
        dropped = self.dropped
        if not dropped:
            return None
        reasons = ", ".join(f"{number} because {reason}" for reason, number in sorted(dropped.items()))
        lost = sum(dropped.values())
        return f"{lost} {'span was' if lost == 1 else 'spans were'} lost ({reasons}); {self.exported} were delivered."
