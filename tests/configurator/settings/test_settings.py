"""One frozen object, every wrong value a sentence."""

from dataclasses import FrozenInstanceError
from ipaddress import ip_network

import pytest

from tracebaton_configurator.names import NAME, choose_this_distro
from tracebaton_configurator.settings import Settings, read_settings
from tracebaton_configurator.settings.reader import parse_duration


def read(**environ: str) -> Settings:
    return read_settings(environ, ["python", "/bin/uvicorn", "main:app"], "/srv/agent-a")


def test_defaults_are_those_of_the_design() -> None:
    settings = read()
    assert settings.problems == ()
    assert (settings.traces_exporters, settings.metrics_exporters, settings.logs_exporters) == (("otlp",), (), ())
    assert (settings.sampler, settings.sampler_arg) == ("tracebaton", None)
    assert (settings.keep_errors, settings.keep_slower_than, settings.asgi_event_spans) == (True, None, False)
    assert (settings.logs, settings.shutdown_timeout) == ("json", 5.0)
    assert (settings.spool_dir, settings.spool_max_mb) == (None, 64)
    assert settings.trust_parent is True
    assert (settings.strict, settings.disabled, settings.helper) == (False, False, False)
    assert (settings.service_name, settings.service_name_derived) == ("agent-a", True)
    assert settings.given == frozenset()


def test_it_is_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        read().strict = True  # type: ignore[misc]


@pytest.mark.parametrize(
    ("variable", "value", "field", "parsed"),
    [
        ("OTEL_SDK_DISABLED", "TRUE", "disabled", True),
        ("OTEL_SERVICE_NAME", "shop", "service_name", "shop"),
        ("OTEL_RESOURCE_ATTRIBUTES", "a=b,service.name=my%20shop", "service_name", "my shop"),
        ("OTEL_TRACES_EXPORTER", "otlp, console,otlp", "traces_exporters", ("otlp", "console")),
        ("OTEL_TRACES_EXPORTER", "none", "traces_exporters", ()),
        ("OTEL_METRICS_EXPORTER", "otlp", "metrics_exporters", ("otlp",)),
        ("OTEL_LOGS_EXPORTER", "console", "logs_exporters", ("console",)),
        ("OTEL_BSP_SCHEDULE_DELAY", "60000", "batch_delay_ms", 60000),
        ("OTEL_TRACES_SAMPLER", "always_off", "sampler", "always_off"),
        ("OTEL_TRACES_SAMPLER_ARG", " 10% ", "sampler_arg", "10%"),
        ("OTEL_TRACEBATON_KEEP_ERRORS", "false", "keep_errors", False),
        ("OTEL_TRACEBATON_KEEP_LOGGED_ERRORS", "false", "keep_logged_errors", False),
        ("OTEL_TRACEBATON_KEEP_SLOWER_THAN", "250ms", "keep_slower_than", 0.25),
        ("OTEL_TRACEBATON_KEEP_SLOWER_THAN", "250ms", "keep_slower_than_total", False),
        ("OTEL_TRACEBATON_KEEP_SLOWER_THAN", "1.5s  Total", "keep_slower_than", 1.5),
        ("OTEL_TRACEBATON_KEEP_SLOWER_THAN", "2s total", "keep_slower_than_total", True),
        ("OTEL_TRACEBATON_ASGI_EVENT_SPANS", "true", "asgi_event_spans", True),
        ("OTEL_TRACEBATON_LOGS", "Inject", "logs", "inject"),
        ("OTEL_TRACEBATON_LOG_EXTRAS", "All", "log_extras", "all"),
        ("OTEL_TRACEBATON_LOG_EXTRAS", "none", "log_extras", "none"),
        ("OTEL_TRACEBATON_LOG_EXTRAS", "user, order.id", "log_extras", frozenset(("user", "order.id"))),
        ("OTEL_TRACEBATON_REDIS_MESSAGES", "off", "redis_messages", frozenset()),
        ("OTEL_TRACEBATON_REDIS_MESSAGES", "Streams, lists,", "redis_messages", frozenset(("streams", "lists"))),
        ("OTEL_TRACEBATON_SHUTDOWN_TIMEOUT", "1.5s", "shutdown_timeout", 1.5),
        ("OTEL_TRACEBATON_SPOOL_DIR", "/spool", "spool_dir", "/spool"),
        ("OTEL_TRACEBATON_TRUST_PARENT", "false", "trust_parent", False),
        (
            "OTEL_TRACEBATON_TRUST_PARENT",
            "10.0.0.0/8, 127.0.0.1",
            "trust_parent",
            (ip_network("10.0.0.0/8"), ip_network("127.0.0.1/32")),
        ),
        ("OTEL_TRACEBATON_STRICT", "true", "strict", True),
    ],
)
def test_right_values(variable: str, value: str, field: str, parsed: object) -> None:
    settings = read(**{variable: value})
    assert settings.problems == ()
    assert getattr(settings, field) == parsed


