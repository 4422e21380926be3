"""OTLP over gRPC in pure Python: one unary call over HTTP/2, whose frames and headers the package h2 knows.

grpcio costs a process 16 MB and threads of its own, and what it has running does not survive a fork. A batch a second
needs none of it: here a connection is a socket and some state, which a forked child simply forgets.

The protocol: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from h2 import events
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.exceptions import FrameTooLargeError, ProtocolError
from h2.settings import SettingCodes

from tracebaton_configurator._version import __version__
from tracebaton_configurator.export.address import Address
from tracebaton_configurator.export.export_result import ExportResult, no_answer, of_grpc

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tracebaton_configurator.export.connection import Connection
    from tracebaton_configurator.settings.endpoint import Endpoint

    Deadline = Callable[[], float]

METHOD = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
_LONGEST_ANSWER = 1 << 20
_FRAME_HEAD = 9
# What a peer may send that has not been allowed more (RFC 9113, 6.5.2).
_LONGEST_FRAME = 16384
_GOAWAY = 7
# h2 remembers closed streams, so a connection is replaced after so many of them.
_MOST_CALLS = 1000


class GrpcClient:
    """Sends batches, one at a time, over a connection that stays open between them."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._address = Address(endpoint, 4317)
        self._gzip = endpoint.compression == "gzip"
        head = {
            ":method": "POST",
            ":scheme": self._address.scheme,
            ":path": METHOD,
            ":authority": self._address.authority,
            "te": "trailers",
            "content-type": "application/grpc",
            "user-agent": f"tracebaton/{__version__}",
        }
        if self._gzip:
            head["grpc-encoding"] = "gzip"
        if self._address.credentials:
            head["authorization"] = self._address.credentials
        head.update(endpoint.headers)
        self._head = list(head.items())
        self._http2: _Http2Connection | None = None

    def send(self, payload: bytes, deadline: Deadline) -> ExportResult:
        """Send one ExportTraceServiceRequest; `deadline` says how many seconds are left. Does not raise."""
        body = self._address.compressed(payload)
        message = bytes((self._gzip,)) + len(body).to_bytes(4, "big") + body
        head = [*self._head, ("grpc-timeout", f"{max(1, round(deadline() * 1000))}m")]
        while True:
            reused = self._http2 is not None
            try:
                http2 = self._open(deadline)
                result = http2.call(head, message, deadline, self._address.hide)
            except (OSError, ProtocolError) as error:
                self.close()
                if reused and not isinstance(error, TimeoutError):
                    continue  # a connection that has been idle may have died unnoticed: a new one decides
                return no_answer(_words(error), self._address.hide, error)
            if http2.worn:
                self.close()
            return result

    def close(self) -> None:
        http2, self._http2 = self._http2, None
        if http2 is not None:
            http2.connection.close()

    def _open(self, deadline: Deadline) -> _Http2Connection:
        http2 = self._http2
        if http2 is not None and not http2.is_alive(deadline):
            self.close()
            http2 = None
        if http2 is None:
            connection = self._address.connect(["h2"], deadline, tunnel=True)
            http2 = self._http2 = _Http2Connection(connection)
        return http2


