"""Names of this project's own for standard variables that other programs in the same environment need otherwise."""

from __future__ import annotations

from tracebaton_configurator import environment_variables as ours

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
# Each wins where it is set, and is read as the standard one is.
OVERRIDES = {
    "OTEL_TRACES_EXPORTER": ours.OTEL_TRACEBATON_TRACES_EXPORTER,
    "OTEL_METRICS_EXPORTER": ours.OTEL_TRACEBATON_METRICS_EXPORTER,
    "OTEL_LOGS_EXPORTER": ours.OTEL_TRACEBATON_LOGS_EXPORTER,
    ENDPOINT: ours.OTEL_TRACEBATON_ENDPOINT,
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": ours.OTEL_TRACEBATON_ENDPOINT,
    "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": ours.OTEL_TRACEBATON_ENDPOINT,
    "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": ours.OTEL_TRACEBATON_ENDPOINT,
    "OTEL_SERVICE_NAME": ours.OTEL_TRACEBATON_SERVICE_NAME,
}
