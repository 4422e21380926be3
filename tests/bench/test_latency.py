"""Requests are asked for when their turn has come, and wait from then on."""

from __future__ import annotations

import asyncio

import latency
import pytest

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def asked(answers: list[tuple[float, bytes]], *, seconds: float = 0.4) -> tuple[list[float], int]:
    """What was measured, and how many requests came; each answer once, after so many seconds, the last for ever."""
    came = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal came
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                came += 1
                wait, answer = answers.pop(0) if len(answers) > 1 else answers[0]
                await asyncio.sleep(wait)
                writer.write(answer)
        except asyncio.IncompleteReadError:
            writer.close()

    async def both() -> list[float]:
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            return await latency.ask(server.sockets[0].getsockname()[1], "/", seconds)

    return asyncio.run(both()), came


@pytest.fixture(autouse=True)
def warm_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latency, "WARM_UP", 0.1)


def test_as_many_are_asked_as_the_rate_says_and_those_of_the_warm_up_do_not_count() -> None:
    taken, came = asked([(0, ANSWER)])
    assert came == latency.RATE * 0.5
    assert len(taken) == latency.RATE * 0.4


def test_what_is_asked_late_waits_from_when_it_was_due(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latency, "CONNECTIONS", 1)
    taken, _ = asked([(0, ANSWER)] * 100 + [(0.2, ANSWER), (0, ANSWER)])
    # The one that was slow, and those that were due meanwhile, less what a machine with other work adds to all.
    assert sum(one > 50_000 for one in taken) > latency.RATE * 0.1


def test_another_answer_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="not answered as it should be"):
        asked([(0, b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n")])
