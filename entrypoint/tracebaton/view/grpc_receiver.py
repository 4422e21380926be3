"""OTLP over gRPC: the Export methods of the trace, metrics and logs services."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import grpc
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

from tracebaton.view.intake import BusyError, Intake, MalformedError
from tracebaton.view.payload import parse_protobuf

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["GrpcReceiver"]


class GrpcReceiver:
    def __init__(self, address: str, intake: Intake, *, max_message: int = 64 * 1024 * 1024, threads: int = 8) -> None:
        """Bind `address` ('HOST:PORT', '[IPv6]:PORT'); raises OSError.

        `max_message`: bytes, before and after decompression; gRPC answers a larger one with RESOURCE_EXHAUSTED.
        """
        self._intake = intake
        self._server = grpc.server(
            ThreadPoolExecutor(threads, thread_name_prefix="otlp-grpc"),
            options=[
                ("grpc.max_receive_message_length", max_message),
                # gRPC's default lets a second server share the port and get half of the calls.
                ("grpc.so_reuseport", 0),
            ],
            # What waits for a thread is bounded too; far beyond what services on one machine have in flight.
            maximum_concurrent_rpcs=1000,
        )
        self._server.add_generic_rpc_handlers(
            (
                _export_handler(trace_service_pb2.DESCRIPTOR, "TraceService", self._export_traces),
                _export_handler(metrics_service_pb2.DESCRIPTOR, "MetricsService", _drop),
                _export_handler(logs_service_pb2.DESCRIPTOR, "LogsService", _drop),
            )
        )
        try:
            self.port = int(self._server.add_insecure_port(address))
        except RuntimeError as error:
            raise OSError(str(error)) from error
        if not self.port:  # how grpcio before 1.60 says the same
            raise OSError(f"gRPC could not bind {address}")

    def start(self) -> None:
        self._server.start()

    def stop(self, grace: float) -> None:
        """Refuse new calls, and give those in flight `grace` seconds."""
        self._server.stop(grace).wait(grace + 1)

    def _export_traces(self, body: bytes, context: Any) -> bytes:
        response = trace_service_pb2.ExportTraceServiceResponse()
        try:
            rejected = self._intake.accept(lambda: parse_protobuf(body))
        except MalformedError as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        except BusyError as error:
            context.abort(grpc.StatusCode.UNAVAILABLE, str(error))
        else:
            if rejected:
                response.partial_success.rejected_spans = rejected
                response.partial_success.error_message = "trace or span ids of invalid length"
        return response.SerializeToString()


def _drop(_body: bytes, _context: Any) -> bytes:
    """Answer with an empty message: for every signal that is the response of full success."""
    return b""


def _export_handler(descriptor: Any, service: str, export: Callable[[bytes, Any], bytes]) -> Any:
    # The generated add_...Servicer_to_server would parse before our code runs, and gRPC answers bytes that do not
    # parse with INTERNAL, where OTLP wants INVALID_ARGUMENT. Without a deserializer the handler gets the bytes.
    return grpc.method_handlers_generic_handler(
        descriptor.services_by_name[service].full_name,
        {"Export": grpc.unary_unary_rpc_method_handler(export)},
    )
