"""The connections of clients, of which there are so many: who hangs makes room for others."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Connection", "Connections", "Limits"]

# From then on a request that is not complete is a slow one, which goes before connections that rest between requests.
_SLOW_AFTER = 1.0


@dataclass(frozen=True)
class Limits:
    max_body: int = 16 * 1024 * 1024
    """Bytes of a request, before and after decompression."""
    max_connections: int = 256
    request_seconds: float = 10.0
    """From a request's first byte to its last; for the first one, from when the connection was made."""
    idle_seconds: float = 60.0
    """Between two requests; also for an answer to be taken."""


class Connections:
    """Those that are open, of both protocols together."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.open: set[Connection] = set()

    def enter(self, transport: asyncio.Transport, no_room: bytes = b"") -> Connection:
        """Take it in, for which another one may have to go; where no other one is to blame, it hears `no_room`."""
        connection = Connection(transport, self)
        if len(self.open) >= self.limits.max_connections:
            victim = min((one for one in self.open if not one.busy), key=Connection.rank, default=None)
            if victim is None:
                transport.write(no_room)
                transport.close()
                return connection
            victim.abort()
        self.open.add(connection)
        return connection


class Connection:
    """What has to be known of a client's connection to choose the one that makes room, and how long it may hang."""

    def __init__(self, transport: asyncio.Transport, connections: Connections) -> None:
        self._transport = transport
        self._connections = connections
        self._loop = asyncio.get_running_loop()
        self._requests = 0
        self.busy = 0
        """Of these, those that are being decoded: they wait for us and not we for them."""
        self._timer: asyncio.TimerHandle | None = None
        self._wait(connections.limits.request_seconds, resting=False)

    def receiving(self) -> None:
        """The first bytes of a request have come, if there is none yet."""
        if self._resting:
            self._wait(self._connections.limits.request_seconds, resting=False)

    @contextmanager
    def request(self) -> Iterator[float]:
        """Around a request whose head is complete; tells how many seconds there are for its body."""
        self.receiving()
        self._cancel()
        limits = self._connections.limits
        begun = self._loop.time() if self._requests else self._since
        self._requests += 1
        try:
            yield begun + limits.request_seconds - self._loop.time()
        finally:
            self._requests -= 1
            if not self._requests and self in self._connections.open:
                self._wait(limits.idle_seconds, resting=True)

    def rank(self) -> tuple[bool, float]:
        """Who has the least has to go."""
        slow = not self._resting and self._loop.time() - self._since > _SLOW_AFTER
        return not slow, self._since

    def abort(self) -> None:
        self.left()
        self._transport.abort()

    def left(self) -> None:
        self._connections.open.discard(self)
        self._cancel()

    def _wait(self, seconds: float, *, resting: bool) -> None:
        self._since, self._resting = self._loop.time(), resting
        self._cancel()
        self._timer = self._loop.call_later(seconds, self.abort)

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
