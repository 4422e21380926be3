"""tracebaton.view.connections, and how exports.read fills a request"""

from __future__ import annotations

import asyncio
from functools import wraps
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import pytest

from tracebaton.view.connections import ClientConnection, Connections, Limits, ReceivedRequest
from tracebaton.view.exports import read
from tracebaton.view.refusal import RefusedError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

LIMIT = 1000


def in_a_loop(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    @wraps(test)
    def run(*args: Any, **values: Any) -> None:
        asyncio.run(asyncio.wait_for(test(*args, **values), 20))

    return run


class Transport:
    """Of a client that is told to go."""

    gone = False

    def abort(self) -> None:
        self.gone = True


def room(size: int) -> Connections:
    return Connections(Limits(max_body=size // 2))


def request(connections: Connections, transport: Transport | None = None) -> ReceivedRequest:
    """The first of a connection of its own."""
    return ReceivedRequest(ClientConnection(transport or Transport(), connections))  # type: ignore[arg-type]


async def refused(awaitable: Awaitable[None]) -> HTTPStatus:
    with pytest.raises(RefusedError) as refusal:
        await awaitable
    return refusal.value.status


class TestRoom:
    @in_a_loop
    async def test_room_is_shared_and_given_back(self) -> None:
        everyone = room(10)
        one, two = request(everyone), request(everyone)
        await one.add(b"123456")
        await two.add(b"1234")
        assert everyone.used == 10
        assert (one.take(), two.take()) == (b"123456", b"1234")
        one.close()
        two.close()
        assert everyone.used == 0

    @in_a_loop
    async def test_the_slowest_goes(self) -> None:
        """It has been there for longest, and what it held is given to others."""
        everyone = room(10)
        clients = [Transport() for _ in range(3)]
        slow, young, last = (request(everyone, one) for one in clients)
        await slow.add(bytes(7))
        await young.add(bytes(3))
        await last.add(bytes(5))
        assert [one.gone for one in clients] == [True, False, False]
        assert (everyone.used, slow.take()) == (8, b"")
        assert await refused(slow.add(b"1")) == HTTPStatus.SERVICE_UNAVAILABLE

    @in_a_loop
    async def test_the_slowest_itself_is_told(self) -> None:
        everyone = room(10)
        slow, other = request(everyone), request(everyone)
        await slow.add(bytes(5))
        await other.add(bytes(5))
        assert await refused(slow.add(b"1")) == HTTPStatus.SERVICE_UNAVAILABLE

    @in_a_loop
    async def test_one_that_is_larger_than_all_room_is_told(self) -> None:
        assert await refused(request(room(10)).add(bytes(11))) == HTTPStatus.SERVICE_UNAVAILABLE

    @in_a_loop
    async def test_what_is_complete_is_waited_for(self) -> None:
        """Nobody goes while there is something that will be decoded soon."""
        everyone = room(10)
        clients = [Transport() for _ in range(3)]
        complete, arriving, new = (request(everyone, one) for one in clients)
        await complete.add(bytes(6))
        complete.complete = True
        await arriving.add(bytes(4))
        adding = asyncio.create_task(new.add(bytes(5)))
        await asyncio.sleep(0)
        assert not adding.done()
        complete.close()
        await adding
        assert everyone.used == 9
        assert not any(one.gone for one in clients)

    @in_a_loop
    async def test_who_no_longer_waits_holds_nothing(self) -> None:
        """The time of a request is up."""
        everyone = room(10)
        complete, late = request(everyone), request(everyone)
        await complete.add(bytes(10))
        complete.complete = True
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(late.add(b"1"), 0.01)
        late.close()
        assert everyone.used == 10


class TestRead:
    def sent(self, *pieces: bytes, end: str = "http.request") -> Callable[[], Awaitable[Any]]:
        left = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces] + [{"type": end}]

        async def receive() -> Any:
            return left.pop(0)

        return receive

    @in_a_loop
    async def test_a_body(self) -> None:
        body = request(room(LIMIT))
        await read(self.sent(b"abc", b"", b"d"), body, 4, keeps=True)
        assert (body.complete, body.take()) == (True, b"abcd")

    @in_a_loop
    async def test_too_large(self) -> None:
        """It is read to its end all the same, so that the client gets the answer and may go on."""
        everyone = room(LIMIT)
        body = request(everyone)
        receive = self.sent(b"abc", b"de", b"f")
        assert await refused(read(receive, body, 4, keeps=True)) == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        assert (everyone.used, body.take()) == (0, b"")
        with pytest.raises(IndexError):
            await receive()

    @in_a_loop
    async def test_without_end(self) -> None:
        with pytest.raises(ConnectionAbortedError):
            await read(self.sent(*[bytes(1 << 20)] * 130), request(room(LIMIT)), LIMIT, keeps=False)

    @pytest.mark.parametrize("kept", [False, True])
    @in_a_loop
    async def test_client_went_away(self, *, kept: bool) -> None:
        with pytest.raises(ConnectionResetError):
            await read(self.sent(b"ab", end="http.disconnect"), request(room(LIMIT)), LIMIT, keeps=kept)
