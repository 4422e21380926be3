"""The `OTEL_*` variables that there are, each with a few words, for whoever explains an environment.

https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
https://opentelemetry.io/docs/specs/otel/protocol/exporter/
"""

from __future__ import annotations

from re import compile as regex

_OTLP = {
    "ENDPOINT": "where to send to",
    "PROTOCOL": "grpc or http/protobuf",
    "HEADERS": "headers of every export",
    "TIMEOUT": "seconds that one export may take",
    "COMPRESSION": "gzip, deflate or none",
    "INSECURE": "plaintext, where the endpoint has no scheme",
    "CERTIFICATE": "the certificates to trust",
    "CLIENT_KEY": "the key of the client's certificate",
    "CLIENT_CERTIFICATE": "the client's certificate",
}
_SIGNALS = {"": "all signals", "TRACES_": "traces", "METRICS_": "metrics", "LOGS_": "logs"}

STANDARD: dict[str, str] = {
    "OTEL_SDK_DISABLED": "true: no tracing at all",
    "OTEL_SERVICE_NAME": "the name of this service",
    "OTEL_RESOURCE_ATTRIBUTES": "what else is known about this process: key=value,key=value",
    "OTEL_PROPAGATORS": "which headers carry the trace from service to service",
    "OTEL_TRACES_EXPORTER": "which exporters get spans",
    "OTEL_METRICS_EXPORTER": "which exporters get metrics",
    "OTEL_LOGS_EXPORTER": "which exporters get log records",
    "OTEL_TRACES_SAMPLER": "who decides what is recorded",
    "OTEL_TRACES_SAMPLER_ARG": "the rules, or the ratio, of the sampler",
    "OTEL_BSP_SCHEDULE_DELAY": "milliseconds between two exports",
    "OTEL_BSP_EXPORT_TIMEOUT": "milliseconds that an export may take",
    "OTEL_BSP_MAX_QUEUE_SIZE": "how many spans may wait",
    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "how many spans are sent at once",
    "OTEL_BLRP_SCHEDULE_DELAY": "milliseconds between two exports of log records",
    "OTEL_BLRP_EXPORT_TIMEOUT": "milliseconds that an export of log records may take",
    "OTEL_BLRP_MAX_QUEUE_SIZE": "how many log records may wait",
    "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE": "how many log records are sent at once",
    "OTEL_ATTRIBUTE_COUNT_LIMIT": "how many attributes anything may have",
    "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT": "how long the value of an attribute may be",
    "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "how many attributes a span may have",
    "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT": "how long the value of a span's attribute may be",
    "OTEL_SPAN_EVENT_COUNT_LIMIT": "how many events a span may have",
    "OTEL_SPAN_LINK_COUNT_LIMIT": "how many links a span may have",
    "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT": "how many attributes an event may have",
    "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT": "how many attributes a link may have",
    "OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT": "how many attributes a log record may have",
    "OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT": "how long the value of a log record's attribute may be",
    "OTEL_METRIC_EXPORT_INTERVAL": "milliseconds between two exports of metrics",
    "OTEL_METRIC_EXPORT_TIMEOUT": "milliseconds that an export of metrics may take",
    "OTEL_METRICS_EXEMPLAR_FILTER": "which measurements become exemplars",
    "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": "cumulative or delta metrics",
    "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION": "how histograms are aggregated",
    "OTEL_EXPORTER_PROMETHEUS_HOST": "where the Prometheus exporter listens",
    "OTEL_EXPORTER_PROMETHEUS_PORT": "where the Prometheus exporter listens",
    "OTEL_EXPORTER_ZIPKIN_ENDPOINT": "where the Zipkin exporter sends to",
    "OTEL_EXPORTER_ZIPKIN_TIMEOUT": "milliseconds that an export to Zipkin may take",
    "OTEL_LOG_LEVEL": "the level of the SDK's own log",
    "OTEL_CONFIG_FILE": "a declarative configuration in YAML",
    "OTEL_SEMCONV_STABILITY_OPT_IN": "which names attributes get: http, http/dup, database, database/dup",
    "OTEL_EXPERIMENTAL_RESOURCE_DETECTORS": "who is asked about this process",
    "OTEL_PYTHON_DISTRO": "the distro that the launcher takes",
    "OTEL_PYTHON_CONFIGURATOR": "the configurator that the launcher takes",
    "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "instrumentations that are not loaded",
    "OTEL_PYTHON_ID_GENERATOR": "who makes trace and span ids",
    "OTEL_PYTHON_CONTEXT": "how the context is kept",
    "OTEL_PYTHON_EXCLUDED_URLS": "URLs that the instrumentations leave out",
    "OTEL_PYTHON_LOG_CORRELATION": "ids in the log, by opentelemetry-instrumentation-logging",
    "OTEL_PYTHON_LOG_FORMAT": "the log format of opentelemetry-instrumentation-logging",
    "OTEL_PYTHON_LOG_LEVEL": "the log level of opentelemetry-instrumentation-logging",
    "OTEL_PYTHON_LOGGING_AUTO_INSTRUMENTATION_ENABLED": "log records become OpenTelemetry's",
    "OTEL_PYTHON_TRACER_PROVIDER": "which class provides tracers",
    "OTEL_PYTHON_METER_PROVIDER": "which class provides meters",
    "OTEL_PYTHON_LOGGER_PROVIDER": "which class provides loggers",
    "OTEL_PYTHON_AUTO_INSTRUMENTATION_EXPERIMENTAL_GEVENT_PATCH": "patch_all: gevent patches before anything else",
    **{
        f"OTEL_EXPORTER_OTLP_{prefix}{name}": f"{words}, for {signal}"
        for name, words in _OTLP.items()
        for prefix, signal in _SIGNALS.items()
    },
}

# What single instrumentations read: opentelemetry/util/http and opentelemetry/instrumentation, 0.63b0 to 0.66b2.
_OF_INSTRUMENTATIONS = regex(
    r"OTEL_INSTRUMENTATION_[A-Z0-9_]+|OTEL_PYTHON_[A-Z0-9_]+_(?:EXCLUDED_URLS|TRACED_REQUEST_ATTRS)"
    r"|OTEL_PYTHON_(?:INSTRUMENTATION|DJANGO|SQLCOMMENTER)_[A-Z0-9_]+"
)


def is_of_instrumentation(variable: str) -> bool:
    """Whether the name has a form that only an instrumentation knows the meaning of."""
    return _OF_INSTRUMENTATIONS.fullmatch(variable) is not None
