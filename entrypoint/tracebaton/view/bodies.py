"""The bodies of requests as they arrive, within bounds of size: of each, and of all together."""

from __future__ import annotations

import asyncio
from contextlib import suppress
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
    """Those that wait to be decoded. Where they fill the room, the one that has been arriving for longest has to go."""

    def __init__(self, limit: int, *, patience: float = 5.0) -> None:
        """`limit`: bytes. `patience`: seconds that a request waits for others to be decoded."""
        self._limit = limit
        self._patience = patience
        self._open: dict[Body, None] = {}  # oldest first
        self._changed = asyncio.Event()

    @property
    def used(self) -> int:
        """Bytes."""
        return sum(body.size for body in self._open)

    def open(self, drop: Callable[[], None]) -> Body:
        """Make one that may grow; `drop` ends the connection that it arrives on."""
        body = Body(self, drop)
        self._open[body] = None
        return body

    async def make_room(self, body: Body, size: int) -> None:
        """Raises RefusedError where there is none, and then for the body that is the slowest of all."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._patience
        while body not in self._open or self.used + size > self._limit:
            # What is complete leaves soon.
            if body in self._open and any(one.complete for one in self._open):
                self._changed.clear()
                with suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(self._changed.wait(), deadline - loop.time())
                if loop.time() < deadline:
                    continue
            slowest = next((one for one in self._open if one.size and not one.complete), body)
            if slowest is body or body not in self._open or loop.time() >= deadline:
                raise RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, _FULL)
            slowest.drop()
            slowest.close()

    def close(self, body: Body) -> None:
        self._open.pop(body, None)
        self._changed.set()


class Body:
    """What has arrived of one request, until it is closed."""

    def __init__(self, bodies: Bodies, drop: Callable[[], None]) -> None:
        self._bodies = bodies
        self._data = bytearray()
        self.drop = drop
        self.size = 0
        self.complete = False
        """It has arrived in full, and is not to blame for what happens from now on."""

    async def add(self, piece: bytes) -> None:
        """Raises RefusedError."""
        await self._bodies.make_room(self, len(piece))
        self.size += len(piece)
        self._data += piece

    def take(self) -> bytearray:
        """Hand over the bytes, which stay counted: one payload is decoded at a time."""
        data, self._data = self._data, bytearray()
        return data

    def close(self) -> None:
        self._data = bytearray()
        self._bodies.close(self)


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
