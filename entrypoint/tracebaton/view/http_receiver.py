"""OTLP over HTTP: `POST /v1/traces`, protobuf or JSON (https://opentelemetry.io/docs/specs/otlp/#otlphttp)."""

from __future__ import annotations

import io
import json
import socketserver
import sys
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any

from google.rpc import code_pb2, status_pb2
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from tracebaton.view.http_body import DeadlineReader, RefusedError, decompress, read_body
from tracebaton.view.intake import BusyError, Intake, MalformedError
from tracebaton.view.payload import parse_json, parse_protobuf

if TYPE_CHECKING:
    import socket

__all__ = ["HttpReceiver"]

_PROTOBUF = "application/x-protobuf"
_JSON = "application/json"
_TRACES = "/v1/traces"
_DROPPED = frozenset({"/v1/metrics", "/v1/logs"})  # accepted, so that an exporter of all signals stays quiet

_RPC_CODES = {
    HTTPStatus.BAD_REQUEST: code_pb2.INVALID_ARGUMENT,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: code_pb2.RESOURCE_EXHAUSTED,
    HTTPStatus.SERVICE_UNAVAILABLE: code_pb2.UNAVAILABLE,
}


class HttpReceiver(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """Serves each connection in a thread, of which there are so many and no more; call `serve_forever` in one too."""

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False  # a hanging client does not delay the end
    request_queue_size = 128

    def __init__(
        self,
        address: tuple[Any, ...],
        family: socket.AddressFamily,
        intake: Intake,
        *,
        max_body: int = 64 * 1024 * 1024,
        max_connections: int = 64,
        request_seconds: float = 30.0,
    ) -> None:
        """Bind and listen; raises OSError.

        `request_seconds`: how long a connection may take for a request, from the first byte waited for to the last.
        """
        self.address_family = family
        self.intake = intake
        self.max_body = max_body
        self.request_seconds = request_seconds
        self._connections = threading.Semaphore(max_connections)
        super().__init__(address, _Handler)

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._connections.acquire(blocking=False):
            request.setblocking(False)  # noqa: FBT003
            request.sendall(b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n")
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._connections.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._connections.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        # A client that goes away is its own affair; anything else is a defect of ours and gets its traceback.
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body are two writes; the second would wait 40 ms for an acknowledgement
    server_version = "tracebaton"
    sys_version = ""
    server: HttpReceiver

    def setup(self) -> None:
        super().setup()
        self._reader = DeadlineReader(self.connection)
        self.rfile = io.BufferedReader(self._reader)

    def handle_one_request(self) -> None:
        self._reader.allow(self.server.request_seconds)
        super().handle_one_request()

    def do_POST(self) -> None:
        try:
            # Before anything is refused: an answer to a client that is still sending gets lost.
            body = read_body(self.rfile, self.headers, self.server.max_body)
            self._answer(self._export(body))
        except RefusedError as refusal:
            self._refuse(refusal)

    def do_GET(self) -> None:
        known = self._path() in {_TRACES, *_DROPPED}
        status = HTTPStatus.METHOD_NOT_ALLOWED if known else HTTPStatus.NOT_FOUND
        # These may carry a body too, which nobody reads.
        self._refuse(RefusedError(status, "OTLP is POST /v1/traces, /v1/metrics and /v1/logs", framing_lost=True))

    do_HEAD = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_GET  # noqa: N815 -- the names are the base class's

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- the name is the base class's
        """Stay quiet: a line on stderr for each request would bury the traces."""

    def _export(self, body: bytes) -> int:
        """Take in the payload; return how many of its spans were rejected."""
        path = self._path()
        if path not in {_TRACES, *_DROPPED}:
            raise RefusedError(HTTPStatus.NOT_FOUND, "OTLP is POST /v1/traces, /v1/metrics and /v1/logs")
        content_type = self._content_type()
        if content_type not in {_PROTOBUF, _JSON}:
            raise RefusedError(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"Content-Type {content_type!r:.80} is not {_PROTOBUF} or {_JSON}"
            )
        if path in _DROPPED:
            return 0
        plain = decompress(body, self.headers.get("Content-Encoding", ""), self.server.max_body)
        parse = parse_json if content_type == _JSON else parse_protobuf
        try:
            return self.server.intake.accept(lambda: parse(plain))
        except MalformedError as error:
            raise RefusedError(HTTPStatus.BAD_REQUEST, str(error)) from error
        except BusyError as error:
            raise RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, str(error)) from error

    def _answer(self, rejected: int) -> None:
        response = ExportTraceServiceResponse()
        document: dict[str, Any] = {}
        if rejected:
            message = "trace or span ids of invalid length"
            response.partial_success.rejected_spans = rejected
            response.partial_success.error_message = message
            document["partialSuccess"] = {"rejectedSpans": str(rejected), "errorMessage": message}
        self._send(HTTPStatus.OK, response.SerializeToString(), document)

    def _refuse(self, refusal: RefusedError) -> None:
        self.close_connection = self.close_connection or refusal.framing_lost
        code = _RPC_CODES.get(refusal.status, code_pb2.UNKNOWN)
        status = status_pb2.Status(code=code, message=str(refusal))
        self._send(refusal.status, status.SerializeToString(), {"code": code, "message": str(refusal)})

    def _send(self, status: HTTPStatus, protobuf: bytes, document: dict[str, Any]) -> None:
        """Answer in the encoding of the request, as OTLP asks; in JSON, which a human can read, if it was neither."""
        as_protobuf = self._content_type() == _PROTOBUF
        body = protobuf if as_protobuf else json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", _PROTOBUF if as_protobuf else _JSON)
        self.send_header("Content-Length", str(len(body)))
        if status is HTTPStatus.METHOD_NOT_ALLOWED:
            self.send_header("Allow", "POST")
        if status is HTTPStatus.SERVICE_UNAVAILABLE:
            self.send_header("Retry-After", "1")
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _path(self) -> str:
        return self.path.partition("?")[0]

    def _content_type(self) -> str:
        return self.headers.get("Content-Type", "").partition(";")[0].strip().lower()
