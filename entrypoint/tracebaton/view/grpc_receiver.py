"""OTLP over gRPC: the Export methods of the trace, metrics and logs services.

In pure Python over the package h2, as this project's exporter is, and not grpcio: its server decompresses a message
before it looks at the size, waits for a slow one without end with one of its few threads, and cannot be told which
connection has to make room.

The protocol: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
"""

from __future__ import annotations

import socketserver
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from google.rpc import code_pb2
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from tracebaton.view.connections import ConnectionServer
from tracebaton.view.http2 import CallError, Http2Connection
from tracebaton.view.http_body import RefusedError, decompress
from tracebaton.view.intake import BusyError, MalformedError
from tracebaton.view.parts import TooManyPartsError
from tracebaton.view.payload import parse_protobuf

if TYPE_CHECKING:
    import socket

    from tracebaton.view.connections import Connection

__all__ = ["GrpcReceiver"]

_METHOD = "/opentelemetry.proto.collector.{}.v1.{}Service/Export"
_TRACES = _METHOD.format("trace", "Trace")
_DROPPED = frozenset({_METHOD.format("metrics", "Metrics"), _METHOD.format("logs", "Logs")})
_PREFIX = 5  # of a message: whether it is compressed, and its length in four bytes
_CODINGS = ("identity", "gzip", "deflate")

_CODES = {
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: code_pb2.RESOURCE_EXHAUSTED,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: code_pb2.UNIMPLEMENTED,
}


class GrpcReceiver(ConnectionServer):
    def __init__(self, address: tuple[Any, ...], family: socket.AddressFamily, **shared: Any) -> None:
        """Bind and listen; raises OSError. `shared` is as for ConnectionServer."""
        super().__init__(address, family, _Handler, **shared)


class _Handler(socketserver.BaseRequestHandler):
    server: GrpcReceiver

    def handle(self) -> None:
        peer = self.server.connections.of(self.request)
        Http2Connection(
            self.request, peer, self.server.limits, lambda headers: _Call(self.server, peer, headers)
        ).serve()


class _Call:
    """One call; raises CallError where it is refused."""

    def __init__(self, server: GrpcReceiver, peer: Connection, headers: dict[str, str]) -> None:
        sentence = server.access.refusal({"host": headers.get(":authority", ""), **headers})
        if sentence is not None:
            raise CallError(code_pb2.PERMISSION_DENIED, sentence)
        self._drops = headers[":path"] in _DROPPED
        if not self._drops and headers[":path"] != _TRACES:
            raise CallError(code_pb2.UNIMPLEMENTED, "only the Export methods of OTLP are known")
        self._coding = headers.get("grpc-encoding", "identity")
        if self._coding not in _CODINGS:
            raise CallError(code_pb2.UNIMPLEMENTED, f"grpc-encoding {self._coding!r:.80} is not gzip or deflate")
        self._server = server
        self._peer = peer
        self._hold = server.budget.hold(peer.drop)
        self._received = bytearray()
        self.since = time.monotonic()

    def take(self, data: bytes) -> None:
        """Some more of the message."""
        if self._drops:
            return
        try:
            self._hold.add(len(data))
        except BusyError as error:
            raise CallError(code_pb2.UNAVAILABLE, str(error)) from error
        self._received += data
        limit = self._server.limits.max_body
        if len(self._received) > limit + _PREFIX or int.from_bytes(self._received[1:_PREFIX], "big") > limit:
            raise CallError(code_pb2.RESOURCE_EXHAUSTED, f"the message is larger than {limit} bytes")

    def answer(self) -> bytes:
        """What the call returns, once its message is complete."""
        if self._drops:
            return b""  # for every signal that is the response of full success
        self._hold.complete = True
        self._peer.busy = True
        try:
            rejected = self._server.intake.accept(lambda: parse_protobuf(self._message()))
        except MalformedError as error:
            raise CallError(code_pb2.INVALID_ARGUMENT, str(error)) from error
        except BusyError as error:
            raise CallError(code_pb2.UNAVAILABLE, str(error)) from error
        except TooManyPartsError as error:
            raise CallError(code_pb2.RESOURCE_EXHAUSTED, str(error)) from error
        except RefusedError as error:
            raise CallError(_CODES.get(error.status, code_pb2.INVALID_ARGUMENT), str(error)) from error
        finally:
            self._peer.busy = False
        response = ExportTraceServiceResponse()
        if rejected:
            response.partial_success.rejected_spans = rejected
            response.partial_success.error_message = "trace or span ids of invalid length"
        return bytes(response.SerializeToString())

    def end(self) -> None:
        """Hold nothing any longer; again and again, if need be."""
        self._received = bytearray()
        self._hold.close()

    def _message(self) -> bytes | bytearray:
        received, self._received = self._received, bytearray()
        compressed, length = bytes(received[:1]), int.from_bytes(received[1:_PREFIX], "big")
        if len(received) != _PREFIX + length or compressed not in {b"\0", b"\1"}:
            raise ValueError("the call has to have one message")
        del received[:_PREFIX]
        return decompress(received, self._coding if compressed == b"\1" else "", self._server.limits.max_body)
