"""Requests as an ASGI server hands them over, sent to an application in this process without a client in between."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    Message = dict[str, Any]
    App = Callable[[Any, Any, Any], Awaitable[None]]


def http_scope(
    method: str = "GET",
    path: str = "/",
    headers: Sequence[tuple[bytes, bytes]] = ((b"host", b"shop.example"),),
    **changes: Any,
) -> dict[str, Any]:
    """The scope of an HTTP request as uvicorn makes it; `changes` replaces keys, or adds some."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": list(headers),
        "client": ("192.0.2.7", 50123),
        "server": ("192.0.2.1", 8000),
        "state": {},
        **changes,
    }


def websocket_scope(path: str, headers: Sequence[tuple[bytes, bytes]] = (), **changes: Any) -> dict[str, Any]:
    """The scope of a WebSocket, which has no method."""
    scope = http_scope("GET", path, headers, **changes)
    del scope["method"]
    return {**scope, "type": "websocket", "scheme": "ws", "subprotocols": []}


@dataclass
class Answer:
    """What the application sent, and what it raised."""

    messages: list[Message] = field(default_factory=list)
    error: BaseException | None = None

    @property
    def status(self) -> int:
        return next((one["status"] for one in self.messages if one["type"].endswith("response.start")), 0)

    @property
    def body(self) -> bytes:
        return b"".join(one.get("body", b"") for one in self.messages)

    @property
    def json(self) -> Any:
        from json import loads

        return loads(self.body)


async def send(
    app: App,
    scope: dict[str, Any],
    body: bytes = b"",
    *,
    incoming: Sequence[Message] = (),
    breaks_at: int | None = None,
) -> Answer:
    """Run one request; what the application raises is in the answer.

    `incoming` are further messages that it can receive; after them it waits for ever, as at a quiet connection.
    `breaks_at`: the number of the sent message at which the connection is found broken (OSError).
    """
    answer = Answer()
    first = [{"type": "http.request", "body": body, "more_body": False}] if scope["type"] == "http" else []
    waiting = iter([*first, *incoming])

    async def receive() -> Message:
        for message in waiting:
            return message
        await asyncio.Event().wait()
        raise AssertionError

    async def sent(message: Message) -> None:
        if breaks_at is not None and len(answer.messages) >= breaks_at:
            raise OSError("the client is gone")
        answer.messages.append(dict(message))

    try:
        await app(scope, receive, sent)
    except BaseException as error:  # noqa: BLE001 (what it raises is what is asked about)
        answer.error = error
    return answer


def traceparent(trace_id: int = 0xABCDEF, span_id: int = 0x1234, flags: int = 0) -> tuple[bytes, bytes]:
    """The header as a server hands it over."""
    return b"traceparent", f"00-{trace_id:032x}-{span_id:016x}-{flags:02x}".encode()