@pytest.mark.parametrize("empty", ["", "  "])
def test_empty_means_unset(empty: str) -> None:
    """SDK specification, "Parsing empty value"."""
    names = ["OTEL_SDK_DISABLED", "OTEL_SERVICE_NAME", "OTEL_TRACEBATON_LOGS", "OTEL_TRACEBATON_SHUTDOWN_TIMEOUT"]
    assert read(**dict.fromkeys(names, empty)) == read()


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        (
            "OTEL_SDK_DISABLED",
            "yes",
            "OTEL_SDK_DISABLED='yes' is not a boolean (expected true or false); using false.",
        ),
        (
            "OTEL_TRACEBATON_LOGS",
            "yaml",
            "OTEL_TRACEBATON_LOGS='yaml' is unknown (expected json, inject, off); using json.",
        ),
        (
            "OTEL_TRACEBATON_SHUTDOWN_TIMEOUT",
            "5",
            "OTEL_TRACEBATON_SHUTDOWN_TIMEOUT='5' is not a duration (expected a duration such as 250ms, 2s or 1m); "
            "using 5s.",
        ),
        (
            "OTEL_TRACEBATON_KEEP_SLOWER_THAN",
            "-2s",
            "OTEL_TRACEBATON_KEEP_SLOWER_THAN='-2s' is not a duration (expected a duration such as 250ms, 2s or 1m, "
            "or 2s total); using no threshold.",
        ),
        (
            "OTEL_TRACEBATON_SPOOL_MAX_MB",
            "0",
            "OTEL_TRACEBATON_SPOOL_MAX_MB='0' is out of range (expected a whole number from 1 to 1000000); using 64.",
        ),
        (
            "OTEL_BSP_SCHEDULE_DELAY",
            "1s",
            "OTEL_BSP_SCHEDULE_DELAY='1s' is not a whole number (expected a whole number from 1 to 86400000); "
            "using 1000.",
        ),
        (
            "OTEL_TRACEBATON_TRUST_PARENT",
            "10.0.0.0/8,localhost",
            "OTEL_TRACEBATON_TRUST_PARENT='10.0.0.0/8,localhost' is neither a boolean nor a list of networks "
            "(expected true, false or networks such as 10.0.0.0/8,127.0.0.1); using false, no caller is trusted.",
        ),
        (
            "OTEL_TRACES_EXPORTER",
            "otlp,none",
            "OTEL_TRACES_EXPORTER='otlp,none' combines none with other names (expected none, or names without it); "
            "using none.",
        ),
    ],
)
def test_a_wrong_value_is_one_sentence_and_the_default(variable: str, value: str, sentence: str) -> None:
    settings = read(**{variable: value})
    assert [str(problem) for problem in settings.problems] == [sentence]


def test_every_problem_is_said_at_once() -> None:
    settings = read(OTEL_TRACEBATON_LOGS="x", OTEL_TRACEBATON_STRICT="x", OTEL_SDK_DISABLED="x")
    assert [problem.variable for problem in settings.problems] == [
        "OTEL_SDK_DISABLED",
        "OTEL_TRACEBATON_STRICT",
        "OTEL_TRACEBATON_LOGS",
    ]


def test_the_process_beside_a_worker_is_a_helper() -> None:
    command = ["python", "-B", "-c", "from multiprocessing.resource_tracker import main;main(12)"]
    assert read_settings({}, command, "/").helper


def test_own_variables_that_are_set_are_known() -> None:
    assert read(OTEL_TRACEBATON_LOGS="json", OTEL_TRACEBATON_STRICT="").given == {"OTEL_TRACEBATON_LOGS"}


def test_a_distro_that_the_user_chose_is_kept() -> None:
    assert choose_this_distro({"OTEL_PYTHON_DISTRO": "other", "OTEL_PYTHON_CONFIGURATOR": " "}) == {
        "OTEL_PYTHON_DISTRO": "other",
        "OTEL_PYTHON_CONFIGURATOR": NAME,
    }


@pytest.mark.parametrize(
    ("text", "seconds"), [("250ms", 0.25), ("2s", 2), ("1.5m", 90), ("1h", 3600), (" 3 S ", 3), ("168h", 604800)]
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text", ["", "5", "s", "1d", "-1s", "0s", "169h", "1e3s", "nan", "1s2s", "\u0665s", "9" * 400 + "s"]
)
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="duration|between"):
        parse_duration(text)


def test_variables_of_ours_that_there_are_not_are_named_without_their_values() -> None:
    settings = read_settings({"OTEL_TRACEBATON_LGOS": "secret", "OTEL_TRACEBATON_COLOUR": "x"}, [], "/")
    assert settings.problems == ()
    assert [sentence for _, sentence in settings.notes] == [
        "OTEL_TRACEBATON_COLOUR is unknown: nothing reads it.",
        "OTEL_TRACEBATON_LGOS is unknown (did you mean OTEL_TRACEBATON_LOGS?): nothing reads it.",
    ]
