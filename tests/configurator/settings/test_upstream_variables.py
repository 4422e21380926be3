"""Variables that OpenTelemetry parses by itself: a wrong one costs that one setting, is said, and is survived."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tracebaton_configurator import settings
from tracebaton_configurator.settings import Settings, read_settings

COUNTS = [
    "OTEL_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_SPAN_EVENT_COUNT_LIMIT",
    "OTEL_SPAN_LINK_COUNT_LIMIT",
    "OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT",
]
LENGTHS = [
    "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT",
    "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT",
    "OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT",
]
URLS = "OTEL_PYTHON_EXCLUDED_URLS"
CAPTURE = "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST"
SANITIZE = "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SANITIZE_FIELDS"


def read(environ: dict[str, str]) -> Settings:
    return read_settings(environ, ["python", "/bin/uvicorn", "main:app"], "/srv/agent-a")


def applied(environ: dict[str, str]) -> dict[str, str]:
    """The environment as it is handed down."""
    after = dict(environ)
    for name, value in read(environ).changes:
        after.pop(name, None)
        if value is not None:
            after[name] = value
    return after


def said(environ: dict[str, str]) -> list[str]:
    return [str(problem) for problem in read(environ).problems]


@pytest.mark.parametrize("value", ["unlimited", "4k", "-1", "none", "1.5", "12 spans", "9" * 30, "9" * 5000, "1e3"])
@pytest.mark.parametrize("variable", [*COUNTS, *LENGTHS])
def test_limits(variable: str, value: str) -> None:
    used = "128" if variable in COUNTS else "no limit"
    (line,) = said({variable: value})
    assert line.startswith(f"{variable}={value[:200]!r}"[:200])
    assert line.endswith(f"is not a limit (expected a whole number from 0); using {used}.")
    assert applied({variable: value}) == {}


def test_the_general_limit_is_the_default_of_the_others() -> None:
    (line,) = said({"OTEL_ATTRIBUTE_COUNT_LIMIT": "7", "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "many"})
    assert line.endswith("; using 7.")


@pytest.mark.parametrize("value", ["0", "128", " 64 ", "2147483647"])
@pytest.mark.parametrize("variable", [*COUNTS, *LENGTHS])
def test_right_limits(variable: str, value: str) -> None:
    assert said({variable: value}) == []
    assert applied({variable: value}) == {variable: value.strip()}


@pytest.mark.parametrize("value", ["5s", "0", "-1", "1.5", "none", "nan", "inf"])
@pytest.mark.parametrize(
    "variable",
    [
        "OTEL_BSP_EXPORT_TIMEOUT",
        "OTEL_BSP_SCHEDULE_DELAY",
        "OTEL_BSP_MAX_QUEUE_SIZE",
        "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
        "OTEL_BLRP_SCHEDULE_DELAY",
        "OTEL_BLRP_EXPORT_TIMEOUT",
        "OTEL_BLRP_MAX_QUEUE_SIZE",
        "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE",
        "OTEL_METRIC_EXPORT_INTERVAL",
        "OTEL_METRIC_EXPORT_TIMEOUT",
    ],
)
def test_numbers(variable: str, value: str) -> None:
    (line,) = said({variable: value})
    assert line.startswith(f"{variable}={value!r} is ")
    # The batch size that is used is what it would have been.
    assert applied({variable: value}) in ({}, {variable: "512"})


def test_a_small_queue_takes_its_batch_along() -> None:
    """Upstream's processors raise for it: their default batch does not fit into the queue."""
    assert applied({"OTEL_BSP_MAX_QUEUE_SIZE": "100"})["OTEL_BSP_MAX_EXPORT_BATCH_SIZE"] == "100"
    assert applied({"OTEL_BLRP_MAX_QUEUE_SIZE": "100"})["OTEL_BLRP_MAX_EXPORT_BATCH_SIZE"] == "100"
    environ = {"OTEL_BLRP_MAX_QUEUE_SIZE": "100", "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE": "200"}
    (line,) = said(environ)
    assert "is more than the 100 that the queue holds" in line
    assert applied(environ)["OTEL_BLRP_MAX_EXPORT_BATCH_SIZE"] == "100"


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("OTEL_METRICS_EXEMPLAR_FILTER", "on", "is unknown (expected trace_based, always_on, always_off"),
        ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "x", "(expected cumulative, delta, lowmemory)"),
        ("OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION", "x", "is unknown"),
        ("OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED", "1", "(expected false, true)"),
        ("OTEL_PYTHON_LOG_LEVEL", "loud", "is unknown"),
        ("OTEL_PYTHON_LOG_FORMAT", "%(nothing", "is not a format"),
        ("OTEL_PYTHON_TRACER_PROVIDER", "mine", "is not provided by any installed package"),
        ("OTEL_PYTHON_METER_PROVIDER", "mine", "is not provided by any installed package"),
        ("OTEL_PYTHON_LOGGER_PROVIDER", "mine", "is not provided by any installed package"),
        ("OTEL_PYTHON_CONTEXT", "mine", "(expected contextvars_context); using contextvars_context"),
        ("OTEL_EXPERIMENTAL_RESOURCE_DETECTORS", "proces", "has 'proces', which no installed package provides"),
        ("OTEL_SEMCONV_STABILITY_OPT_IN", "htp", "has 'htp', which is unknown"),
        ("OTEL_PYTHON_EXPORTER_OTLP_GRPC_RETRYABLE_ERROR_CODES", "TEAPOT", "has 'teapot', which is unknown"),
        ("OTEL_RESOURCE_ATTRIBUTES", "team", "is wrong in part 1 (expected key=value,key=value"),
        ("OTEL_RESOURCE_ATTRIBUTES", "=a", "is wrong in part 1"),
        *(
            (f"OTEL_EXPORTER_OTLP_{signal}_{name}", value, words)
            for signal in ("METRICS", "LOGS")
            for name, value, words in (
                ("TIMEOUT", "10s", "is not a number of seconds"),
                ("COMPRESSION", "zstd", "is unknown (expected none, gzip"),
                ("INSECURE", "yes", "is not a boolean"),
                ("ENDPOINT", "http://[::1", "is not a URL of a receiver"),
                ("HEADERS", "secret", "'***' has a part without a name"),
                ("HEADERS", "a=b%0d%0aX: 1", "'***' has a control character"),
            )
        ),
    ],
)
def test_one_wrong_value(variable: str, value: str, words: str) -> None:
    (line,) = said({variable: value})
    assert line.startswith(f"{variable}=")
    assert words in line
    assert applied({variable: value}).get(variable) in (None, *("trace_based", "cumulative", "false", "info")) or (
        variable.endswith("AGGREGATION")
    )


