"""Metrics and logs over OTLP, for those who ask for them with the standard variables; by default neither is started."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tracebaton_configurator.export.exporters import load

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from opentelemetry.sdk.resources import Resource


def start_metrics(names: Sequence[str], protocol: str, resource: Resource) -> Callable[[], object]:
    """Set the global meter provider up; returns its shutdown (UnknownExporterError)."""
    from opentelemetry.metrics import set_meter_provider
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader

    made = [load(_in_protocol(name, protocol), "metrics")() for name in names]
    # An exporter such as prometheus is a reader itself.
    readers = [one if isinstance(one, MetricReader) else PeriodicExportingMetricReader(one) for one in made]
    provider = MeterProvider(metric_readers=readers, resource=resource, shutdown_on_exit=False)
    set_meter_provider(provider)
    return provider.shutdown


def start_logs(names: Sequence[str], protocol: str, resource: Resource) -> Callable[[], object]:
    """Set the global logger provider up; returns its shutdown (UnknownExporterError)."""
    from opentelemetry._logs import set_logger_provider
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk._logs.export import BatchLogRecordProcessor

    from tracebaton_configurator.logs import export_handler

    provider = LoggerProvider(resource=resource, shutdown_on_exit=False)
    for name in names:
        provider.add_log_record_processor(BatchLogRecordProcessor(load(_in_protocol(name, protocol), "logs")()))
    set_logger_provider(provider)
    export_handler.install(provider)
    return provider.shutdown


def _in_protocol(name: str, protocol: str) -> str:
    """Upstream registers `otlp` as the gRPC exporter; the protocol that was settled on decides here."""
    if name != "otlp":
        return name
    return "otlp_proto_grpc" if protocol == "grpc" else "otlp_proto_http"