class _Http2Connection:
    """An HTTP/2 connection; `worn` says that no further call should be made on it."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.worn = False
        self._heard = False
        self._calls = 0
        self._received = bytearray()
        self._http2 = H2Connection(H2Configuration(client_side=True, header_encoding=False))
        self._http2.initiate_connection()
        self._http2.update_settings({SettingCodes.ENABLE_PUSH: 0})

    def is_alive(self, deadline: Deadline) -> bool:
        """Take in what has come since the last call: pings, or that the server is going away."""
        try:
            while deadline() > 0 and (data := self.connection.receive_now()) is not None:
                self._take(data)
            self._flush(deadline)
        except (OSError, ProtocolError):
            return False
        return not self.worn

    def call(
        self, head: list[tuple[str, str]], message: bytes, deadline: Deadline, hide: Callable[[str], str]
    ) -> ExportResult:
        """One unary call (OSError, ProtocolError). Once the answer is complete, nothing that follows can spoil it."""
        http2 = self._http2
        self._calls += 1
        self.worn = self._calls >= _MOST_CALLS
        stream = http2.get_next_available_stream_id()
        answer = _Answer(stream)
        try:
            http2.send_headers(stream, head)
        except ProtocolError:  # quotes the header, with its secret value
            raise _UnsendableError("gRPC does not allow such a request; look at the headers that were set") from None
        try:
            self._exchange(stream, memoryview(message), answer, deadline)
        except ConnectionError:
            # A server that does not want it all may answer and close before it has read it.
            with suppress(OSError):
                while not answer.ended and (data := self.connection.receive_now()):
                    self._take(data, answer)
            if not answer.ended:
                raise
            self.worn = True
        return answer.reply(hide)

    def _exchange(self, stream: int, rest: memoryview, answer: _Answer, deadline: Deadline) -> None:
        http2 = self._http2
        while not answer.ended and not answer.closing:
            if rest:
                size = min(len(rest), http2.local_flow_control_window(stream), http2.max_outbound_frame_size)
                if size > 0:
                    http2.send_data(stream, bytes(rest[:size]), end_stream=size == len(rest))
                    rest = rest[size:]
                    self._flush(deadline)
                    # A server may answer before it has read everything.
                    data = self.connection.receive_now()
                    if data is not None:
                        self._take(data, answer)
                    continue
            self._flush(deadline)
            self._take(self.connection.receive(deadline), answer)
        if not answer.ended:
            raise ConnectionResetError(answer.problem)
        if rest:
            self.worn = True
        try:
            self._flush(deadline)
        except OSError:
            self.worn = True

    def _take(self, data: bytes, answer: _Answer | None = None) -> None:
        if not data:
            raise ConnectionResetError(
                "the receiver closed the connection"
                if self._heard
                else "what answers there closed the connection without a word of gRPC; where it takes OTLP over HTTP, "
                "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf says so"
            )
        self._heard = True
        try:
            for frame in self._frames(data):
                if frame[3] == _GOAWAY and len(frame) >= _FRAME_HEAD + 8:
                    self.worn = True
                    if answer is not None:
                        answer.go_away(
                            int.from_bytes(frame[9:13], "big") & 0x7FFFFFFF, int.from_bytes(frame[13:17], "big")
                        )
                    continue
                for event in self._http2.receive_data(frame):
                    if answer is not None:
                        answer.take(event, self._http2)
        except ProtocolError:
            if answer is None or not answer.ended:
                raise
            self.worn = True

    def _frames(self, data: bytes) -> Iterator[bytes]:
        """The complete ones.

        After GOAWAY, h2 4.1 to 4.4 takes nothing more in and gives nothing more out; but a server that is going away
        still answers the calls that it has (RFC 9113, 6.8), and asks by PING whether that has been heard.
        """
        received = self._received
        received += data
        while len(received) >= _FRAME_HEAD:
            end = _FRAME_HEAD + int.from_bytes(received[:3], "big")
            if end > _FRAME_HEAD + _LONGEST_FRAME:  # h2 would wait for all of it, such as for 4 MB after "HTTP/1.1 400"
                raise FrameTooLargeError(f"a frame of {end - _FRAME_HEAD} bytes")
            if len(received) < end:
                return
            frame = bytes(received[:end])
            del received[:end]
            yield frame

    def _flush(self, deadline: Deadline) -> None:
        data = self._http2.data_to_send()
        if data:
            self.connection.send(data, deadline)


class _Answer:
    """What came back on one stream."""

    def __init__(self, stream: int) -> None:
        self._stream = stream
        self._headers: dict[str, str] = {}
        self._body = b""
        self.problem = ""
        self.ended = False
        self.closing = False

    def go_away(self, last_stream: int, code: int) -> None:
        if last_stream < self._stream or code:
            self.problem = f"the receiver ended the connection ({_name(code)})"
            self.closing = True

    def take(self, event: events.Event, http2: H2Connection) -> None:
        if getattr(event, "stream_id", None) != self._stream:
            return
        if isinstance(event, (events.ResponseReceived, events.TrailersReceived)):
            self._headers.update((_text(name), _text(value)) for name, value in event.headers or ())
        elif isinstance(event, events.DataReceived):
            http2.acknowledge_received_data(event.flow_controlled_length or 0, self._stream)
            self._body = (self._body + (event.data or b""))[:_LONGEST_ANSWER]
        elif isinstance(event, events.StreamEnded):
            self.ended = True
        elif isinstance(event, events.StreamReset):
            self.problem = f"the receiver reset the call ({_name(event.error_code)})"
            self.ended = True

    def reply(self, hide: Callable[[str], str]) -> ExportResult:
        if "grpc-status" not in self._headers and self.problem:
            return no_answer(self.problem, hide)
        body = self._body
        if body[:1] == b"\1":
            # Compressed although none was offered; the status has said what matters.
            body = b""
        return of_grpc(self._headers.get(":status", ""), self._headers, body, hide)


def _text(part: bytes | str) -> str:
    return part.decode("utf-8", "replace") if isinstance(part, bytes) else part


def _name(code: ErrorCodes | int | None) -> str:
    try:
        return ErrorCodes(code or 0).name
    except ValueError:
        return str(code)


class _UnsendableError(ProtocolError):
    """h2 refuses the request itself, before anything of it is sent."""


def _words(error: Exception) -> str:
    if isinstance(error, ProtocolError) and not isinstance(error, _UnsendableError):
        return f"what answers there does not speak gRPC ({type(error).__name__}: {error})"
    return str(error) or type(error).__name__