@pytest.mark.parametrize(
    ("variable", "value", "left"),
    [
        ("OTEL_EXPERIMENTAL_RESOURCE_DETECTORS", "proces, host", "host"),
        ("OTEL_SEMCONV_STABILITY_OPT_IN", "htp,HTTP , database/dup", "http,database/dup"),
        ("OTEL_RESOURCE_ATTRIBUTES", "team=a, broken, b=c%20d", "team=a,b=c%20d"),
        ("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "a=b, Bearer x, c=d", "a=b, c=d"),
        ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "collector:4317", "http://collector:4317"),
        (URLS, "health, *ready*", "health,.*ready.*"),
    ],
)
def test_what_is_right_beside_it_stays(variable: str, value: str, left: str) -> None:
    assert len(said({variable: value})) == 1
    assert applied({variable: value}) == {variable: left}


@pytest.mark.parametrize(
    ("variable", "value", "left"),
    [
        ("OTEL_SEMCONV_STABILITY_OPT_IN", "http,code/dup", "http,code/dup"),
        ("OTEL_METRICS_EXEMPLAR_FILTER", "Always_On", "always_on"),
        ("OTEL_PYTHON_TRACER_PROVIDER", "sdk_tracer_provider", "sdk_tracer_provider"),
        ("OTEL_PYTHON_CONTEXT", "contextvars_context", "contextvars_context"),
        ("OTEL_EXPERIMENTAL_RESOURCE_DETECTORS", "*,process", "*,process"),
        ("OTEL_PYTHON_INSTRUMENTATION_HTTP_CAPTURE_ALL_METHODS", "false", None),
        ("OTEL_EXPORTER_OTLP_METRICS_COMPRESSION", "none", None),
        (URLS, "health,", "health"),
        (URLS, "/api/v[12]/.*,^https?://internal", "/api/v[12]/.*,^https?://internal"),
        (URLS, "(?i)health,(?i)ready", "(?i)health,(?i:ready)"),
        ("OTEL_PYTHON_HTTPX_EXCLUDED_URLS", ",,", ""),
        (CAPTURE, "x-request-id,content-.*,", "x-request-id,content-.*"),
    ],
)
def test_no_mistake(variable: str, value: str, left: str | None) -> None:
    assert said({variable: value}) == []
    assert applied({variable: value}) == ({} if left is None else {variable: left})


