"""Why a variable that is known and set changes nothing here."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from re import compile as regex
from typing import TYPE_CHECKING

from tracebaton_configurator import environment_variables as ours

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tracebaton_configurator.settings import Settings

__all__ = ["harm", "no_effect", "overridden"]

_FOR_ALL = regex(r"OTEL_EXPORTER_OTLP_([A-Z]+(?:_[A-Z]+)?)")
_OTLP_OF_TRACES = regex(r"OTEL_EXPORTER_OTLP_(?!METRICS_|LOGS_).*")
_OF_METRICS = regex(r"OTEL_METRICS?_(?!EXPORTER$).*|OTEL_EXPORTER_(?:OTLP_METRICS|PROMETHEUS)_.*|OTEL_PYTHON_METER_.*")
_OF_LOGS = regex(r"OTEL_BLRP_.*|OTEL_LOGRECORD_.*|OTEL_EXPORTER_OTLP_LOGS_.*|OTEL_PYTHON_LOGGER_.*")
_OF_LOGGING = ("OTEL_PYTHON_LOG_CORRELATION", "OTEL_PYTHON_LOG_FORMAT", "OTEL_PYTHON_LOG_LEVEL")
_OTLP = ("otlp", "otlp_proto_grpc", "otlp_proto_http")
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


def overridden(name: str, environ: Mapping[str, str]) -> str:
    """Which other variable wins for traces; empty where none does."""
    match = _FOR_ALL.fullmatch(name)
    if match and not match[1].startswith(("TRACES_", "METRICS_", "LOGS_")):
        specific = f"OTEL_EXPORTER_OTLP_TRACES_{match[1]}"
        if environ.get(specific, "").strip():
            return f"{specific} overrides it for traces" + _also_others(environ)
    if name == "OTEL_RESOURCE_ATTRIBUTES" and environ.get("OTEL_SERVICE_NAME", "").strip():
        keys = [pair.partition("=")[0].strip() for pair in environ[name].split(",") if pair.strip()]
        if keys == ["service.name"]:
            return "OTEL_SERVICE_NAME overrides the service.name in it"
    return ""


def no_effect(name: str, environ: Mapping[str, str], here: Settings) -> str:
    """The reason; empty where it has an effect."""
    if here.disabled and name not in _HOLD_WHEN_DISABLED:
        return "OTEL_SDK_DISABLED=true switches everything off"
    if name in _NEVER:
        return _NEVER[name]
    if name.endswith("_CREDENTIAL_PROVIDER"):
        return "tracebaton delivers itself; OTEL_EXPORTER_OTLP_HEADERS can carry a token"
    special = _SPECIAL.get(name.replace("OTLP_TRACES_", "OTLP_"))
    reason = special(environ, here) if special is not None else ""
    if reason:
        return reason
    if _OF_METRICS.fullmatch(name) and not here.metrics_exporters:
        return "no metrics are exported: OTEL_METRICS_EXPORTER is none, the default here"
    if _OF_LOGS.fullmatch(name) and not here.logs_exporters:
        return "no log records are exported: OTEL_LOGS_EXPORTER is none, the default here"
    if _OTLP_OF_TRACES.fullmatch(name) and not _exports_over_otlp(here):
        return "nothing is exported over OTLP: see OTEL_TRACES_EXPORTER"
    if name in _OF_LOGGING and not _is_installed("opentelemetry-instrumentation-logging"):
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


def _insecure(_: Mapping[str, str], here: Settings) -> str:
    if any(one.variable.endswith("_ENDPOINT") for one in here.problems):
        return ""
    return f"the scheme of the endpoint decides, {'http' if here.endpoint.insecure else 'https'}://"


def _insecure_with_scheme(environ: Mapping[str, str], here: Settings) -> str:
    names = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
    given = next((value for name in names if (value := environ.get(name, "").strip())), "")
    return "" if given and "://" not in given else _insecure(environ, here)


def _certificate(_: Mapping[str, str], here: Settings) -> str:
    return "the endpoint is plaintext, http://" if here.endpoint.insecure else ""


def _keep(_: Mapping[str, str], here: Settings) -> str:
    full = here.sampler.lower() == "always_on"
    return "the sampler always_on records every request anyway" if full else ""


_SPECIAL: dict[str, Callable[[Mapping[str, str], Settings], str]] = {
    "OTEL_EXPORTER_OTLP_INSECURE": _insecure_with_scheme,
    "OTEL_EXPORTER_OTLP_CERTIFICATE": _certificate,
    "OTEL_EXPORTER_OTLP_CLIENT_KEY": _certificate,
    "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": _certificate,
    ours.OTEL_TRACEBATON_KEEP_ERRORS: _keep,
    ours.OTEL_TRACEBATON_KEEP_SLOWER_THAN: _keep,
}


def _also_others(environ: Mapping[str, str]) -> str:
    signals = [
        one for one in ("METRICS", "LOGS") if environ.get(f"OTEL_{one}_EXPORTER", "none").strip() not in ("", "none")
    ]
    return f"; for {' and '.join(signals).lower()} it holds" if signals else ""


def _exports_over_otlp(here: Settings) -> bool:
    return any(name in _OTLP for name in (*here.traces_exporters, *here.metrics_exporters, *here.logs_exporters))


def _is_installed(package: str) -> bool:
    try:
        return bool(version(package))
    except PackageNotFoundError:
        return False
