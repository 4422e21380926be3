"""tracebaton.view.bodies"""

from __future__ import annotations

import asyncio
from functools import wraps
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import pytest

from tracebaton.view.bodies import Bodies, Body, read
from tracebaton.view.refusal import RefusedError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

LIMIT = 1000


def in_a_loop(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    @wraps(test)
    def run(*args: Any, **values: Any) -> None:
        asyncio.run(asyncio.wait_for(test(*args, **values), 20))

    return run


def nobody() -> None:
    raise AssertionError("nobody has to go")


async def refused(awaitable: Awaitable[None]) -> HTTPStatus:
    with pytest.raises(RefusedError) as refusal:
        await awaitable
    return refusal.value.status


class TestBodies:
    @in_a_loop
    async def test_room_is_shared_and_given_back(self) -> None:
        bodies = Bodies(10)
        one, two = Body(bodies, nobody), Body(bodies, nobody)
        await one.add(b"123456")
        await two.add(b"1234")
        assert bodies.used == 10
        assert (one.take(), two.take()) == (b"123456", b"1234")
        one.close()
        two.close()
        assert bodies.used == 0

    @in_a_loop
    async def test_the_slowest_goes(self) -> None:
        """It has been there for longest, and what it held is given to others."""
        bodies = Bodies(10)
        gone: list[str] = []
        slow, young, last = Body(bodies, lambda: gone.append("slow")), Body(bodies, nobody), Body(bodies, nobody)
        await slow.add(bytes(7))
        await young.add(bytes(3))
        await last.add(bytes(5))
        assert (gone, bodies.used, slow.take()) == (["slow"], 8, b"")
        assert await refused(slow.add(b"1")) == HTTPStatus.SERVICE_UNAVAILABLE

    @in_a_loop
    async def test_the_slowest_itself_is_told(self) -> None:
        bodies = Bodies(10)
        slow, other = Body(bodies, nobody), Body(bodies, nobody)
        await slow.add(bytes(5))
        await other.add(bytes(5))
        assert await refused(slow.add(b"1")) == HTTPStatus.SERVICE_UNAVAILABLE

    @in_a_loop
    async def test_one_that_is_larger_than_all_room_is_told(self) -> None:
        assert await refused(Body(Bodies(10), nobody).add(bytes(11))) == HTTPStatus.SERVICE_UNAVAILABLE

    @in_a_loop
    async def test_what_is_complete_is_waited_for(self) -> None:
        """Nobody goes while there is something that will be decoded soon."""
        bodies = Bodies(10)
        complete, arriving, new = (Body(bodies, nobody) for _ in range(3))
        await complete.add(bytes(6))
        complete.complete = True
        await arriving.add(bytes(4))
        adding = asyncio.create_task(new.add(bytes(5)))
        await asyncio.sleep(0)
        assert not adding.done()
        complete.close()
        await adding
        assert bodies.used == 9

    @in_a_loop
    async def test_who_no_longer_waits_holds_nothing(self) -> None:
        """The time of a request is up."""
        bodies = Bodies(10)
        complete, late = Body(bodies, nobody), Body(bodies, nobody)
        await complete.add(bytes(10))
        complete.complete = True
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(late.add(b"1"), 0.01)
        late.close()
        assert bodies.used == 10


class TestRead:
    def sent(self, *pieces: bytes, end: str = "http.request") -> Callable[[], Awaitable[Any]]:
        left = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces] + [{"type": end}]

        async def receive() -> Any:
            return left.pop(0)

        return receive

    @in_a_loop
    async def test_a_body(self) -> None:
        body = Body(Bodies(LIMIT), nobody)
        await read(self.sent(b"abc", b"", b"d"), 4, body)
        assert (body.complete, body.take()) == (True, b"abcd")

    @in_a_loop
    async def test_too_large(self) -> None:
        """It is read to its end all the same, so that the client gets the answer and may go on."""
        bodies = Bodies(LIMIT)
        body = Body(bodies, nobody)
        receive = self.sent(b"abc", b"de", b"f")
        assert await refused(read(receive, 4, body)) == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        assert (bodies.used, body.take()) == (0, b"")
        with pytest.raises(IndexError):
            await receive()

    @in_a_loop
    async def test_without_end(self) -> None:
        with pytest.raises(ConnectionAbortedError):
            await read(self.sent(*[bytes(1 << 20)] * 130), LIMIT, None)

    @pytest.mark.parametrize("kept", [False, True])
    @in_a_loop
    async def test_client_went_away(self, kept: bool) -> None:  # noqa: FBT001
        body: Body | None = Body(Bodies(LIMIT), nobody) if kept else None
        with pytest.raises(ConnectionResetError):
            await read(self.sent(b"ab", end="http.disconnect"), LIMIT, body)
