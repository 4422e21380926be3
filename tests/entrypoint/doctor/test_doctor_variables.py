"""What the doctor says about each variable."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tracebaton.doctor.finding import Status
from tracebaton_configurator.settings.known import known_variables

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Examine

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"


def test_without_variables_there_is_one_finding(diagnose: Examine) -> None:
    (finding,) = diagnose(check="variables")
    assert (finding.status, finding.message) == (Status.OK, "no OTEL_* variable is set: the defaults hold")


def test_a_known_variable_is_shown_with_its_value(diagnose: Examine) -> None:
    (finding,) = diagnose({"OTEL_SERVICE_NAME": "shop"}, check="variables")
    assert finding.message == "OTEL_SERVICE_NAME='shop'"


def test_other_variables_are_none_of_its_business(diagnose: Examine) -> None:
    given = {"HOME": "/root", "OTHER": "x", "HOTEL_ROOM": "12", "OTELLO": "x"}
    assert [one.message for one in diagnose(given, check="variables")] == [
        "no OTEL_* variable is set: the defaults hold"
    ]


def test_what_upstreams_launcher_lists_is_known() -> None:
    """The table, and what a newer release adds."""
    from opentelemetry.environment_variables import __dict__ as api
    from opentelemetry.sdk.environment_variables import __dict__ as sdk

    names = {value for module in (api, sdk) for name, value in module.items() if name.startswith("OTEL_")}
    assert names <= set(known_variables())


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("OTEL_TRACES_SAMPLR", "OTEL_TRACES_SAMPLER"),
        ("OTEL_EXPORTER_OTLP_ENDPIONT", ENDPOINT),
        ("OTEL_OTLP_ENDPOINT", ENDPOINT),
        ("OTEL_ENDPOINT", ENDPOINT),
        ("OTEL_COLLECTOR_ENDPOINT", ENDPOINT),
        ("OTEL_COLLECTOR_URL", ENDPOINT),
        ("OTEL_SAMPLE_RATE", "OTEL_TRACES_SAMPLER_ARG"),
        ("OTEL_ENABLED", "OTEL_SDK_DISABLED"),
        ("OTEL_ENVIRONMENT", "OTEL_RESOURCE_ATTRIBUTES"),
        ("OTLP_ENDPOINT", ENDPOINT),
        ("OTEL_SERVICENAME", "OTEL_SERVICE_NAME"),
        ("otel_service_name", "OTEL_SERVICE_NAME"),
        ("OTLE_SERVICE_NAME", "OTEL_SERVICE_NAME"),
        ("OTEL_TRACEBATON_LOG", "OTEL_TRACEBATON_LOGS"),
        ("TRACEBATON_LOGS", "OTEL_TRACEBATON_LOGS"),
        ("OTEL_PYTHON_DISABLED_INSTRUMENTATION", "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"),
        ("OTEL_TRACE_EXPORTER", "OTEL_TRACES_EXPORTER"),
    ],
)
def test_an_unknown_name_gets_the_nearest_known_one(diagnose: Examine, name: str, meant: str) -> None:
    (finding,) = diagnose({name: "value-of-it"}, check="variables")
    assert finding.status is Status.WARNING
    assert finding.message == f"{name} is unknown (did you mean {meant}?): nothing reads it"


def test_variables_of_single_instrumentations_are_not_unknown(diagnose: Examine) -> None:
    given = {
        "OTEL_PYTHON_FASTAPI_EXCLUDED_URLS": "health",
        "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST": "x-request-id",
    }
    assert {one.status for one in diagnose(given, check="variables")} == {Status.OK}


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"OTEL_PYTHON_LOG_CORRELATION": "true"}, "opentelemetry-instrumentation-logging, which is not installed"),
        ({"OTEL_BSP_EXPORT_TIMEOUT": "30000"}, "OTEL_EXPORTER_OTLP_TIMEOUT, in seconds, bounds an export"),
        ({"OTEL_EXPORTER_OTLP_INSECURE": "true", ENDPOINT: "http://c:4317"}, "the scheme of the endpoint decides"),
        ({"OTEL_EXPORTER_OTLP_TRACES_INSECURE": "false", ENDPOINT: "https://c:4317"}, "decides, https://"),
        ({"OTEL_EXPORTER_OTLP_CERTIFICATE": "/ca.pem", ENDPOINT: "http://c:4317"}, "the endpoint is plaintext"),
        ({"OTEL_METRIC_EXPORT_INTERVAL": "1000"}, "OTEL_METRICS_EXPORTER is none"),
        ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://c:4317"}, "OTEL_METRICS_EXPORTER is none"),
        ({"OTEL_BLRP_SCHEDULE_DELAY": "1000"}, "OTEL_LOGS_EXPORTER is none"),
        (
            {"OTEL_BLRP_SCHEDULE_DELAY": "1", "OTEL_TRACEBATON_LOGS_EXPORTER": "none"},
            "OTEL_TRACEBATON_LOGS_EXPORTER is",
        ),
        ({"OTEL_TRACEBATON_ENDPOINT": "http://c:1", "OTEL_TRACES_EXPORTER": "none"}, "nothing is exported over OTLP"),
        (
            {"OTEL_EXPORTER_OTLP_INSECURE": "false", "OTEL_TRACEBATON_ENDPOINT": "http://c:1"},
            "the scheme of the endpoint",
        ),
        (
            {"OTEL_RESOURCE_ATTRIBUTES": "service.name=a", "OTEL_TRACEBATON_SERVICE_NAME": "b"},
            "_SERVICE_NAME overrides",
        ),
        ({"OTEL_EXPORTER_OTLP_TIMEOUT": "5", "OTEL_TRACES_EXPORTER": "console"}, "nothing is exported over OTLP"),
        ({"OTEL_EXPORTER_OTLP_TIMEOUT": "5", "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT": "6"}, "_TRACES_TIMEOUT overrides it"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=a", "OTEL_SERVICE_NAME": "b"}, "OTEL_SERVICE_NAME overrides"),
        ({"OTEL_CONFIG_FILE": "otel.yaml"}, "declarative configuration is not read here"),
        ({"OTEL_LOG_LEVEL": "debug"}, "OpenTelemetry for Python does not read it"),
        ({"OTEL_TRACEBATON_KEEP": "trace", "OTEL_TRACEBATON_KEEP_ERRORS": "false"}, "_KEEP_ERRORS is false"),
        ({"OTEL_TRACEBATON_KEEP": "span", "OTEL_TRACES_SAMPLER": "always_on"}, "records every request anyway"),
        ({"OTEL_TRACEBATON_KEEP_ERRORS": "true", "OTEL_TRACES_SAMPLER": "always_on"}, "records every request anyway"),
        ({"OTEL_EXPORTER_ZIPKIN_ENDPOINT": "http://zipkin"}, "there is no Zipkin exporter here"),
    ],
)
def test_a_variable_without_effect_is_named_with_the_reason(
    diagnose: Examine, given: dict[str, str], reason: str
) -> None:
    variable = next(iter(given))
    (finding,) = [one for one in diagnose(given, check="variables") if one.status is not Status.OK]
    assert finding.status is Status.WARNING
    assert finding.message.startswith(f"{variable}=")
    assert " has no effect: " in finding.message
    assert reason in finding.message


def test_they_have_an_effect_where_they_have_one(diagnose: Examine) -> None:
    given = {
        "OTEL_METRICS_EXPORTER": "otlp",
        "OTEL_METRIC_EXPORT_INTERVAL": "1000",
        "OTEL_TRACES_SAMPLER_ARG": "1",
        ENDPOINT: "https://c:4317",
        "OTEL_EXPORTER_OTLP_CERTIFICATE": "/ca.pem",
        "OTEL_TRACEBATON_SPOOL_DIR": "/spool",
        "OTEL_TRACEBATON_SPOOL_MAX_MB": "10",
    }
    assert {one.status for one in diagnose(given, check="variables")} == {Status.OK}


def test_when_disabled_nothing_else_has_an_effect(diagnose: Examine) -> None:
    given = {"OTEL_SDK_DISABLED": "true", "OTEL_SERVICE_NAME": "shop", "OTEL_PYTHON_DISTRO": "tracebaton"}
    warned = [one.message for one in diagnose(given, check="variables") if one.status is Status.WARNING]
    assert warned == ["OTEL_SERVICE_NAME='shop' has no effect: OTEL_SDK_DISABLED=true switches everything off"]
    assert "tracing is off: OTEL_SDK_DISABLED=true" in [one.message for one in diagnose(given, check="settings")]


def test_log_correlation_does_harm_where_its_instrumentation_is_installed(
    diagnose: Examine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "opentelemetry_instrumentation_logging-0.66b2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: opentelemetry-instrumentation-logging\nVersion: 0.66b2\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    (finding,) = diagnose({"OTEL_PYTHON_LOG_CORRELATION": "true"}, check="variables")
    assert finding.status is Status.WARNING
    assert "calls logging.basicConfig before the application does" in finding.message


def test_empty_is_as_good_as_unset(diagnose: Examine) -> None:
    (finding,) = diagnose({"OTEL_TRACES_SAMPLER": "  "}, check="variables")
    assert (finding.status, finding.message) == (Status.OK, "OTEL_TRACES_SAMPLER is empty, which is as good as unset")


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("OTEL_TRACEBATON_SHUTDOWN_TIMEOUT", "5", "is not a duration (expected a duration such as 250ms"),
        ("OTEL_TRACEBATON_SPOOL_MAX_MB", "10", "sets a size but no directory"),
        ("OTEL_SDK_DISABLED", "yes", "is not a boolean (expected true or false); using false"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http", "is unknown (expected grpc or http/protobuf"),
        ("OTEL_TRACES_EXPORTER", "otpl", "'otpl' is unknown (did you mean otlp?)"),
        ("OTEL_TRACES_EXPORTER", "jaeger", "(expected console, none, otlp"),
        ("OTEL_METRICS_EXPORTER", "prometeus", "is unknown"),
        ("OTEL_TRACEBATON_METRICS_EXPORTER", "otpl", "'otpl' is unknown (did you mean otlp?)"),
        ("OTEL_PYTHON_ID_GENERATOR", "xray", "'xray' is unknown (expected random); using random"),
        (
            "OTEL_ATTRIBUTE_COUNT_LIMIT",
            "many",
            "is not a limit (expected a whole number from 0); using 128",
        ),
        ("OTEL_SPAN_LINK_COUNT_LIMIT", "-1", "is not a limit"),
        ("OTEL_EXPERIMENTAL_RESOURCE_DETECTORS", "otel,proces", "package provides (did you mean process?)"),
        ("OTEL_SEMCONV_STABILITY_OPT_IN", "htp", "has 'htp', which is unknown (did you mean http?)"),
        ("OTEL_PYTHON_CONTEXT", "gevent", "is not provided by any installed package (expected contextvars_context"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzp", "is unknown (did you mean gzip?)"),
        ("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "fastapy", "'fastapy' is unknown (did you mean fastapi?)"),
        ("OTEL_RESOURCE_ATTRIBUTES", "team", "is wrong in part 1 (expected key=value,key=value"),
        ("OTEL_PYTHON_FASTAPI_EXCLUDED_URLS", "*health", "is not a list of regular expressions"),
    ],
)
def test_a_wrong_value_is_an_error(diagnose: Examine, name: str, value: str, said: str) -> None:
    (finding,) = diagnose({name: value}, check="variables")
    assert finding.status is Status.ERROR
    assert finding.message.startswith(name)
    assert said in finding.message
    assert finding.remedy == f"correct {name}, or unset it"


def test_what_is_overridden_is_for_other_programs(diagnose: Examine) -> None:
    """In an environment that is shared nobody is to unset it."""
    theirs = {
        "OTEL_TRACES_EXPORTER": "none",
        "OTEL_SERVICE_NAME": "company",
        "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "x",
    }
    ours = {
        "OTEL_TRACEBATON_TRACES_EXPORTER": "otlp",
        "OTEL_TRACEBATON_SERVICE_NAME": "shop",
        "OTEL_TRACEBATON_ENDPOINT": "http://user:pw@ours:4317",
    }
    found = {one.message: one.status for one in diagnose({**theirs, **ours}, check="variables")}
    assert found == {
        "OTEL_TRACES_EXPORTER='none' is for other programs: OTEL_TRACEBATON_TRACES_EXPORTER decides here": Status.OK,
        "OTEL_SERVICE_NAME='company' is for other programs: OTEL_TRACEBATON_SERVICE_NAME decides here": Status.OK,
        "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT='x' is for other programs: OTEL_TRACEBATON_ENDPOINT decides here": Status.OK,
        "OTEL_TRACEBATON_TRACES_EXPORTER='otlp'": Status.OK,
        "OTEL_TRACEBATON_SERVICE_NAME='shop'": Status.OK,
        "OTEL_TRACEBATON_ENDPOINT='http://***@ours:4317'": Status.OK,
    }


def test_milliseconds_are_told_in_seconds(diagnose: Examine) -> None:
    (finding,) = [
        one
        for one in diagnose({"OTEL_EXPORTER_OTLP_TIMEOUT": "3000"}, check="variables")
        if one.status is not Status.OK
    ]
    assert "is read as milliseconds, 3s" in finding.message
    assert finding.remedy == "write seconds: OTEL_EXPORTER_OTLP_TIMEOUT=3"
