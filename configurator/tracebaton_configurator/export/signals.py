"""Metrics and logs over OTLP, for those who ask for them with the standard variables; by default neither is started."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tracebaton_configurator.export.exporters import load
from tracebaton_configurator.names import is_otlp

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from opentelemetry.sdk.resources import Resource

    from tracebaton_configurator.settings.endpoint import Endpoint


def start_metrics(names: Sequence[str], endpoint: Endpoint, resource: Resource) -> Callable[[], object]:
    """Set the global meter provider up; returns its shutdown (UnknownExporterError)."""
    from opentelemetry.metrics import set_meter_provider
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader

    made = [_exporter(name, "metrics", endpoint) for name in names]
    # An exporter such as prometheus is a reader itself.
    readers = [one if isinstance(one, MetricReader) else PeriodicExportingMetricReader(one) for one in made]
    provider = MeterProvider(metric_readers=readers, resource=resource, shutdown_on_exit=False)
    set_meter_provider(provider)
    return provider.shutdown


def start_logs(names: Sequence[str], endpoint: Endpoint, resource: Resource) -> Callable[[], object]:
    """Set the global logger provider up; returns its shutdown (UnknownExporterError)."""
    from opentelemetry._logs import set_logger_provider
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk._logs.export import BatchLogRecordProcessor

    from tracebaton_configurator.logs import export_handler

    provider = LoggerProvider(resource=resource, shutdown_on_exit=False)
    for name in names:
        provider.add_log_record_processor(BatchLogRecordProcessor(_exporter(name, "logs", endpoint)))
    set_logger_provider(provider)
    export_handler.install(provider)
    return provider.shutdown


def _exporter(name: str, signal: str, endpoint: Endpoint) -> Any:
    """Upstream registers `otlp` as the gRPC exporter; the protocol that was settled on decides here.

    It reads from the environment where to send, which is left as it is for other programs: so an endpoint that
    overrides what is there is handed over (UnknownExporterError).
    """
    if name == "otlp":
        name = "otlp_proto_grpc" if endpoint.protocol == "grpc" else "otlp_proto_http"
    make = load(name, signal)
    if not endpoint.overrides or not is_otlp(name):
        return make()
    if name == "otlp_proto_grpc":
        return make(endpoint=endpoint.url, insecure=endpoint.insecure)
    parts = urlsplit(endpoint.url)
    base = parts.path.removesuffix("/v1/traces").rstrip("/")
    return make(endpoint=parts._replace(path=f"{base}/v1/{signal}").geturl())
