"""Builds the exporters that the settings name."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter

_OTLP = ("otlp", "otlp_proto_grpc", "otlp_proto_http")
_GROUP = "opentelemetry_{}_exporter"


class UnknownExporterError(ValueError):
    """No installed package provides an exporter of that name; `str()` says which names there are."""


def build_span_exporter(name: str, url: str, protocol: str, *, insecure: bool) -> SpanExporter:
    """The exporter `name` for spans: `otlp` in the protocol that was settled on, or any installed one."""
    if name not in _OTLP:
        exporter: SpanExporter = load(name, "traces")()
        return exporter
    if (name == "otlp" and protocol != "grpc") or name == "otlp_proto_http":
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter

        return HttpExporter(endpoint=url)
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter

    return GrpcExporter(endpoint=url, insecure=insecure)


def load(name: str, signal: str) -> Any:
    """The class behind the entry point `name` of `opentelemetry_<signal>_exporter` (UnknownExporterError)."""
    group = _GROUP.format(signal)
    found = entry_points(group=group, name=name)
    if not found:
        known = sorted({point.name for point in entry_points(group=group)} | {"none"})
        raise UnknownExporterError(", ".join(known))
    return next(iter(found)).load()
