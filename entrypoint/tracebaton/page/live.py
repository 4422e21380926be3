"""What has been committed, told to every page that listens, as Server-Sent Events."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tracebaton.store.writer import Event

__all__ = ["Live"]

_MOST_WAITING = 1000  # events of a page
_MOST_BYTES = 2 * 1024 * 1024
_MOST_PAGES = 50
_QUIET = 15.0  # seconds, after which a comment keeps the connection


class Live:
    """Lives in one event loop; only `publish` may be called by any thread."""

    def __init__(self, summary: Callable[[str], str]) -> None:
        """`summary` makes the JSON of a `trace` event from its id; it runs in a thread, and may raise."""
        self._summary = summary
        self._pages: set[_Page] = set()
        self._loop = asyncio.get_running_loop()
        self._ended = False

    def publish(self, events: list[Event]) -> None:
        if not self._pages:
            return
        shown: list[Event] = []
        for kind, data in dict.fromkeys(events):
            try:
                shown.append((kind, self._summary(data) if kind == "trace" else data))
            except Exception:  # noqa: BLE001, PERF203, S112 -- it may be gone by now, or the file unreadable: others tell of that
                continue
        try:
            self._loop.call_soon_threadsafe(self._hand_out, shown)
        except RuntimeError:
            return  # the loop has ended

    def end(self) -> None:
        self._ended = True
        for page in self._pages:
            page.changed.set()

    @property
    def is_full(self) -> bool:
        return len(self._pages) >= _MOST_PAGES

    async def events(self) -> AsyncIterator[bytes]:
        """The body of `/api/live`, until `end`."""
        page = _Page()
        self._pages.add(page)
        try:
            yield b": connected\n\n"
            while not self._ended:
                try:
                    await asyncio.wait_for(page.changed.wait(), _QUIET)
                except asyncio.TimeoutError:
                    yield b": still here\n\n"
                    continue
                page.changed.clear()
                yield page.take()
        finally:
            self._pages.discard(page)

    def _hand_out(self, events: list[Event]) -> None:
        for page in self._pages:
            page.put(events)


class _Page:
    def __init__(self) -> None:
        self.changed = asyncio.Event()
        self._waiting: deque[Event] = deque()
        self._bytes = 0
        self._dropped = 0

    def put(self, events: list[Event]) -> None:
        for event in events:
            self._waiting.append(event)
            self._bytes += len(event[1])
            while len(self._waiting) > _MOST_WAITING or self._bytes > _MOST_BYTES:
                self._bytes -= len(self._waiting.popleft()[1])
                self._dropped += 1
        self.changed.set()

    def take(self) -> bytes:
        waiting, self._waiting, self._bytes = self._waiting, deque(), 0
        dropped, self._dropped = self._dropped, 0
        parts = [f'event: dropped\ndata: {{"count":{dropped}}}\n\n'] if dropped else []
        parts += [f"event: {kind}\ndata: {data}\n\n" for kind, data in waiting]
        return "".join(parts).encode()
