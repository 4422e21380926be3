"""A bar on stderr, where that is a terminal, rich is installed and reading takes longer than a second."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.progress import Progress

__all__ = ["progress_bar"]

_AFTER = 1.0  # seconds
_EVERY = 0.2


@contextmanager
def progress_bar(total: int | None) -> Iterator[Callable[[int], None]]:
    """Yield what shows the bytes read of `total`, which is None if that is not known; gone at the end of the block."""
    is_shown = sys.stderr is not None and sys.stderr.isatty() and find_spec("rich") is not None
    due = time.monotonic() + _AFTER if is_shown else float("inf")
    bar: Progress | None = None

    def show(done: int) -> None:
        nonlocal due, bar
        if time.monotonic() < due:
            return
        due = time.monotonic() + _EVERY
        if bar is None:
            from rich.console import Console
            from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

            columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
            # Refreshed from here only: a thread of its own would share the interpreter with the search.
            bar = Progress(*columns, console=Console(stderr=True), transient=True, auto_refresh=False)
            bar.start()
            bar.add_task("", total=total)
        bar.update(bar.task_ids[0], completed=done, refresh=True)

    try:
        yield show
    finally:
        if bar is not None:
            bar.stop()
