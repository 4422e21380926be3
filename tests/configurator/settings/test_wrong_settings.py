"""Each mistake that can be made with a variable: the value given, the line printed, the setting after."""

from __future__ import annotations

from typing import Any

import pytest

from tracebaton_configurator import environment_variables as ours
from tracebaton_configurator.patching.catalogue import CATALOGUE
from tracebaton_configurator.settings import Settings, read_settings, wants_strict
from tracebaton_configurator.settings.overrides import OVERRIDES
from tracebaton_configurator.settings.propagators import VARIABLE, as_upstream_takes_it

BOOLEANS = {
    "OTEL_SDK_DISABLED": ("disabled", False),
    "OTEL_TRACEBATON_KEEP_ERRORS": ("keep_errors", True),
    "OTEL_TRACEBATON_KEEP_LOGGED_ERRORS": ("keep_logged_errors", True),
    "OTEL_TRACEBATON_ASGI_EVENT_SPANS": ("asgi_event_spans", False),
    "OTEL_TRACEBATON_STRICT": ("strict", False),
}
DURATIONS: dict[str, tuple[str, float | None, str]] = {
    "OTEL_TRACEBATON_KEEP_SLOWER_THAN": ("keep_slower_than", None, "no threshold"),
    "OTEL_TRACEBATON_SHUTDOWN_TIMEOUT": ("shutdown_timeout", 5.0, "5s"),
    "OTEL_TRACEBATON_DETACH_AFTER": ("detach_after", 300.0, "5m"),
}
NUMBERS = {
    "OTEL_BSP_SCHEDULE_DELAY": ("batch_delay_ms", 1000, 86_400_000),
    "OTEL_BSP_MAX_QUEUE_SIZE": ("queue_size", 2048, 1_000_000),
    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": ("batch_size", 512, 1_000_000),
    "OTEL_TRACEBATON_SPOOL_MAX_MB": ("spool_max_mb", 64, 1_000_000),
}
EXPORTERS = {
    "OTEL_TRACES_EXPORTER": ("traces_exporters", ("otlp",)),
    "OTEL_METRICS_EXPORTER": ("metrics_exporters", ()),
    "OTEL_LOGS_EXPORTER": ("logs_exporters", ()),
}
OTLP = ("", "TRACES_")


def accepted(duration: str) -> str:
    more = ", or 2s total" if duration == "OTEL_TRACEBATON_KEEP_SLOWER_THAN" else ""
    return f"a duration such as 250ms, 2s or 1m{more}"


def read(environ: dict[str, str]) -> Settings:
    return read_settings(environ, ["python", "/bin/uvicorn", "main:app"], "/srv/agent-a")


def assert_said(environ: dict[str, str], line: str, field: str, left: object) -> None:
    settings = read(environ)
    assert [str(problem) for problem in settings.problems] == [line]
    value: Any = settings
    for name in field.split("."):
        value = getattr(value, name)
    assert value == left


@pytest.mark.parametrize("value", ["yes", "1", "on", "0", "tru e", "'true'", "false;"])
@pytest.mark.parametrize("variable", BOOLEANS)
def test_booleans(variable: str, value: str) -> None:
    field, default = BOOLEANS[variable]
    line = f"{variable}={value!r} is not a boolean (expected true or false); using {str(default).lower()}."
    assert_said({variable: value}, line, field, default)


@pytest.mark.parametrize("value", ["5", "5 sec", "1d", "-2s", "2,5s", "s", "5S5"])
@pytest.mark.parametrize("variable", DURATIONS)
def test_durations(variable: str, value: str) -> None:
    field, default, shown = DURATIONS[variable]
    line = f"{variable}={value!r} is not a duration (expected {accepted(variable)}); using {shown}."
    assert_said({variable: value}, line, field, default)


@pytest.mark.parametrize("value", ["0s", "200h"])
@pytest.mark.parametrize("variable", DURATIONS)
def test_durations_that_are_too_short_or_too_long(variable: str, value: str) -> None:
    field, default, shown = DURATIONS[variable]
    line = f"{variable}={value!r} is not between 1ms and 168h (expected {accepted(variable)}); using {shown}."
    assert_said({variable: value}, line, field, default)


