"""The connections of clients and their requests, of which there are so many and so much: who hangs makes room."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from http import HTTPStatus

from tracebaton.view.refusal import RefusedError

__all__ = ["ClientConnection", "Connections", "Limits", "ReceivedRequest"]

_FULL = "other requests fill the memory that there is for them; try again later"

# From then on a request that is not complete is a slow one, which goes before connections that rest between requests.
_SLOW_AFTER = 1.0


@dataclass(frozen=True)
class Limits:
    max_body: int = 16 * 1024 * 1024
    """Bytes of a request, before and after decompression; all together may take twice as much while they arrive."""
    max_connections: int = 256
    request_seconds: float = 10.0
    """From a request's first byte to its last; for the first one, from when the connection was made."""
    idle_seconds: float = 60.0
    """Between two requests; also for an answer to be taken."""


class Connections:
    """Those that are open, of both protocols together."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.open: set[ClientConnection] = set()
        self.requests: dict[ReceivedRequest, None] = {}  # oldest first
        self.changed = asyncio.Event()
        """A request has given back its room."""

    @property
    def used(self) -> int:
        """Bytes of requests."""
        return sum(one.size for one in self.requests)

    def enter(self, transport: asyncio.Transport, no_room: bytes = b"") -> ClientConnection:
        """Take it in, for which another one may have to go; where no other one is to blame, it hears `no_room`."""
        connection = ClientConnection(transport, self)
        if len(self.open) >= self.limits.max_connections:
            victim = min((one for one in self.open if not one.busy), key=ClientConnection.rank, default=None)
            if victim is None:
                transport.write(no_room)
                transport.close()
                return connection
            victim.abort()
        self.open.add(connection)
        return connection


class ClientConnection:
    """What has to be known of a client's connection to choose the one that makes room, and how long it may hang."""

    def __init__(self, transport: asyncio.Transport, connections: Connections) -> None:
        self.connections = connections
        self.requests: set[ReceivedRequest] = set()
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._wait(connections.limits.request_seconds, resting=False)

    @property
    def busy(self) -> bool:
        """A request is being decoded: it waits for us and not we for it."""
        return any(one.complete for one in self.requests)

    def receiving(self) -> None:
        """The first bytes of a request have come, if there is none yet."""
        if self._resting:
            self._wait(self.connections.limits.request_seconds, resting=False)

    def begin(self, request: ReceivedRequest) -> float:
        """The head of a request is complete; return how many seconds there are for its body."""
        self.receiving()
        self._cancel()
        begun = self._loop.time() if self.requests else self._since
        self.requests.add(request)
        return begun + self.connections.limits.request_seconds - self._loop.time()

    def end(self, request: ReceivedRequest) -> None:
        self.requests.discard(request)
        if not self.requests and self in self.connections.open:
            self._wait(self.connections.limits.idle_seconds, resting=True)

    def rank(self) -> tuple[bool, float]:
        """Who has the least has to go."""
        slow = not self._resting and self._loop.time() - self._since > _SLOW_AFTER
        return not slow, self._since

    def abort(self) -> None:
        self.left()
        self._transport.abort()

    def left(self) -> None:
        self.connections.open.discard(self)
        self._cancel()

    def _wait(self, seconds: float, *, resting: bool) -> None:
        self._since, self._resting = self._loop.time(), resting
        self._cancel()
        self._timer = self._loop.call_later(seconds, self.abort)

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()


class ReceivedRequest:
    """One whose head is complete: what has arrived of its body, until it is closed."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self._data = bytearray()
        self.size = 0
        self.complete = False
        """It has arrived in full, and is not to blame for what happens from now on."""
        self._dropped = False
        self.seconds = connection.begin(self)
        connection.connections.requests[self] = None

    async def add(self, piece: bytes) -> None:
        """Where there is no room, what has been arriving for longest has to go: RefusedError if it is this."""
        everyone = self.connection.connections
        while not self._dropped and everyone.used + len(piece) > 2 * everyone.limits.max_body:
            if any(one.complete for one in everyone.requests):
                everyone.changed.clear()
                await everyone.changed.wait()  # not for long: the intake lets nobody wait for ever
                continue
            slowest = next((one for one in everyone.requests if one.size), self)
            slowest.drop()
            if slowest is not self:
                slowest.connection.abort()
        if self._dropped:
            raise RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, _FULL)
        self.size += len(piece)
        self._data += piece

    def take(self) -> bytearray:
        """Hand over the body, which stays counted: one is decoded at a time."""
        data, self._data = self._data, bytearray()
        return data

    def drop(self) -> None:
        """Nothing of it is wanted any longer."""
        self._data, self.size, self._dropped = bytearray(), 0, True
        self.connection.connections.changed.set()

    def close(self) -> None:
        self.drop()
        self.connection.connections.requests.pop(self, None)
        self.connection.end(self)
