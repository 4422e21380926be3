"""The server's side of an HTTP/2 connection: unary gRPC calls, whose frames and headers the package h2 knows.

What h2 does not bound is bounded here: frames without an end, a header block in many of them, and frames that bring
nothing forward (pings, settings, calls that are taken back at once), which every client may send for ever.
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol
from urllib.parse import quote

from google.rpc import code_pb2
from h2 import events
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.exceptions import FrameTooLargeError, ProtocolError, StreamClosedError

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator

    from tracebaton.view.connections import Connection, Limits

__all__ = ["Call", "CallError", "Http2Connection"]

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_FRAME_HEAD = 9
_LONGEST_FRAME = 16384  # what a client may send that has not been allowed more (RFC 9113, 6.5.2)
_DATA, _HEADERS, _CONTINUATION = 0, 1, 9
_END_HEADERS = 4
_MOST_HEADER_BYTES = 64 * 1024
# Between two answers; a call takes a handful, and a client that is idle pings now and then.
_MOST_IDLE_FRAMES = 1000


class CallError(Exception):
    """A call is answered with this status (google.rpc.Code) and sentence."""

    def __init__(self, code: int, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


class Call(Protocol):
    since: float
    """When it began to arrive, of the monotonic clock."""

    def take(self, data: bytes) -> None: ...

    def answer(self) -> bytes: ...

    def end(self) -> None: ...


class _H2(H2Connection):
    MAX_CLOSED_STREAMS = 500  # which h2 remembers; 65536 would be megabytes for a connection


class Http2Connection:
    """`call` makes a call of the headers of one, or raises CallError, as its methods may."""

    def __init__(
        self, socket_: socket.socket, peer: Connection, limits: Limits, call: Callable[[dict[str, str]], Call]
    ) -> None:
        self._socket = socket_
        self._peer = peer
        self._limits = limits
        self._call = call
        self._calls: dict[int, Call] = {}  # by stream, oldest first
        self._http2 = _H2(H2Configuration(client_side=False, header_encoding="utf-8"))
        self._received = bytearray()
        self._begun = False
        self._header_bytes = 0
        self._idle_frames = 0
        self._ended = False

    def serve(self) -> None:
        """Until the client goes, hangs, or does what no client does. Raises OSError."""
        try:
            # An error of a decoder of header text is one of the client's, too.
            with suppress(ProtocolError, UnicodeError, TimeoutError):
                self._serve()
        finally:
            for call in self._calls.values():
                call.end()
        with suppress(OSError, ProtocolError):
            self._http2.close_connection(ErrorCodes.NO_ERROR)
            self._flush()

    def _serve(self) -> None:
        while not self._ended:
            data = self._receive()
            if not data:
                return
            for frame in self._frames(data):
                for event in self._http2.receive_data(frame):
                    self._take(event)
                self._flush()

    def _receive(self) -> bytes:
        """Raises TimeoutError for a connection that has been idle; calls that take too long are answered before."""
        while True:
            now = time.monotonic()
            for stream, call in list(self._calls.items()):
                if call.since + self._limits.request_seconds <= now:
                    self._refuse(stream, CallError(code_pb2.DEADLINE_EXCEEDED, "the message did not arrive in time"))
            self._flush()
            if self._calls:
                end = next(iter(self._calls.values())).since + self._limits.request_seconds
            else:
                limits = self._limits
                end = self._peer.since + (limits.idle_seconds if self._peer.resting else limits.request_seconds)
            if end <= now:
                raise TimeoutError
            self._socket.settimeout(end - now)
            try:
                return self._socket.recv(65536)
            except TimeoutError:
                if not self._calls:
                    raise

    def _frames(self, data: bytes) -> Iterator[bytes]:
        """The complete ones, the first with the client's preface before it. Raises ProtocolError."""
        received = self._received
        received += data
        if not self._begun:
            if not _PREFACE.startswith(received[: len(_PREFACE)]):
                raise ProtocolError("this is not HTTP/2")
            if len(received) < len(_PREFACE):
                return
            del received[: len(_PREFACE)]
            self._begun = True
            self._http2.initiate_connection()
            yield _PREFACE
        while len(received) >= _FRAME_HEAD:
            length, kind, flags = int.from_bytes(received[:3], "big"), received[3], received[4]
            if length > _LONGEST_FRAME:  # h2 looks at that once it has all of it
                raise FrameTooLargeError(f"a frame of {length} bytes")
            if len(received) < _FRAME_HEAD + length:
                return
            self._count(length, kind, flags)
            frame = bytes(received[: _FRAME_HEAD + length])
            del received[: _FRAME_HEAD + length]
            yield frame

    def _count(self, length: int, kind: int, flags: int) -> None:
        if kind in {_HEADERS, _CONTINUATION}:
            self._header_bytes = length + (self._header_bytes if kind == _CONTINUATION else 0)
            if self._header_bytes > _MOST_HEADER_BYTES:
                raise ProtocolError("the headers have no end")
        if kind != _DATA or not length:
            self._idle_frames += 1
            if self._idle_frames > _MOST_IDLE_FRAMES:
                self._http2.close_connection(ErrorCodes.ENHANCE_YOUR_CALM)
                self._flush()
                raise ProtocolError("too many frames that bring nothing forward")

    def _take(self, event: events.Event) -> None:
        if isinstance(event, events.RequestReceived):
            self._begin(event.stream_id or 0, [(str(name), str(value)) for name, value in event.headers or ()])
        elif isinstance(event, events.DataReceived):
            stream = event.stream_id or 0
            # At once: what is kept is bounded by the budget, and not by the window.
            with suppress(StreamClosedError):
                self._http2.acknowledge_received_data(event.flow_controlled_length or 0, stream)
            if stream in self._calls:
                self._do(stream, lambda call: call.take(event.data or b""))
        elif isinstance(event, events.StreamEnded):
            self._do(event.stream_id or 0, lambda call: self._answer(event.stream_id or 0, call))
        elif isinstance(event, events.StreamReset):
            self._end(event.stream_id or 0)
        elif isinstance(event, events.ConnectionTerminated):
            self._ended = True

    def _begin(self, stream: int, headers: list[tuple[str, str]]) -> None:
        head = dict(headers)
        if head.get(":method") != "POST":
            self._refuse_http(stream, 405)
        elif head.get("content-type", "").partition(";")[0].strip().lower() not in {
            "application/grpc",
            "application/grpc+proto",
        }:
            self._refuse_http(stream, 415)
        else:
            try:
                call = self._call(head)
            except CallError as error:
                self._refuse(stream, error)
            else:
                self._calls[stream] = call
                self._peer.receive()

    def _do(self, stream: int, act: Callable[[Call], None]) -> None:
        call = self._calls.get(stream)
        if call is None:
            return
        try:
            act(call)
        except CallError as error:
            self._refuse(stream, error)

    def _answer(self, stream: int, call: Call) -> None:
        message = call.answer()
        self._end(stream)
        self._idle_frames = 0
        self._http2.send_headers(stream, [(":status", "200"), ("content-type", "application/grpc")])
        # A client that leaves no room for these few bytes is none: h2 says so by a ProtocolError.
        self._http2.send_data(stream, b"\0" + len(message).to_bytes(4, "big") + message)
        self._http2.send_headers(stream, [("grpc-status", "0")], end_stream=True)

    def _refuse(self, stream: int, error: CallError) -> None:
        sentence = quote(str(error), safe=" !#$&'()*+,-./:;<=>?@[]^_`{|}~\"\\")
        status = [("grpc-status", str(error.code)), ("grpc-message", sentence)]
        accepted = ("grpc-accept-encoding", "identity,gzip,deflate")
        self._end(stream)
        self._last(stream, [(":status", "200"), ("content-type", "application/grpc"), *status, accepted])

    def _refuse_http(self, stream: int, status: int) -> None:
        self._last(stream, [(":status", str(status))])

    def _last(self, stream: int, headers: list[tuple[str, str]]) -> None:
        """The whole of an answer; the client need not send the rest of its call."""
        with suppress(StreamClosedError):
            self._http2.send_headers(stream, headers, end_stream=True)
            self._http2.reset_stream(stream, ErrorCodes.NO_ERROR)

    def _end(self, stream: int) -> None:
        call = self._calls.pop(stream, None)
        if call is not None:
            call.end()
        if not self._calls:
            self._peer.rest()

    def _flush(self) -> None:
        data = self._http2.data_to_send()
        if data:
            self._socket.settimeout(self._limits.send_seconds)
            self._socket.sendall(data)
