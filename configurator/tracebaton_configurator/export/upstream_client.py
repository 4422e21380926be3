"""OTLP over gRPC by upstream's exporter, for what the own client does not speak: targets such as `unix:` and `dns:`.

Its `export` says only whether it worked, and tries again by itself until its timeout is over: the queue would not know
what was refused, split or to be waited for, and the end of a process would wait. So it is asked for its channel alone.

Checked with opentelemetry-exporter-otlp-proto-grpc 1.42.0 to 1.45.2 (`OTLPExporterMixin._channel`). A call that blocks
needs no thread of Python's, so neither gevent nor the end of the interpreter is in its way, and a forked child makes a
channel of its own.
"""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import grpc
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

from tracebaton_configurator.export.address import Address
from tracebaton_configurator.export.export_result import ExportResult, no_answer, of_grpc
from tracebaton_configurator.export.grpc_client import METHOD

if TYPE_CHECKING:
    from collections.abc import Callable

    from tracebaton_configurator.settings.endpoint import Endpoint

# What is open. In a forked child it stays in here: to close it, or to collect it, could wait for a thread of gRPC's
# that the child does not have.
_open: set[OTLPSpanExporter] = set()


class UpstreamClient:
    """Sends batches, one at a time, over a channel that stays open between them."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._hide = Address(endpoint, 4317).hide
        self._exporter: OTLPSpanExporter | None = None
        self._call: Any = None

    def send(self, payload: bytes, deadline: Callable[[], float]) -> ExportResult:
        """Send one ExportTraceServiceRequest; `deadline` says how many seconds are left. Does not raise."""
        try:
            if self._exporter is None:
                self._connect()
            answer, _ = self._call.with_call(payload, timeout=max(0.0, deadline()), metadata=self._endpoint.headers)
        except grpc.RpcError as error:
            # A channel that has found nobody does not look again for a while, which grows to two minutes.
            self.close()
            return self._failure(error)
        except Exception as error:  # noqa: BLE001 (gRPC quotes a header that it refuses, with its secret value)
            self.close()
            return no_answer(f"{type(error).__name__}: {error}", self._hide)
        return of_grpc("200", {"grpc-status": "0"}, bytes(5) + answer, self._hide)

    def close(self) -> None:
        exporter, self._exporter = self._exporter, None
        if exporter is not None:
            exporter.shutdown()
            _open.discard(exporter)

    def _connect(self) -> None:
        gzip = self._endpoint.compression == "gzip"
        self._exporter = OTLPSpanExporter(
            self._endpoint.url,
            insecure=self._endpoint.insecure,
            timeout=self._endpoint.timeout,
            compression=grpc.Compression.Gzip if gzip else grpc.Compression.NoCompression,
        )
        _open.add(self._exporter)
        channel: Any = self._exporter._channel  # noqa: SLF001 (see above)
        self._call = channel.unary_unary(METHOD)  # without serializers: the spans are bytes already

    def _failure(self, error: Any) -> ExportResult:
        headers = {"grpc-status": str(error.code().value[0]), "grpc-message": quote(error.details() or "")}
        for name, value in error.trailing_metadata() or ():
            if name == "grpc-status-details-bin":
                headers[name] = b64encode(value).decode()
        return of_grpc("200", headers, b"", self._hide)
