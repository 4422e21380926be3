"""A bar on stderr, where that is a terminal and reading takes longer than a second."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

    from rich.progress import Progress
    from typing_extensions import Self

__all__ = ["ProgressBar"]

_AFTER = 1.0  # seconds
_EVERY = 0.2


class ProgressBar:
    """Shows bytes read of `total`, which is None if that is not known; gone at the end of the `with` block."""

    def __init__(self, total: int | None) -> None:
        self._total = total
        self._due = time.monotonic() + _AFTER if sys.stderr is not None and sys.stderr.isatty() else float("inf")
        self._bar: Progress | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def show(self, done: int) -> None:
        now = time.monotonic()
        if now < self._due:
            return
        self._due = now + _EVERY
        if self._bar is None:
            self._bar = self._start()
        self._bar.update(self._bar.task_ids[0], completed=done)
        self._bar.refresh()

    def _start(self) -> Progress:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

        columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
        # Refreshed from here only: a thread of its own would share the interpreter with the search.
        bar = Progress(*columns, console=Console(stderr=True), transient=True, auto_refresh=False)
        bar.start()
        bar.add_task("", total=self._total)
        return bar
