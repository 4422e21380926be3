"""OTLP over HTTP: `POST /v1/traces` and `/v1/logs`, protobuf or JSON (https://opentelemetry.io/docs/specs/otlp/#otlphttp)."""

from __future__ import annotations

import asyncio
from email.utils import formatdate
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from google.protobuf.json_format import MessageToJson
from google.rpc import status_pb2
from uvicorn import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from tracebaton.view.compression import decompress
from tracebaton.view.payload import parse_json, parse_logs_json, parse_logs_protobuf, parse_protobuf
from tracebaton.view.refusal import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from google.protobuf.message import Message
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    from tracebaton.view.exports import Exports

__all__ = ["Application", "http_protocols"]

_PROTOBUF = "application/x-protobuf"
_JSON = "application/json"
_TRACES = "/v1/traces"
_LOGS = "/v1/logs"
_PATHS = {_TRACES, "/v1/metrics", _LOGS}  # metrics are taken and dropped, so that an exporter of all stays quiet
_MORE_HEADERS = {
    HTTPStatus.METHOD_NOT_ALLOWED: [(b"allow", b"POST")],
    HTTPStatus.SERVICE_UNAVAILABLE: [(b"retry-after", b"1")],
}
_NO_ROOM = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"
_MAX_HEAD = 64 * 1024


def http_protocols(exports: Exports) -> Callable[[], asyncio.Protocol]:
    """What makes a protocol for each connection."""
    config = Config(
        Application(exports),
        ws="none",
        proxy_headers=False,
        log_config=None,
        log_level="error",
        timeout_keep_alive=int(exports.limits.idle_seconds) + 1,
        h11_max_incomplete_event_size=_MAX_HEAD,
    )
    return partial(_Http1, exports, config, ServerState())


class _Http1(H11Protocol):
    """uvicorn's, within our bounds of connections and of time, which it does not have."""

    def __init__(self, exports: Exports, config: Config, state: ServerState) -> None:
        super().__init__(config, state, app_state={})
        self._exports = exports

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._connection = self._exports.connections.enter(transport, _NO_ROOM)
        self.app_state["connection"] = self._connection

    def connection_lost(self, exc: Exception | None) -> None:
        self._connection.left()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._connection.receiving()
        super().data_received(data)


class Application:
    """An ASGI application; `state` of its scope has the `connection`."""

    def __init__(self, exports: Exports) -> None:
        self._exports = exports

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        content_type = headers.get("content-type", "").partition(";")[0].strip().lower()
        connection = scope["state"]["connection"]

        def plain(body: bytearray) -> bytes | bytearray:
            # Called in the parsing, so that what was compressed is not held any longer.
            return decompress(body, headers.get("content-encoding", ""), self._exports.limits.max_body)

        def parse(body: bytearray) -> ExportTraceServiceRequest:
            return (parse_json if content_type == _JSON else parse_protobuf)(plain(body))

        def parse_logs(body: bytearray) -> ExportLogsServiceRequest:
            return (parse_logs_json if content_type == _JSON else parse_logs_protobuf)(plain(body))

        message: Message
        try:
            refusal = self._refusal(scope, headers, content_type)
            path = scope["path"]
            lines = parse_logs if path == _LOGS and self._exports.takes_logs else None
            message = await self._exports.take(connection, receive, parse if path == _TRACES else None, refusal, lines)
            status = HTTPStatus.OK
        except RefusedError as error:
            message, status = status_pb2.Status(code=error.code, message=str(error)), error.status
        except (asyncio.TimeoutError, OSError):
            connection.abort()
            await asyncio.sleep(0)  # until uvicorn has noticed, which else complains of an answer that is missing
            return
        # In the encoding of the request, as OTLP asks; in JSON, which a human can read, if it was neither.
        as_protobuf = content_type == _PROTOBUF
        body = message.SerializeToString() if as_protobuf else MessageToJson(message, indent=None).encode()
        answer = [
            (b"content-type", (_PROTOBUF if as_protobuf else _JSON).encode()),
            (b"content-length", b"%d" % len(body)),
            (b"date", formatdate(usegmt=True).encode()),
            *_MORE_HEADERS.get(status, ()),
        ]
        await send({"type": "http.response.start", "status": int(status), "headers": answer})
        await send({"type": "http.response.body", "body": body})

    def _refusal(self, scope: Any, headers: dict[str, str], content_type: str) -> RefusedError | None:
        sentence = self._exports.access.refusal(headers)
        if sentence is not None:
            return RefusedError(HTTPStatus.FORBIDDEN, sentence)
        if scope["path"] not in _PATHS:
            return RefusedError(HTTPStatus.NOT_FOUND, "OTLP is POST /v1/traces, /v1/metrics and /v1/logs")
        if scope["method"] != "POST":
            return RefusedError(HTTPStatus.METHOD_NOT_ALLOWED, "OTLP is POST /v1/traces, /v1/metrics and /v1/logs")
        if not headers.keys() & {"content-length", "transfer-encoding"}:
            return RefusedError(HTTPStatus.LENGTH_REQUIRED, "the length of the body is missing")
        if content_type not in {_PROTOBUF, _JSON}:
            sentence = f"Content-Type {content_type!r:.80} is not {_PROTOBUF} or {_JSON}"
            return RefusedError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, sentence)
        return None
