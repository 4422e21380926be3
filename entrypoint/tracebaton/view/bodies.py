"""The bodies of requests as they arrive, within bounds of size: of each, and of all together."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeAlias

from tracebaton.view.refusal import RefusedError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Receive: TypeAlias = Callable[[], Awaitable[Any]]
    """As of ASGI (https://asgi.readthedocs.io/en/latest/specs/www.html#request-receive-event)."""

__all__ = ["Bodies", "Body", "read"]

# Of a body that is too large, for the sake of the answer; what is longer is cut off.
_MOST_DISCARDED = 128 * 1024 * 1024
_FULL = "other requests fill the memory that there is for them; try again later"


class Bodies:
    """Those that wait to be decoded, which share so many bytes."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.open: dict[Body, None] = {}  # oldest first
        self.changed = asyncio.Event()

    @property
    def used(self) -> int:
        """Bytes."""
        return sum(body.size for body in self.open)


class Body:
    """What has arrived of one request, until it is closed."""

    def __init__(self, bodies: Bodies, drop: Callable[[], None]) -> None:
        """`drop` ends the connection that it arrives on."""
        self._bodies = bodies
        self._drop = drop
        self._data = bytearray()
        self.size = 0
        self.complete = False
        """It has arrived in full, and is not to blame for what happens from now on."""
        bodies.open[self] = None

    async def add(self, piece: bytes) -> None:
        """Where there is no room, the body that has been arriving for longest has to go: RefusedError if it is this."""
        bodies = self._bodies
        while self not in bodies.open or bodies.used + len(piece) > bodies.limit:
            if self in bodies.open and any(one.complete for one in bodies.open):
                bodies.changed.clear()
                await bodies.changed.wait()  # not for long: the intake lets nobody wait for ever
                continue
            slowest = next((one for one in bodies.open if one.size), self)
            if slowest is self or self not in bodies.open:
                raise RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, _FULL)
            slowest.close()
            slowest._drop()  # noqa: SLF001
        self.size += len(piece)
        self._data += piece

    def take(self) -> bytearray:
        """Hand over the bytes, which stay counted: one payload is decoded at a time."""
        data, self._data = self._data, bytearray()
        return data

    def close(self) -> None:
        self._data = bytearray()
        self._bodies.open.pop(self, None)
        self._bodies.changed.set()


async def read(receive: Receive, limit: int, body: Body | None) -> None:
    """Read a body of at most `limit` bytes, or one of which nothing is kept. Raises RefusedError and OSError.

    What is refused is read to its end and thrown away first: a client of HTTP listens only once it has sent all.
    """
    size, more = 0, True
    refusal: RefusedError | None = None
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionResetError("the client went away in the middle of the body")
        piece, more = message.get("body", b""), message.get("more_body", False)
        size += len(piece)
        if size > limit + _MOST_DISCARDED:
            raise ConnectionAbortedError("the body has no end")
        if body is None or refusal is not None:
            continue
        try:
            if size > limit:
                raise RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body is larger than {limit} bytes")
            await body.add(piece)
        except RefusedError as error:
            refusal = error
            body.close()
    if refusal is not None:
        raise refusal
    if body is not None:
        body.complete = True