@pytest.mark.parametrize("value", ["total", "total 2s", "2stotal", "2s all", "2 total", "2s total total"])
def test_thresholds(value: str) -> None:
    variable = "OTEL_TRACEBATON_KEEP_SLOWER_THAN"
    line = f"{variable}={value!r} is not a duration (expected {accepted(variable)}); using no threshold."
    assert_said({variable: value}, line, "keep_slower_than", None)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("1s", "is not a whole number"),
        ("1.5", "is not a whole number"),
        ("-1", "is not a whole number"),
        ("1_000", "is not a whole number"),
        ("\u0665", "is not a whole number"),
        ("0", "is out of range"),
        ("9" * 30, "is out of range"),
    ],
)
@pytest.mark.parametrize("variable", NUMBERS)
def test_numbers(variable: str, value: str, reason: str) -> None:
    field, default, high = NUMBERS[variable]
    line = f"{variable}={value!r} {reason} (expected a whole number from 1 to {high}); using {default}."
    assert_said({variable: value}, line, field, default)


@pytest.mark.parametrize("value", ["otlp,none", "none, otlp", "NONE,console"])
@pytest.mark.parametrize("variable", EXPORTERS)
def test_none_and_an_exporter(variable: str, value: str) -> None:
    line = f"{variable}={value!r} combines none with other names (expected none, or names without it); using none."
    assert_said({variable: value}, line, EXPORTERS[variable][0], ())


@pytest.mark.parametrize("variable", EXPORTERS)
def test_commas_without_an_exporter(variable: str) -> None:
    field, default = EXPORTERS[variable]
    used = ",".join(default) or "none"
    line = f"{variable}=',' names nothing (expected none, or names); using {used}."
    assert_said({variable: ","}, line, field, default)


@pytest.mark.parametrize(
    ("environ", "line", "field", "left"),
    [
        (
            {"OTEL_TRACEBATON_LOGS": "text"},
            "OTEL_TRACEBATON_LOGS='text' is unknown (expected json, inject, off); using json.",
            "logs",
            "json",
        ),
        (
            {"OTEL_TRACEBATON_TRUST_PARENT": "localhost"},
            "OTEL_TRACEBATON_TRUST_PARENT='localhost' is neither a boolean nor a list of networks (expected true, "
            "false or networks such as 10.0.0.0/8,127.0.0.1); using false, no caller is trusted.",
            "trust_parent",
            False,
        ),
        (
            {"OTEL_TRACEBATON_TRUST_PARENT": "10.0.0.0/40"},
            "OTEL_TRACEBATON_TRUST_PARENT='10.0.0.0/40' is neither a boolean nor a list of networks (expected true, "
            "false or networks such as 10.0.0.0/8,127.0.0.1); using false, no caller is trusted.",
            "trust_parent",
            False,
        ),
        (
            {"OTEL_TRACEBATON_REDACT": "iban,customer id,-code,a=b"},
            "OTEL_TRACEBATON_REDACT='iban,customer id,-code,a=b' has 'customer id', 'a=b', which is not a name "
            "(expected names of query parameters and headers, -name for one that is not to be hidden); using the "
            "built-in names and the valid ones.",
            "redact",
            ("iban", "-code"),
        ),
        (
            {"OTEL_TRACEBATON_REDIS_MESSAGES": "streams,queues"},
            "OTEL_TRACEBATON_REDIS_MESSAGES='streams,queues' has 'queues', which is none of them (expected off, or a "
            "list of streams, pubsub and lists); using off.",
            "redis_messages",
            frozenset(),
        ),
        (
            {"OTEL_TRACEBATON_REDIS_MESSAGES": "on"},
            "OTEL_TRACEBATON_REDIS_MESSAGES='on' has 'on', which is none of them (expected off, or a list of streams, "
            "pubsub and lists); using off.",
            "redis_messages",
            frozenset(),
        ),
        (
            {"OTEL_TRACEBATON_REDACT": "none"},
            "OTEL_TRACEBATON_REDACT='none' has 'none', which is not a name (expected names of query parameters and "
            "headers, -name for one that is not to be hidden); using the built-in names and the valid ones.",
            "redact",
            (),
        ),
    ],
)
def test_words(environ: dict[str, str], line: str, field: str, left: object) -> None:
    assert_said(environ, line, field, left)