class TestExcludedUrls:
    @pytest.mark.parametrize("variable", [URLS, "OTEL_PYTHON_FASTAPI_EXCLUDED_URLS", "OTEL_PYTHON_HTTPX_EXCLUDED_URLS"])
    def test_a_glob_is_read_as_one_and_the_expression_is_named(self, variable: str) -> None:
        assert said({variable: "*health*"}) == [
            f"{variable}='*health*' is not a list of regular expressions ('*health*': nothing to repeat at position 0)"
            " (expected regular expressions, separated by commas); it is read as text, with * for anything, which is "
            "the expression '.*health.*'."
        ]
        assert applied({variable: "*health*"}) == {variable: ".*health.*"}

    @pytest.mark.parametrize(
        "value", ["*", "?", "(", "[a-", "a{2}{3}", "\\", "(?P<a>x)(?P<a>y)", "*.internal:80/x?a=(b"]
    )
    def test_nothing_that_is_wrong_is_recorded_more_than_before(self, value: str) -> None:
        """What cannot be compiled is taken literally: it leaves out what it says."""
        from opentelemetry.util.http import parse_excluded_urls

        assert len(said({URLS: value})) == 1
        excluded = parse_excluded_urls(applied({URLS: value})[URLS])
        assert excluded.url_disabled(f"http://host/{value.replace('*', 'anything')}")

    def test_a_comma_at_the_end_does_not_leave_out_everything(self) -> None:
        from opentelemetry.util.http import parse_excluded_urls

        excluded = parse_excluded_urls(applied({URLS: "health, ,"})[URLS])
        assert [excluded.url_disabled(f"http://h/{path}") for path in ("health", "chat")] == [True, False]


class TestRecordedHeaders:
    def test_a_wrong_one_is_not_recorded(self) -> None:
        assert applied({CAPTURE: "x-id,*"}) == {CAPTURE: "x-id"}
        (line,) = said({CAPTURE: "x-id,*"})
        assert "it is left out" in line

    def test_a_wrong_one_to_hide_hides_all(self) -> None:
        assert applied({SANITIZE: "authorization,*token*"}) == {SANITIZE: ".*"}
        (line,) = said({SANITIZE: "authorization,*token*"})
        assert line.endswith("all recorded headers are hidden.")


# What upstream does with them, in a process of its own: most of it happens while modules are imported.
SURVIVE = """
import warnings
warnings.simplefilter("error")
from opentelemetry import context, metrics, propagate, trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
from opentelemetry.util.http import SanitizeValue, get_custom_headers, get_excluded_urls
import opentelemetry.instrumentation.fastapi, opentelemetry.instrumentation.httpx
warnings.simplefilter("ignore")
trace.get_tracer_provider(); metrics.get_meter_provider()
tracer = TracerProvider(shutdown_on_exit=False)
tracer.add_span_processor(BatchSpanProcessor(ConsoleSpanExporter(open("/dev/null", "w"))))
with tracer.get_tracer("x").start_as_current_span("x", links=[], attributes={"a": "b"}) as span:
    span.add_event("y", {"c": "d"})
MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter())], shutdown_on_exit=False).shutdown()
LoggerProvider(shutdown_on_exit=False).add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter()))
Resource.create()
get_excluded_urls("FASTAPI"), get_excluded_urls("HTTPX")
name = "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_"
hide = SanitizeValue(get_custom_headers(name + "SANITIZE_FIELDS"))
hide.sanitize_header_values({"a": "b"}, get_custom_headers(name + "SERVER_REQUEST"), str)
import os
os._exit(0)
"""


@pytest.mark.parametrize("value", ["unlimited", "-1", "*", "", "0", "9" * 40, "\udcff", "a=b%0a,te=x"])
def test_upstream_survives_what_is_handed_down(value: str) -> None:
    """Every variable there is, each with this value."""
    from tracebaton_configurator.settings.known import known_variables

    # Propagators have a module of their own; a sampler's name is for the sampler that is built here.
    # Without the credentials that somebody asked for, nothing is to be sent: that signal is left out, which is said.
    spared = (
        "OTEL_PROPAGATORS",
        "CREDENTIAL_PROVIDER",
        "OTEL_TRACES_SAMPLER",
        "OTEL_CONFIG_FILE",
        "CERTIFICATE",
        "CLIENT_KEY",
    )
    names = [
        *(name for name in known_variables() if not name.endswith(spared) and "TRACEBATON" not in name),
        *COUNTS,
        "OTEL_PYTHON_HTTPX_EXCLUDED_URLS",
        CAPTURE,
        SANITIZE,
    ]
    environ = {name: value for name in os.environ if not name.startswith("OTEL_") for value in [os.environ[name]]}
    handed = {name: text for name, text in applied(dict.fromkeys(names, value)).items() if name not in environ}
    done = subprocess.run(
        [sys.executable, "-c", SURVIVE],
        env={**environ, **handed},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_hand_down_puts_it_into_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SPAN_EVENT_COUNT_LIMIT", "unlimited")
    monkeypatch.setenv(URLS, "*health*")
    monkeypatch.delenv(settings.INHERITED_NAME, raising=False)
    settings.hand_down(read({"OTEL_SDK_DISABLED": "true", "OTEL_SPAN_EVENT_COUNT_LIMIT": "x"}))
    assert os.environ["OTEL_SPAN_EVENT_COUNT_LIMIT"] == "unlimited", "tracing is off"
    settings.hand_down(read(dict(os.environ)))
    assert "OTEL_SPAN_EVENT_COUNT_LIMIT" not in os.environ
    assert os.environ[URLS] == ".*health.*"
    assert read(dict(os.environ)).problems == ()
    monkeypatch.delenv(settings.INHERITED_NAME)
