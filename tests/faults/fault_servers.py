"""OTLP over gRPC and over HTTP behind one function that decides about each request."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc import code_pb2, status_pb2
from google.rpc.error_details_pb2 import RetryInfo
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import DESCRIPTOR, ExportTraceServiceResponse

from tracebaton.view.compression import decompress

if TYPE_CHECKING:
    from collections.abc import Callable

_MAX_BODY = 64 * 1024 * 1024
_PROTOBUF = "application/x-protobuf"


@dataclass(frozen=True, slots=True)
class Refusal:
    """`retry_after`: seconds of a RetryInfo for gRPC; the header's value for HTTP."""

    status: str | int
    message: str
    retry_after: float | str | None = None


class GrpcServer:
    def __init__(self, export: Callable[[bytes], ExportTraceServiceResponse | Refusal]) -> None:
        self._export = export
        self._server = grpc.server(
            ThreadPoolExecutor(32, thread_name_prefix="fault-grpc"),
            options=[("grpc.max_receive_message_length", _MAX_BODY), ("grpc.so_reuseport", 0)],
        )
        service = DESCRIPTOR.services_by_name["TraceService"].full_name
        handler = grpc.unary_unary_rpc_method_handler(self._answer)
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {"Export": handler}),))
        self.port = int(self._server.add_insecure_port("127.0.0.1:0"))
        self._server.start()

    def close(self) -> None:
        self._server.stop(0).wait(5)

    def _answer(self, body: bytes, context: Any) -> bytes:
        answer = self._export(body)
        if isinstance(answer, Refusal):
            code = grpc.StatusCode[str(answer.status)]
            if isinstance(answer.retry_after, float):
                status = status_pb2.Status(code=code.value[0], message=answer.message)
                status.details.append(_retry_info(answer.retry_after))
                context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
            context.abort(code, answer.message)  # raises
            return b""
        return answer.SerializeToString()


class HttpServer(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, export: Callable[[bytes], ExportTraceServiceResponse | Refusal]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.export = export
        self.port: int = self.server_address[1]
        threading.Thread(target=self.serve_forever, args=(0.02,), name="fault-http", daemon=True).start()

    def close(self) -> None:
        self.shutdown()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Connections are reset on purpose here."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # head and body in one write, so that half of it is a part of the answer
    server: HttpServer

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        plain = decompress(body, self.headers.get("Content-Encoding", ""), _MAX_BODY)
        answer = self.server.export(plain)
        status = 200
        message: Any = answer
        if isinstance(answer, Refusal):
            status, message = int(answer.status), status_pb2.Status(code=code_pb2.UNKNOWN, message=answer.message)
        content = message.SerializeToString()
        self.send_response(status)
        self.send_header("Content-Type", _PROTOBUF)
        self.send_header("Content-Length", str(len(content)))
        if isinstance(answer, Refusal) and answer.retry_after is not None:
            self.send_header("Retry-After", str(answer.retry_after))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the name is the base class's)
        """Say nothing; the receiver counts."""


def _retry_info(seconds: float) -> AnyMessage:
    info = RetryInfo()
    info.retry_delay.FromNanoseconds(round(seconds * 1e9))
    packed = AnyMessage()
    packed.Pack(info)
    return packed