class TestWhereSpansGo:
    @pytest.mark.parametrize("signal", OTLP)
    @pytest.mark.parametrize(
        ("name", "value", "reason", "field", "left"),
        [
            (
                "ENDPOINT",
                "otel-collector:4317",
                "has no scheme (expected http://HOST:PORT or https://HOST:PORT); http:// is assumed",
                "url",
                "http://otel-collector:4317",
            ),
            (
                "ENDPOINT",
                "tcp://c:4317",
                "is not a URL of a receiver (expected http://HOST:PORT or https://HOST:PORT); "
                "using the default endpoint on localhost",
                "url",
                "http://localhost:4317",
            ),
            (
                "ENDPOINT",
                "http://c:http",
                "is not a URL of a receiver (expected http://HOST:PORT or https://HOST:PORT); "
                "using the default endpoint on localhost",
                "url",
                "http://localhost:4317",
            ),
            (
                "PROTOCOL",
                "http",
                "is unknown (expected grpc or http/protobuf); the endpoint's port decides",
                "protocol",
                "grpc",
            ),
            (
                "PROTOCOL",
                "http/json",
                "is unknown (expected grpc or http/protobuf); the endpoint's port decides",
                "protocol",
                "grpc",
            ),
            ("COMPRESSION", "zstd", "is unknown (expected none, gzip); using none", "compression", "none"),
            (
                "TIMEOUT",
                "10s",
                "is not a number of seconds (expected a number of seconds above 0); using 10",
                "timeout",
                10.0,
            ),
            (
                "TIMEOUT",
                "-1",
                "is not a number of seconds (expected a number of seconds above 0); using 10",
                "timeout",
                10.0,
            ),
            ("INSECURE", "yes", "is not a boolean (expected true or false); using plaintext", "insecure", True),
            (
                "INSECURE",
                "false",
                "contradicts the http:// of the endpoint (expected one or the other); using plaintext",
                "insecure",
                True,
            ),
        ],
    )
    def test_one_value(self, signal: str, name: str, value: str, reason: str, field: str, left: object) -> None:
        variable = f"OTEL_EXPORTER_OTLP_{signal}{name}"
        assert_said({variable: value}, f"{variable}={value!r} {reason}.", f"endpoint.{field}", left)

    @pytest.mark.parametrize("signal", OTLP)
    def test_headers_are_said_without_their_secret(self, signal: str) -> None:
        variable = f"OTEL_EXPORTER_OTLP_{signal}HEADERS"
        line = f"{variable}='***' has a part without a name (expected name=value,name=value); that part is left out."
        assert_said({variable: "Bearer abc,team=a"}, line, "endpoint.headers", (("team", "a"),))

    def test_insecure_and_https(self) -> None:
        environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": "https://c:4317", "OTEL_EXPORTER_OTLP_INSECURE": "true"}
        line = (
            "OTEL_EXPORTER_OTLP_INSECURE='true' contradicts the https:// of the endpoint (expected one or the "
            "other); using TLS."
        )
        assert_said(environ, line, "endpoint.insecure", left=False)

    def test_a_proxy_that_cannot_be_used(self) -> None:
        environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector.example:4317", "http_proxy": "socks5://p:1"}
        line = (
            "http_proxy='socks5://p:1' cannot be used (expected http://HOST:PORT of a proxy that is spoken to in "
            "plaintext); spans are sent without a proxy."
        )
        assert_said(environ, line, "endpoint.proxy", None)


