"""OTLP over gRPC: the Export methods of the trace, metrics and logs services.

In pure Python over the package h2, as this project's exporter is, and not grpcio: its server decompresses a message
before it looks at the size, waits for a slow one without end with one of its few threads, and cannot be told which
connection has to make room. Nor hypercorn, which speaks HTTP/2 to ASGI applications: floods of frames are answered
without end there, and no connection makes room for another.

The protocol: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from tracebaton.view.compression import decompress
from tracebaton.view.payload import parse_logs_protobuf, parse_protobuf
from tracebaton.view.refusal import RefusedError

if TYPE_CHECKING:
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    from tracebaton.view.connections import ClientConnection
    from tracebaton.view.exports import Exports, Receive

__all__ = ["export"]

_METHOD = "/opentelemetry.proto.collector.{}.v1.{}Service/Export"
_TRACES = _METHOD.format("trace", "Trace")
_LOGS = _METHOD.format("logs", "Logs")
_METRICS = _METHOD.format("metrics", "Metrics")  # taken and dropped
_PREFIX = 5  # of a message: whether it is compressed, and its length in four bytes


async def export(exports: Exports, connection: ClientConnection, head: dict[str, str], receive: Receive) -> bytes:
    """Answer one call; raises as `Exports.take` does."""
    sentence = exports.access.refusal({"host": head.get(":authority", ""), **head})
    if sentence is not None:
        raise RefusedError(HTTPStatus.FORBIDDEN, sentence)
    path, coding, limit = head[":path"], head.get("grpc-encoding", ""), exports.limits.max_body
    if path not in {_TRACES, _LOGS, _METRICS}:
        raise RefusedError(HTTPStatus.NOT_FOUND, "only the Export methods of OTLP are known")

    def plain(message: bytearray) -> bytes | bytearray:
        compressed, length = bytes(message[:1]), int.from_bytes(message[1:_PREFIX], "big")
        if length > limit:
            raise RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the message is larger than {limit} bytes")
        if len(message) != _PREFIX + length or compressed not in {b"\0", b"\1"}:
            raise ValueError("the call has to have one message")
        del message[:_PREFIX]
        return decompress(message, coding if compressed == b"\1" else "", limit)

    def parse(message: bytearray) -> ExportTraceServiceRequest:
        return parse_protobuf(plain(message))

    def parse_logs(message: bytearray) -> ExportLogsServiceRequest:
        return parse_logs_protobuf(plain(message))

    response = await exports.take(
        connection,
        receive,
        parse if path == _TRACES else None,
        parse_logs=parse_logs if path == _LOGS and exports.takes_logs else None,
    )
    return bytes(response.SerializeToString())
