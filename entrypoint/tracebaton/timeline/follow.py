"""`--follow`: sources read at the same time."""

from __future__ import annotations

import queue
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from tracebaton.timeline.sources import SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tracebaton.timeline.containers import ContainerSource
    from tracebaton.timeline.merge import Merge
    from tracebaton.timeline.reader import Reader
    from tracebaton.timeline.sources import FileSource

    Source = FileSource | ContainerSource

__all__ = ["follow"]

# A source that says nothing for so long has shown what there was when the following began.
_QUIET = 1.0  # seconds
_TICK = 0.1
_MOST_BLOCKS = 16
_LOOK_AGAIN = 2.0


def follow(
    sources: Iterable[Source],
    merge: Merge,
    *,
    reader_of: Callable[[Source], Reader],
    discover: Callable[[], Iterable[Source]] | None,
    say: Callable[[SourceError], None],
    goes_on: Callable[[], bool],
) -> None:
    """Print until all sources have ended, or `goes_on` says no; raises OSError and AmbiguousError.

    `discover` returns the sources that there are besides by now, if more may come.
    """
    inbox: queue.Queue[tuple[Source, bytes | SourceError | None]] = queue.Queue(_MOST_BLOCKS)
    heard: dict[int, float] = {}  # when a source that has not caught up yet was last heard of
    running: set[int] = set()

    def start(sources: Iterable[Source]) -> None:
        for source in sources:
            heard[id(source)] = time.monotonic()
            running.add(id(source))
            threading.Thread(target=_read, args=(source, inbox), daemon=True).start()

    start(sources)
    look_again = time.monotonic() + _LOOK_AGAIN
    while (running or discover or not inbox.empty()) and goes_on():
        with suppress(queue.Empty):
            source, item = inbox.get(timeout=_TICK)
            if isinstance(item, SourceError):
                say(item)
            elif item:
                reader_of(source).feed(item)
                if id(source) in heard:
                    heard[id(source)] = time.monotonic()
            else:
                heard.pop(id(source), None)
                if item is None:
                    running.discard(id(source))
                    reader_of(source).finish()
        now = time.monotonic()
        if merge.is_live or all(last + _QUIET < now for last in heard.values()):
            merge.print_due()
        if discover and now >= look_again:
            look_again = now + _LOOK_AGAIN
            # An engine that does not answer now may do so later, and what is read goes on.
            with suppress(SourceError):
                start(discover())


def _read(source: Source, inbox: queue.Queue[tuple[Source, bytes | SourceError | None]]) -> None:
    try:
        for block in source.blocks(follow=True):
            inbox.put((source, block))
    except SourceError as error:
        inbox.put((source, error))
    finally:
        inbox.put((source, None))