class TestContradictions:
    """Each right by itself."""

    @pytest.mark.parametrize("sampler", ["always_on", "always_off", "parentbased_always_on", "ParentBased_Always_Off"])
    def test_an_argument_for_a_sampler_that_takes_none(self, sampler: str) -> None:
        environ = {"OTEL_TRACES_SAMPLER": sampler, "OTEL_TRACES_SAMPLER_ARG": "0.1"}
        line = (
            f"OTEL_TRACES_SAMPLER_ARG='0.1' has no effect on the sampler {sampler} (expected no argument, or "
            f"OTEL_TRACES_SAMPLER=tracebaton for rules); {sampler} decides."
        )
        assert_said(environ, line, "sampler", sampler)

    def test_a_batch_that_the_queue_cannot_hold(self) -> None:
        environ = {"OTEL_BSP_MAX_QUEUE_SIZE": "100", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "200"}
        line = (
            "OTEL_BSP_MAX_EXPORT_BATCH_SIZE='200' is more than the 100 that the queue holds (expected a number up "
            "to OTEL_BSP_MAX_QUEUE_SIZE); using 100."
        )
        assert_said(environ, line, "batch_size", 100)

    def test_a_small_queue_alone_is_no_mistake(self) -> None:
        settings = read({"OTEL_BSP_MAX_QUEUE_SIZE": "100"})
        assert (settings.problems, settings.batch_size) == ((), 100)

    def test_a_size_for_a_spool_that_is_nowhere(self) -> None:
        line = (
            "OTEL_TRACEBATON_SPOOL_MAX_MB='128' sets a size but no directory (expected a size together with "
            "OTEL_TRACEBATON_SPOOL_DIR); spans wait in memory."
        )
        assert_said({"OTEL_TRACEBATON_SPOOL_MAX_MB": "128"}, line, "spool_dir", None)

    def test_a_spool_for_an_exporter_that_has_none(self) -> None:
        line = (
            "OTEL_TRACEBATON_SPOOL_DIR='/spool' applies to the exporter otlp, which is not selected (expected "
            "a directory together with OTEL_TRACES_EXPORTER=otlp); no spool is kept."
        )
        environ = {"OTEL_TRACEBATON_SPOOL_DIR": "/spool", "OTEL_TRACES_EXPORTER": "console"}
        assert_said(environ, line, "traces_exporters", ("console",))

    def test_a_spool_with_its_size_is_right(self) -> None:
        settings = read({"OTEL_TRACEBATON_SPOOL_DIR": "/spool", "OTEL_TRACEBATON_SPOOL_MAX_MB": "128"})
        assert (settings.problems, settings.spool_max_mb) == ((), 128)

    def test_no_propagator_and_one(self) -> None:
        line = (
            "OTEL_PROPAGATORS='none,tracecontext' combines none with other names (expected none, or names without it); "
            "trace context is not propagated."
        )
        assert_said({"OTEL_PROPAGATORS": "none,tracecontext"}, line, "sampler", "tracebaton")


class TestPropagators:
    """Before OpenTelemetry sees them."""

    @pytest.mark.parametrize(
        ("value", "left"),
        [
            ("", ""),
            ("  ", ""),
            ("tracecontext", "tracecontext"),
            (" TraceContext , baggage,", "tracecontext,baggage"),
            ("none", "none"),
            ("None", "none"),
        ],
    )
    def test_what_is_no_mistake(self, value: str, left: str) -> None:
        assert as_upstream_takes_it({VARIABLE: value}) == (left, None)

    @pytest.mark.parametrize(
        ("value", "unknown", "left"),
        [
            ("tracecontxt", "'tracecontxt'", "tracecontext,baggage"),
            ("tracecontext,b33", "'b33'", "tracecontext"),
            ("x,baggage,y", "'x', 'y'", "baggage"),
        ],
    )
    def test_names_that_nobody_provides(self, value: str, unknown: str, left: str) -> None:
        used, problem = as_upstream_takes_it({VARIABLE: value})
        assert used == left
        assert str(problem).startswith(
            f"OTEL_PROPAGATORS={value!r} has {unknown}, which no installed package provides (expected "
        )
        assert str(problem).endswith(f"; using {left}.")


OWN = sorted(name for name in vars(ours) if name.startswith("OTEL_"))
READ = [
    *OWN,
    *BOOLEANS,
    *NUMBERS,
    *EXPORTERS,
    "OTEL_SERVICE_NAME",
    "OTEL_RESOURCE_ATTRIBUTES",
    "OTEL_TRACES_SAMPLER",
    "OTEL_TRACES_SAMPLER_ARG",
    "OTEL_PYTHON_ID_GENERATOR",
    "OTEL_PROPAGATORS",
    *(
        f"OTEL_EXPORTER_OTLP_{signal}{name}"
        for signal in OTLP
        for name in ("ENDPOINT", "PROTOCOL", "COMPRESSION", "TIMEOUT", "HEADERS", "INSECURE", "CERTIFICATE")
    ),
]


