"""Why a variable that is known and set changes nothing here, or does what nobody sets it for."""

from __future__ import annotations

from re import compile as regex
from typing import TYPE_CHECKING

from tracebaton.doctor.finding import installed
from tracebaton_configurator import environment_variables as ours
from tracebaton_configurator.export.exporters import is_otlp

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tracebaton_configurator.settings import Settings

__all__ = ["harm", "no_effect"]

_OTLP = "OTEL_EXPORTER_OTLP_"
_OTLP_OF_TRACES = regex(rf"{_OTLP}(?!METRICS_|LOGS_).*")
_OF_METRICS = regex(
    rf"OTEL_METRICS?_(?!EXPORTER$).*|{_OTLP}METRICS_.*|OTEL_EXPORTER_PROMETHEUS_.*|OTEL_PYTHON_METER_.*"
)
_OF_LOGS = regex(rf"OTEL_BLRP_.*|OTEL_LOGRECORD_.*|{_OTLP}LOGS_.*|OTEL_PYTHON_LOGGER_.*")
_OF_LOGGING = ("OTEL_PYTHON_LOG_CORRELATION", "OTEL_PYTHON_LOG_FORMAT", "OTEL_PYTHON_LOG_LEVEL")
_OF_TLS = regex(rf"{_OTLP}(?:TRACES_)?(?:CERTIFICATE|CLIENT_KEY|CLIENT_CERTIFICATE)")
# They decide who reads all others, or hold without tracing.
_HOLD_WHEN_DISABLED = ("OTEL_SDK_DISABLED", "OTEL_PYTHON_DISTRO", "OTEL_PYTHON_CONFIGURATOR", "OTEL_TRACEBATON_STRICT")

_NEVER = {
    "OTEL_LOG_LEVEL": "OpenTelemetry for Python does not read it",
    "OTEL_CONFIG_FILE": "declarative configuration is not read here; the variables are",
    "OTEL_BSP_EXPORT_TIMEOUT": "OTEL_EXPORTER_OTLP_TIMEOUT, in seconds, bounds an export",
    "OTEL_PYTHON_TRACER_PROVIDER": "tracebaton makes the provider",
    "OTEL_PYTHON_TRACER_CONFIGURATOR": "tracebaton makes the provider",
    "OTEL_PYTHON_LOGGING_AUTO_INSTRUMENTATION_ENABLED": "tracebaton writes the ids into the log; "
    "OTEL_LOGS_EXPORTER exports records",
    "OTEL_EXPORTER_ZIPKIN_ENDPOINT": "there is no Zipkin exporter here; a Collector can send to Zipkin",
    "OTEL_EXPORTER_ZIPKIN_TIMEOUT": "there is no Zipkin exporter here; a Collector can send to Zipkin",
    "OTEL_PYTHON_EXPORTER_OTLP_GRPC_RETRYABLE_ERROR_CODES": "tracebaton delivers itself, by the rules of OTLP",
}


def no_effect(name: str, environ: Mapping[str, str], here: Settings) -> str:
    """The reason; empty where it has an effect."""
    if here.disabled and name not in _HOLD_WHEN_DISABLED:
        return "OTEL_SDK_DISABLED=true switches everything off"
    if name in _NEVER:
        return _NEVER[name]
    if name.endswith("_CREDENTIAL_PROVIDER"):
        return "tracebaton delivers itself; OTEL_EXPORTER_OTLP_HEADERS can carry a token"
    specific = name.replace(_OTLP, f"{_OTLP}TRACES_")
    if specific != name and environ.get(specific, "").strip() and not (here.metrics_exporters or here.logs_exporters):
        return f"{specific} overrides it for traces"
    attributes = {pair.partition("=")[0].strip() for pair in environ[name].split(",")}
    named = environ.get("OTEL_SERVICE_NAME", "").strip()
    if name == "OTEL_RESOURCE_ATTRIBUTES" and named and attributes == {"service.name"}:
        return "OTEL_SERVICE_NAME overrides the service.name in it"
    if name in (f"{_OTLP}INSECURE", f"{_OTLP}TRACES_INSECURE") and _has_scheme(environ):
        return f"the scheme of the endpoint decides, {'http' if here.endpoint.insecure else 'https'}://"
    if _OF_TLS.fullmatch(name) and here.endpoint.insecure:
        return "the endpoint is plaintext, http://"
    keeps = (ours.OTEL_TRACEBATON_KEEP_ERRORS, ours.OTEL_TRACEBATON_KEEP_SLOWER_THAN)
    if name in keeps and here.sampler.lower() == "always_on":
        return "the sampler always_on records every request anyway"
    if _OF_METRICS.fullmatch(name) and not here.metrics_exporters:
        return "no metrics are exported: OTEL_METRICS_EXPORTER is none, the default here"
    if _OF_LOGS.fullmatch(name) and not here.logs_exporters:
        return "no log records are exported: OTEL_LOGS_EXPORTER is none, the default here"
    exporters = (*here.traces_exporters, *here.metrics_exporters, *here.logs_exporters)
    if _OTLP_OF_TRACES.fullmatch(name) and not any(map(is_otlp, exporters)):
        return "nothing is exported over OTLP: see OTEL_TRACES_EXPORTER"
    if name in _OF_LOGGING and not installed("opentelemetry-instrumentation-logging"):
        return "it belongs to opentelemetry-instrumentation-logging, which is not installed; tracebaton writes the ids"
    return ""


def harm(name: str, value: str) -> str:
    """What a variable does that nobody sets it for; empty for all others."""
    if name == "OTEL_PYTHON_LOG_CORRELATION" and value.strip().lower() == "true":
        return (
            "the logging instrumentation calls logging.basicConfig before the application does, so the application's "
            "own set-up of its log may change nothing; tracebaton writes the ids without it"
        )
    return ""


def _has_scheme(environ: Mapping[str, str]) -> bool:
    """Whether the endpoint for traces is given with one, or is the default."""
    given = environ.get(f"{_OTLP}TRACES_ENDPOINT", "").strip() or environ.get(f"{_OTLP}ENDPOINT", "").strip()
    return not given or "://" in given
