"""Each `OTEL_*` variable that is set: known, unknown, overridden, without effect, or wrong."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from tracebaton.doctor.finding import Finding, error, installed, names_in, nearest, ok, warning
from tracebaton.doctor.secrets import shown
from tracebaton_configurator import environment_variables as ours
from tracebaton_configurator.names import is_otlp
from tracebaton_configurator.settings import Problem
from tracebaton_configurator.settings.known import is_of_instrumentation, known_variables
from tracebaton_configurator.settings.overrides import OVERRIDES

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from tracebaton.doctor.situation import Situation
    from tracebaton_configurator.settings import Settings

# What somebody meant for OpenTelemetry or for us, and nobody reads.
_MEANT = re.compile(r"(?i)(?:OTEL|OTLP|OTEl|OPENTELEMETRY|OPEN_TELEMETRY|TRACEBATON)[_-].*|O(?:TLE|LTE|ETL|TE)L?_.*")
_OTLP = "OTEL_EXPORTER_OTLP_"
_OTLP_OF_TRACES = re.compile(rf"{_OTLP}(?!METRICS_|LOGS_).*")
_OF_METRICS = re.compile(
    rf"OTEL_METRICS?_(?!EXPORTER$).*|{_OTLP}METRICS_.*|OTEL_EXPORTER_PROMETHEUS_.*|OTEL_PYTHON_METER_.*"
)
_OF_LOGS = re.compile(rf"OTEL_BLRP_.*|OTEL_LOGRECORD_.*|{_OTLP}LOGS_.*|OTEL_PYTHON_LOGGER_.*")
_OF_LOGGING = ("OTEL_PYTHON_LOG_CORRELATION", "OTEL_PYTHON_LOG_FORMAT", "OTEL_PYTHON_LOG_LEVEL")
_OF_TLS = re.compile(rf"{_OTLP}(?:TRACES_)?(?:CERTIFICATE|CLIENT_KEY|CLIENT_CERTIFICATE)")
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


def check(situation: Situation) -> Iterator[Finding]:
    environ, here = situation.environ, situation.settings
    known = known_variables()
    names = sorted(name for name in environ if _MEANT.fullmatch(name))
    if not names:
        yield ok("no OTEL_* variable is set: the defaults hold")
    problems = [*here.problems, *_unprovided(here)]
    for problem in problems:
        yield error(str(_with_hint(problem)), f"correct {problem.variable}, or unset it")
    for variable, sentence in here.notes:
        if variable in known:  # of the others more is said below
            seconds = dict(here.changes).get(variable)
            yield warning(sentence, f"write seconds: {variable}={seconds}" if seconds else "")
    wrong = {problem.variable for problem in problems}
    for name in names:
        if name in wrong:
            continue
        if name not in known and not is_of_instrumentation(name):
            yield _unknown(name, known)
        elif not environ[name].strip():
            yield ok(f"{name} is empty, which is as good as unset")
        elif OVERRIDES.get(name) in here.given and not here.disabled:
            yield ok(f"{shown(name, environ[name])} is for other programs: {OVERRIDES[name]} decides here")
        elif reason := _no_effect(name, environ, here):
            yield warning(f"{shown(name, environ[name])} has no effect: {reason}", f"unset {name}")
        elif reason := _harm(name, environ[name]):
            yield warning(f"{shown(name, environ[name])}: {reason}", f"unset {name}")
        else:
            yield ok(shown(name, environ[name]))


def _unprovided(here: Settings) -> Iterator[Problem]:
    """Names that are looked up among the installed packages only when tracing begins."""
    for variable, group, names, besides, effect in (
        (here.deciding("OTEL_TRACES_EXPORTER"), "traces_exporter", here.traces_exporters, "none", "it is left out"),
        (here.deciding("OTEL_METRICS_EXPORTER"), "metrics_exporter", here.metrics_exporters, "none", "it is left out"),
        (here.deciding("OTEL_LOGS_EXPORTER"), "logs_exporter", here.logs_exporters, "none", "it is left out"),
        ("OTEL_PYTHON_ID_GENERATOR", "id_generator", (here.id_generator,), "random", "using random"),
        (
            *("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "instrumentor", sorted(here.disabled_instrumentations), "*"),
            "nothing of that name is loaded anyway",
        ),
    ):
        known = {*names_in(f"opentelemetry_{group}"), besides}
        for name in names:
            if name not in known and not (group == "traces_exporter" and is_otlp(name)):
                yield Problem(variable, name, "is unknown", ", ".join(sorted(known)), effect)


def _with_hint(problem: Problem) -> Problem:
    """With the nearest of the names that are accepted, where one of those given is none of them."""
    accepted = re.split(", | or ", problem.accepted)
    given = (name.strip() for name in problem.value.split(","))
    hints = (nearest(name, accepted) for name in given if name and name not in accepted)
    return replace(problem, reason=problem.reason + next(filter(None, hints), ""))


# Names that people make up, or bring from elsewhere, for what has another one.
_WRONG_NAMES = {
    **dict.fromkeys(
        ("OTEL_COLLECTOR_ENDPOINT", "OTEL_COLLECTOR_URL", "OTEL_COLLECTOR_HOST", "OTEL_EXPORTER_ENDPOINT", "OTEL_URL"),
        "OTEL_EXPORTER_OTLP_ENDPOINT",
    ),
    **dict.fromkeys(("OTEL_SERVICE", "OTEL_APP_NAME", "OTEL_SERVICENAME"), "OTEL_SERVICE_NAME"),
    **dict.fromkeys(("OTEL_ENVIRONMENT", "OTEL_ENV", "OTEL_SERVICE_VERSION"), "OTEL_RESOURCE_ATTRIBUTES"),
    **dict.fromkeys(
        ("OTEL_SAMPLE_RATE", "OTEL_SAMPLING_RATE", "OTEL_TRACES_SAMPLE_RATE", "OTEL_SAMPLER_RATIO"),
        "OTEL_TRACES_SAMPLER_ARG",
    ),
    **dict.fromkeys(("OTEL_ENABLED", "OTEL_DISABLED", "OTEL_TRACING_ENABLED", "OTEL_SDK_ENABLED"), "OTEL_SDK_DISABLED"),
}


def _unknown(name: str, known: Collection[str]) -> Finding:
    """Its value is not printed: who knows what it is."""
    stem = re.sub(r"(?i)^(?:OTEL|OTLP|OPENTELEMETRY|OPEN_TELEMETRY)[_-]", "", name.upper().replace("-", "_"))
    candidates = [f"OTEL_{stem}", f"OTEL_EXPORTER_OTLP_{stem}", f"OTEL_PYTHON_{stem}"]
    exact = _WRONG_NAMES.get(name) or next((one for one in candidates if one in known and one != name), None)
    hint = f" (did you mean {exact}?)" if exact else nearest(name, known)
    return warning(f"{name} is unknown{hint}: nothing reads it", "correct the name, or remove it")


def _no_effect(name: str, environ: Mapping[str, str], here: Settings) -> str:
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
    service_name = here.deciding("OTEL_SERVICE_NAME")
    if name == "OTEL_RESOURCE_ATTRIBUTES" and environ.get(service_name, "").strip() and attributes == {"service.name"}:
        return f"{service_name} overrides the service.name in it"
    if name in (f"{_OTLP}INSECURE", f"{_OTLP}TRACES_INSECURE") and _has_scheme(environ):
        return f"the scheme of the endpoint decides, {'http' if here.endpoint.insecure else 'https'}://"
    if _OF_TLS.fullmatch(name) and here.endpoint.insecure:
        return "the endpoint is plaintext, http://"
    if name == ours.OTEL_TRACEBATON_KEEP and not here.keep_errors and here.keep_slower_than is None:
        return f"nothing is kept: {ours.OTEL_TRACEBATON_KEEP_ERRORS} is false"
    keeps = (ours.OTEL_TRACEBATON_KEEP, ours.OTEL_TRACEBATON_KEEP_ERRORS, ours.OTEL_TRACEBATON_KEEP_SLOWER_THAN)
    if name in keeps and here.sampler.lower() == "always_on":
        return "the sampler always_on records every request anyway"
    if _OF_METRICS.fullmatch(name) and not here.metrics_exporters:
        return f"no metrics are exported: {here.deciding('OTEL_METRICS_EXPORTER')} is none, the default here"
    if _OF_LOGS.fullmatch(name) and not here.logs_exporters:
        return f"no log records are exported: {here.deciding('OTEL_LOGS_EXPORTER')} is none, the default here"
    exporters = (*here.traces_exporters, *here.metrics_exporters, *here.logs_exporters)
    if (_OTLP_OF_TRACES.fullmatch(name) or name == ours.OTEL_TRACEBATON_ENDPOINT) and not any(map(is_otlp, exporters)):
        return f"nothing is exported over OTLP: see {here.deciding('OTEL_TRACES_EXPORTER')}"
    if name in _OF_LOGGING and not installed("opentelemetry-instrumentation-logging"):
        return "it belongs to opentelemetry-instrumentation-logging, which is not installed; tracebaton writes the ids"
    return ""


def _harm(name: str, value: str) -> str:
    """What a variable does that nobody sets it for; empty for all others."""
    if name == "OTEL_PYTHON_LOG_CORRELATION" and value.strip().lower() == "true":
        return (
            "the logging instrumentation calls logging.basicConfig before the application does, so the application's "
            "own set-up of its log may change nothing; tracebaton writes the ids without it"
        )
    return ""


def _has_scheme(environ: Mapping[str, str]) -> bool:
    """Whether the endpoint for traces is given with one, or is the default."""
    variables = (ours.OTEL_TRACEBATON_ENDPOINT, f"{_OTLP}TRACES_ENDPOINT", f"{_OTLP}ENDPOINT")
    given = next(filter(None, (environ.get(variable, "").strip() for variable in variables)), "")
    return not given or "://" in given