@pytest.mark.parametrize("empty", ["", " ", "\t\n"])
@pytest.mark.parametrize("variable", dict.fromkeys(READ))
def test_empty_is_unset(variable: str, empty: str) -> None:
    """SDK specification, "Parsing empty value"."""
    assert read({variable: empty}) == read({})


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("OTEL_SDK_DISABLED", "True"),
        ("OTEL_TRACES_EXPORTER", "otlp, otlp ,console"),
        ("OTEL_TRACEBATON_SHUTDOWN_TIMEOUT", "2 s"),
        ("OTEL_BSP_SCHEDULE_DELAY", "500"),
        ("OTEL_TRACEBATON_LOGS", "OFF"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "GRPC"),
    ],
)
def test_white_space_around_a_value_is_not_part_of_it(variable: str, value: str) -> None:
    bare, padded = read({variable: value}), read({variable: f"  {value}\n"})
    assert bare == padded
    assert bare.problems == ()


def test_children() -> None:
    variable = "OTEL_TRACEBATON_CHILDREN"
    line = f"{variable}='no' is unknown (expected serving, true, false); using serving."
    assert_said({variable: "no"}, line, "children", "serving")


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("room, 7%", "is neither a mode nor a list of names"),
        (",", "is neither a mode nor a list of names"),
        ("true", "is neither a mode nor a list of names"),
        ("all, room", "combines all with names"),
    ],
)
def test_log_extras(value: str, reason: str) -> None:
    variable = "OTEL_TRACEBATON_LOG_EXTRAS"
    accepted = "masked, all, none, or names such as room,tenant.id"
    line = f"{variable}={value!r} {reason} (expected {accepted}); using masked."
    assert_said({variable: value}, line, "log_extras", "masked")
    assert read({variable: "room, x-id"}).log_extras == {"room", "x-id"}


def test_disabled_patches() -> None:
    variable = "OTEL_TRACEBATON_DISABLED_PATCHES"
    (problem,) = read({variable: "httpx, htpx"}).problems
    assert str(problem).startswith(
        f"{variable}='httpx, htpx' names unknown patches (htpx) (expected {min(CATALOGUE)}, "
    )
    assert read({variable: "httpx, loguru"}).disabled_patches == {"httpx", "loguru"}


def test_what_is_kept_is_a_trace_or_a_span() -> None:
    here = read({"OTEL_TRACEBATON_KEEP": "spans"})
    assert [str(problem) for problem in here.problems] == [
        "OTEL_TRACEBATON_KEEP='spans' is unknown (expected trace, span); using trace."
    ]
    assert here.keep == "trace"
    assert read({"OTEL_TRACEBATON_KEEP": "SPAN"}).keep == "span"


def test_every_variable_of_this_projects_own_has_a_mistake_here() -> None:
    words = {"OTEL_TRACEBATON_LOGS", "OTEL_TRACEBATON_REDACT", "OTEL_TRACEBATON_TRUST_PARENT"}
    told = {*BOOLEANS, *DURATIONS, *NUMBERS, *words, "OTEL_TRACEBATON_REDIS_MESSAGES"}
    told |= {"OTEL_TRACEBATON_CHILDREN", "OTEL_TRACEBATON_LOG_EXTRAS", "OTEL_TRACEBATON_DISABLED_PATCHES"}
    told |= {"OTEL_TRACEBATON_KEEP"}
    told.add("OTEL_TRACEBATON_LOG_FIELDS")  # see test_field_names.py
    told |= set(OVERRIDES.values())  # see test_overrides.py
    assert set(OWN) - told == {"OTEL_TRACEBATON_SPOOL_DIR"}, "which has its own under `TestContradictions`"


def test_strictness_is_known_even_where_the_settings_fail() -> None:
    assert wants_strict({"OTEL_TRACEBATON_STRICT": "TRUE", "OTEL_TRACEBATON_LOGS": "x"})
    assert not wants_strict({"OTEL_TRACEBATON_STRICT": "yes"})
