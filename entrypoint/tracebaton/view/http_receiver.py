"""OTLP over HTTP: `POST /v1/traces`, protobuf or JSON (https://opentelemetry.io/docs/specs/otlp/#otlphttp)."""

from __future__ import annotations

import io
import json
from contextlib import closing
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any

from google.rpc import code_pb2, status_pb2
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from tracebaton.view.connections import ConnectionServer
from tracebaton.view.http_body import DeadlineReader, RefusedError, decompress, read_body, skip_body
from tracebaton.view.intake import BusyError, MalformedError
from tracebaton.view.parts import TooManyPartsError
from tracebaton.view.payload import parse_json, parse_protobuf

if TYPE_CHECKING:
    import socket

    from tracebaton.view.budget import Hold

__all__ = ["HttpReceiver"]

_PROTOBUF = "application/x-protobuf"
_JSON = "application/json"
_TRACES = "/v1/traces"
_DROPPED = frozenset({"/v1/metrics", "/v1/logs"})  # accepted, so that an exporter of all signals stays quiet

_RPC_CODES = {
    HTTPStatus.BAD_REQUEST: code_pb2.INVALID_ARGUMENT,
    HTTPStatus.FORBIDDEN: code_pb2.PERMISSION_DENIED,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: code_pb2.RESOURCE_EXHAUSTED,
    HTTPStatus.SERVICE_UNAVAILABLE: code_pb2.UNAVAILABLE,
}


class HttpReceiver(ConnectionServer):
    no_room = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"

    def __init__(self, address: tuple[Any, ...], family: socket.AddressFamily, **shared: Any) -> None:
        """Bind and listen; raises OSError. `shared` is as for ConnectionServer."""
        super().__init__(address, family, _Handler, **shared)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body are two writes; the second would wait 40 ms for an acknowledgement
    server_version = "tracebaton"
    sys_version = ""
    server: HttpReceiver

    def setup(self) -> None:
        super().setup()
        self._peer = self.server.connections.of(self.connection)
        self._reader = DeadlineReader(self.connection, on_first=self._peer.receive)
        self.rfile = io.BufferedReader(self._reader)

    def handle_one_request(self) -> None:
        limits = self.server.limits
        wait = limits.idle_seconds if self._peer.resting else limits.request_seconds
        self._reader.await_request(wait, limits.request_seconds)
        super().handle_one_request()
        self._peer.rest()

    def parse_request(self) -> bool:
        parsed = super().parse_request()
        self._reader.head_read()
        return parsed

    def do_POST(self) -> None:
        try:
            with closing(self.server.budget.hold(self._peer.drop)) as hold:
                rejected = self._export(hold)
            self._answer(rejected)
        except RefusedError as refusal:
            self._refuse(refusal)

    def do_GET(self) -> None:
        known = self._path() in {_TRACES, *_DROPPED}
        status = HTTPStatus.METHOD_NOT_ALLOWED if known else HTTPStatus.NOT_FOUND
        # These may carry a body too, which nobody reads.
        refusal = RefusedError(status, "OTLP is POST /v1/traces, /v1/metrics and /v1/logs", framing_lost=True)
        self._refuse(self._cross_site() or refusal)

    do_HEAD = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_GET  # noqa: N815 -- the names are the base class's

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- the name is the base class's
        """Stay quiet: a line on stderr for each request would bury the traces."""

    def _export(self, hold: Hold) -> int:
        """Take in the payload; return how many of its spans were rejected."""
        path, content_type = self._path(), self._content_type()
        # Before anything is refused the body is read: an answer to a client that is still sending gets lost.
        refusal = self._refusal(path, content_type)
        if refusal is not None or path in _DROPPED:
            skip_body(self.rfile, self.headers)
            if refusal is not None:
                raise refusal
            return 0
        limit = self.server.limits.max_body
        body = [read_body(self.rfile, self.headers, limit, hold.add)]
        hold.complete = True
        coding = self.headers.get("Content-Encoding", "")
        parse = parse_json if content_type == _JSON else parse_protobuf
        self._peer.busy = True
        try:
            # Popped, so that what was compressed is not held any longer.
            return self.server.intake.accept(lambda: parse(decompress(body.pop(), coding, limit)))
        except MalformedError as error:
            raise RefusedError(HTTPStatus.BAD_REQUEST, str(error)) from error
        except TooManyPartsError as error:
            raise RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, str(error)) from error
        except BusyError as error:
            raise RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, str(error)) from error
        finally:
            self._peer.busy = False

    def _cross_site(self) -> RefusedError | None:
        if len(self.headers.get_all("Host", [])) != 1:
            return RefusedError(HTTPStatus.BAD_REQUEST, "there has to be one Host header", framing_lost=True)
        sentence = self.server.access.refusal({name.lower(): value for name, value in self.headers.items()})
        return RefusedError(HTTPStatus.FORBIDDEN, sentence, framing_lost=True) if sentence is not None else None

    def _refusal(self, path: str, content_type: str) -> RefusedError | None:
        cross_site = self._cross_site()
        if cross_site is not None:
            return cross_site
        if path not in {_TRACES, *_DROPPED}:
            return RefusedError(HTTPStatus.NOT_FOUND, "OTLP is POST /v1/traces, /v1/metrics and /v1/logs")
        if content_type not in {_PROTOBUF, _JSON}:
            return RefusedError(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"Content-Type {content_type!r:.80} is not {_PROTOBUF} or {_JSON}"
            )
        return None

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
        self.connection.settimeout(self.server.limits.send_seconds)
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
