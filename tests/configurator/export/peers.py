"""Servers that follow a script, connection by connection; and what the tests of delivery have in common."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, Event, StreamEnded
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Sequence

    from typing_extensions import Self

    Script = Callable[[socket.socket, int], None]


def payload(spans: int = 1, first: int = 1, size: int = 0) -> bytes:
    """An ExportTraceServiceRequest with numbered spans, each with an attribute of so many bytes."""
    request = ExportTraceServiceRequest()
    made = request.resource_spans.add().scope_spans.add().spans
    for number in range(first, first + spans):
        span = made.add(trace_id=b"\1" * 16, span_id=number.to_bytes(8, "big"), name=f"span {number}")
        if size:
            span.attributes.add(key="filling").value.string_value = "x" * size
    return request.SerializeToString()


def span_ids(message: bytes) -> list[int]:
    """The numbers of the spans in it."""
    request = ExportTraceServiceRequest.FromString(message)
    return [
        int.from_bytes(span.span_id, "big")
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


class Deadline:
    """Seconds that are left; `cut` ends them from any thread."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def __call__(self) -> float:
        return self._end - time.monotonic()

    def cut(self) -> None:
        self._end = 0.0


class Peer:
    """Listens on a free port; each connection is handed to `script` with its number, from 0, in a thread of its own.

    What goes wrong with the connection is the client's doing, and ends the script; whatever else does within the `with`
    block is raised at its end.
    """

    def __init__(self, script: Script, *, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> None:
        self._script = script
        self._tls = tls
        self._listener = socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
        self._connections: list[socket.socket] = []
        self._failures: list[Exception] = []
        self._ended = False
        self.port: int = self._listener.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://{f'[{host}]' if ':' in host else host}:{self.port}"
        threading.Thread(target=self._accept, name="peer", daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._ended = True
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for one in self._connections:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        if self._failures:
            raise self._failures[0]

    @property
    def accepted(self) -> int:
        """How many connections there were."""
        return len(self._connections)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._connections.append(connection)
                number = len(self._connections) - 1
                threading.Thread(target=self._serve, args=(connection, number), name="peer", daemon=True).start()

    def _serve(self, connection: socket.socket, number: int) -> None:
        try:
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
            with connection:
                self._script(connection, number)
        except OSError:
            pass
        except Exception as error:  # noqa: BLE001 (shown by the test, see above)
            if not self._ended:  # a closed socket is a ValueError for `select`
                self._failures.append(error)


class Http2:
    """The server's side of an HTTP/2 connection, for scripts."""

    def __init__(self, connection: socket.socket, settings: dict[Any, int] | None = None) -> None:
        self.socket = connection
        self.http2 = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        self.http2.initiate_connection()
        if settings:
            self.http2.update_settings(settings)
        self.flush()
        self.bodies: dict[int, bytes] = {}
        self.events: list[Event] = []

    def flush(self) -> None:
        self.socket.sendall(self.http2.data_to_send())

    def receive(self, *, windows: bool = True) -> list[Event]:
        """What comes next; raises ConnectionError at the end of the connection."""
        data = self.socket.recv(65536)
        if not data:
            raise ConnectionResetError("the client has closed")
        taken = self.http2.receive_data(data)
        for event in taken:
            if isinstance(event, DataReceived):
                stream = event.stream_id or 0
                self.bodies[stream] = self.bodies.get(stream, b"") + (event.data or b"")
                if windows:
                    self.http2.acknowledge_received_data(event.flow_controlled_length or 0, stream)
        self.events += taken
        self.flush()
        return taken

    def until(self, kind: type[Event], *, windows: bool = True) -> Any:
        """Receive until there is an event of that kind that has not been returned before."""
        while True:
            for event in self.events:
                if isinstance(event, kind):
                    self.events.remove(event)
                    return event
            self.receive(windows=windows)

    def request(self) -> int:
        """Wait for a complete call; its stream. Its message is in `bodies`, behind five bytes of gRPC's framing."""
        stream: int = self.until(StreamEnded).stream_id
        return stream

    def answer(self, stream: int, status: str = "0", *more: tuple[str, str], body: bytes = b"\0\0\0\0\0") -> None:
        """Headers, a message and trailers."""
        self.http2.send_headers(stream, [(":status", "200"), ("content-type", "application/grpc")])
        self.http2.send_data(stream, body)
        self.http2.send_headers(stream, [("grpc-status", status), *more], end_stream=True)
        self.flush()

    def answer_at_once(self, stream: int, head: Sequence[tuple[str, str]]) -> None:
        """Headers, and nothing else: "Trailers-Only"."""
        self.http2.send_headers(
            stream, [(":status", "200"), ("content-type", "application/grpc"), *head], end_stream=True
        )
        self.flush()

    def serve(self) -> None:
        """Take every call, until the client goes."""
        while True:
            self.answer(self.request())


def hang(connection: socket.socket, _: int) -> None:
    """Never answer, and never read; until the test is over."""
    with suppress(OSError):
        while connection.fileno() >= 0:
            time.sleep(0.02)


def read_http(connection: socket.socket) -> bytes:
    """One HTTP/1.1 request with a content-length; head and body. Raises ConnectionError at the end."""
    taken = b""
    while b"\r\n\r\n" not in taken:
        taken += _some(connection)
    head, _, body = taken.partition(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")
    )
    while len(body) < length:
        body += _some(connection)
    return head + b"\r\n\r\n" + body


def _some(connection: socket.socket) -> bytes:
    data = connection.recv(65536)
    if not data:
        raise ConnectionResetError("the client has closed")
    return data
