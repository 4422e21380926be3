"""The server's side of an HTTP/2 connection: unary gRPC calls, whose frames and headers the package h2 knows.

What h2 does not bound is bounded here: frames that bring nothing forward (pings, settings, headers without an end,
calls that are taken back at once), which every client may send for ever.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from google.rpc import code_pb2
from h2 import events
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.exceptions import ProtocolError, StreamClosedError

from tracebaton.view.refusal import RefusedError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tracebaton.view.connections import ClientConnection, Connections
    from tracebaton.view.exports import Receive

__all__ = ["Http2Protocol"]

_FRAME_HEAD = 9
_PART = 16384
# Between two answers, beside what messages are made of; a call takes some hundred, and a client that is idle pings now
# and then.
_MOST_IDLE_BYTES = 64 * 1024
_GRPC = {"application/grpc", "application/grpc+proto"}
_HEAD = [(":status", "200"), ("content-type", "application/grpc")]


class _H2(H2Connection):
    MAX_CLOSED_STREAMS = 500  # which h2 remembers; 65536 would be megabytes for a connection


class Http2Protocol(asyncio.Protocol):
    """`call` answers the call of these headers with a message, or raises RefusedError, TimeoutError or OSError."""

    def __init__(
        self, connections: Connections, call: Callable[[ClientConnection, dict[str, str], Receive], Awaitable[bytes]]
    ) -> None:
        self._connections = connections
        self._call = call
        self._arrived: dict[int, asyncio.Queue[events.Event]] = {}  # of the calls that go on, by stream
        self._tasks: set[asyncio.Task[None]] = set()
        self._http2 = _H2(H2Configuration(client_side=False, header_encoding="utf-8"))
        self._idle_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport
        self._connection = self._connections.enter(transport)
        self._http2.initiate_connection()
        self._flush()

    def connection_lost(self, _error: Exception | None) -> None:
        self._connection.left()
        for arrived in self._arrived.values():
            arrived.put_nowait(events.ConnectionTerminated())

    def data_received(self, data: bytes) -> None:
        try:
            for start in range(0, len(data), _PART):
                part = data[start : start + _PART]
                self._idle_bytes += len(part)
                for event in self._http2.receive_data(part):
                    self._take(event)
                if self._idle_bytes > _MOST_IDLE_BYTES:
                    self._http2.close_connection(ErrorCodes.ENHANCE_YOUR_CALM)
                    raise ProtocolError("too much that brings nothing forward")
        except (ProtocolError, UnicodeError):  # an error of a decoder of header text is one of the client's, too
            self._flush()
            self._connection.abort()
        self._flush()

    def _take(self, event: events.Event) -> None:
        stream = getattr(event, "stream_id", 0)
        if isinstance(event, events.RequestReceived):
            self._begin(stream, {str(name): str(value) for name, value in event.headers or ()})
        elif isinstance(event, events.ConnectionTerminated):
            self._connection.abort()
        elif isinstance(event, events.DataReceived):
            if event.data:
                self._idle_bytes -= _FRAME_HEAD + (event.flow_controlled_length or 0)
            if stream in self._arrived:
                self._arrived[stream].put_nowait(event)
            else:
                self._acknowledge(event)
        elif isinstance(event, (events.StreamEnded, events.StreamReset)) and stream in self._arrived:
            self._arrived[stream].put_nowait(event)

    def _begin(self, stream: int, head: dict[str, str]) -> None:
        if head.get(":method") != "POST":
            self._last(stream, [(":status", "405")])
        elif head.get("content-type", "").partition(";")[0].strip().lower() not in _GRPC:
            self._last(stream, [(":status", "415")])
        else:
            self._arrived[stream] = asyncio.Queue()
            task = asyncio.create_task(self._serve(stream, head))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _serve(self, stream: int, head: dict[str, str]) -> None:
        try:
            self._answer(stream, await self._call(self._connection, head, partial(self._receive, stream)))
        except RefusedError as error:
            self._refuse(stream, error.code, str(error))
        except asyncio.TimeoutError:
            self._refuse(stream, code_pb2.DEADLINE_EXCEEDED, "the message did not arrive in time")
        except ProtocolError:  # a client that leaves no room for the few bytes of an answer is none
            self._connection.abort()
        except OSError:
            pass  # it is gone, or has taken back its call
        finally:
            arrived = self._arrived.pop(stream)
            while not arrived.empty():
                self._acknowledge(arrived.get_nowait())
            self._flush()

    async def _receive(self, stream: int) -> dict[str, Any]:
        """As of ASGI."""
        event = await self._arrived[stream].get()
        if isinstance(event, events.DataReceived):
            self._acknowledge(event)
            self._flush()
            return {"type": "http.request", "body": event.data, "more_body": True}
        return {"type": "http.request" if isinstance(event, events.StreamEnded) else "http.disconnect"}

    def _acknowledge(self, event: events.Event) -> None:
        if isinstance(event, events.DataReceived):
            with suppress(ProtocolError):  # where the stream or the connection is closed
                self._http2.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id or 0)

    def _answer(self, stream: int, message: bytes) -> None:
        self._idle_bytes = 0
        with suppress(StreamClosedError):
            self._http2.send_headers(stream, _HEAD)
            self._http2.send_data(stream, b"\0" + len(message).to_bytes(4, "big") + message)
            self._http2.send_headers(stream, [("grpc-status", "0")], end_stream=True)

    def _refuse(self, stream: int, code: int, sentence: str) -> None:
        message = quote(sentence, safe=" !#$&'()*+,-./:;<=>?@[]^_`{|}~\"\\")
        accepted = ("grpc-accept-encoding", "identity,gzip,deflate")
        self._last(stream, [*_HEAD, ("grpc-status", str(code)), ("grpc-message", message), accepted])

    def _last(self, stream: int, headers: list[tuple[str, str]]) -> None:
        """The whole of an answer; the client need not send the rest of its call."""
        with suppress(ProtocolError):  # where it is closed
            self._http2.send_headers(stream, headers, end_stream=True)
            self._http2.reset_stream(stream, ErrorCodes.NO_ERROR)

    def _flush(self) -> None:
        data = self._http2.data_to_send()
        if data and not self._transport.is_closing():
            self._transport.write(data)
