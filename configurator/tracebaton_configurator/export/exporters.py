"""Builds the exporters that the settings name."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

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
    from opentelemetry.exporter.otlp.proto.http import Compression
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter(
        endpoint=endpoint.url,
        headers=dict(endpoint.headers) or None,
        timeout=endpoint.timeout,
        compression=Compression(endpoint.compression),
    )


def _build_grpc(endpoint: Endpoint) -> SpanExporter:
    from grpc import Compression
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter(
        endpoint=endpoint.url,
        insecure=endpoint.insecure,
        headers=endpoint.headers or None,
        timeout=endpoint.timeout,
        compression=Compression.Gzip if endpoint.compression == "gzip" else Compression.NoCompression,
    )


def load(name: str, signal: str) -> Any:
    """The class behind the entry point `name` of `opentelemetry_<signal>_exporter` (UnknownExporterError)."""
    group = _GROUP.format(signal)
    found = entry_points(group=group, name=name)
    if not found:
        known = sorted({point.name for point in entry_points(group=group)} | {"none"})
        raise UnknownExporterError(", ".join(known))
    return next(iter(found)).load()
