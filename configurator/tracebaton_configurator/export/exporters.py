"""Builds the exporters that the settings name."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExporter

_OTLP = ("otlp", "otlp_proto_grpc", "otlp_proto_http")
_GROUP = "opentelemetry_{}_exporter"


class Endpoint(Protocol):
    """Where and how: see `settings.endpoint.Endpoint`."""

    @property
    def url(self) -> str: ...
    @property
    def protocol(self) -> str: ...
    @property
    def compression(self) -> str: ...
    @property
    def timeout(self) -> float: ...
    @property
    def headers(self) -> tuple[tuple[str, str], ...]: ...
    @property
    def insecure(self) -> bool: ...


class UnknownExporterError(ValueError):
    """No installed package provides an exporter of that name; `str()` says which names there are."""


def find_span_exporter(name: str, endpoint: Endpoint) -> Callable[[], SpanExporter]:
    """What builds the exporter `name` for spans: `otlp` in the endpoint's protocol, or any installed one.

    Raises UnknownExporterError at once; what it returns may be called later, and imports what it needs then.
    """
    if name not in _OTLP:
        built: Callable[[], SpanExporter] = load(name, "traces")
        return built
    over_http = name == "otlp_proto_http" or (name == "otlp" and endpoint.protocol != "grpc")
    build = _build_http if over_http else _build_grpc
    return lambda: build(endpoint)


def _build_http(endpoint: Endpoint) -> SpanExporter:
    from opentelemetry.exporter.otlp.proto.http import Compression, trace_exporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    # Upstream's function of that name, as its `export` finds it (1.42.0 to 1.45.2); tests notice where it does not.
    setattr(trace_exporter, "encode_spans", _make_encode())  # noqa: B010 (upstream does not declare it)
    return OTLPSpanExporter(
        endpoint=endpoint.url,
        headers=dict(endpoint.headers) or None,
        timeout=endpoint.timeout,
        compression=Compression(endpoint.compression),
    )


def _build_grpc(endpoint: Endpoint) -> SpanExporter:
    from grpc import Compression
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

    exporter = OTLPSpanExporter(
        endpoint=endpoint.url,
        insecure=endpoint.insecure,
        headers=endpoint.headers or None,
        timeout=endpoint.timeout,
        compression=Compression.Gzip if endpoint.compression == "gzip" else Compression.NoCompression,
    )
    # Upstream's method of that name turns spans into the request (1.42.0 to 1.45.2).
    if callable(getattr(exporter, "_translate_data", None)):
        exporter._translate_data = _make_encode()  # type: ignore[method-assign,assignment]  # noqa: SLF001
    return exporter


def _make_encode() -> Callable[[Sequence[ReadableSpan]], Any]:
    """What stands in for upstream's `encode_spans`, and asks that where a span has something unforeseen."""
    from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    from tracebaton_configurator.export.encode import Encoder

    encoder = Encoder()

    def encode(spans: Sequence[ReadableSpan]) -> Any:
        try:
            return ExportTraceServiceRequest.FromString(encoder.encode(spans))
        except Exception:  # noqa: BLE001 (nothing is lost by being encoded the long way)
            return encode_spans(spans)

    return encode


def load(name: str, signal: str) -> Any:
    """The class behind the entry point `name` of `opentelemetry_<signal>_exporter` (UnknownExporterError)."""
    group = _GROUP.format(signal)
    found = entry_points(group=group, name=name)
    if not found:
        known = sorted({point.name for point in entry_points(group=group)} | {"none"})
        raise UnknownExporterError(", ".join(known))
    return next(iter(found)).load()
