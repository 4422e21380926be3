"""`OTEL_TRACEBATON_*` variables that win over the standard ones of an environment that other programs share."""

import pytest

from tracebaton_configurator.settings import Settings, read_settings

OURS = "http://ours:4317"
THEIRS = "http://theirs:4318"
ENDPOINTS = ("ENDPOINT", "TRACES_ENDPOINT", "METRICS_ENDPOINT", "LOGS_ENDPOINT")


def read(**environ: str) -> Settings:
    return read_settings(environ, ["python", "/bin/uvicorn", "main:app"], "/srv/agent-a")


@pytest.mark.parametrize(
    ("name", "theirs", "ours", "field", "parsed"),
    [
        ("TRACES_EXPORTER", "console", "otlp", "traces_exporters", ("otlp",)),
        ("METRICS_EXPORTER", "otlp", "none", "metrics_exporters", ()),
        ("LOGS_EXPORTER", "none", "otlp", "logs_exporters", ("otlp",)),
        ("SERVICE_NAME", "company", "shop", "service_name", "shop"),
    ],
)
def test_the_override_wins_and_an_empty_one_is_unset(
    name: str, theirs: str, ours: str, field: str, parsed: object
) -> None:
    settings = read(**{f"OTEL_{name}": theirs, f"OTEL_TRACEBATON_{name}": ours})
    assert getattr(settings, field) == parsed
    assert (settings.problems, settings.notes, settings.changes) == ((), (), ())
    assert settings.deciding(f"OTEL_{name}") == f"OTEL_TRACEBATON_{name}"
    empty = read(**{f"OTEL_{name}": theirs, f"OTEL_TRACEBATON_{name}": " "})
    assert getattr(empty, field) == getattr(read(**{f"OTEL_{name}": theirs}), field) != parsed
    assert empty.deciding(f"OTEL_{name}") == f"OTEL_{name}"


def test_the_service_name_wins_over_that_of_the_resource_too() -> None:
    settings = read(OTEL_TRACEBATON_SERVICE_NAME="shop", OTEL_RESOURCE_ATTRIBUTES="service.name=company")
    assert (settings.service_name, settings.service_name_derived) == ("shop", False)


def test_the_endpoint_wins_over_those_of_all_signals_and_leaves_them_alone() -> None:
    theirs = {f"OTEL_EXPORTER_OTLP_{name}": THEIRS for name in ENDPOINTS}
    settings = read(OTEL_TRACEBATON_ENDPOINT=OURS, **theirs)
    assert (settings.endpoint.url, settings.endpoint.protocol, settings.endpoint.overrides) == (OURS, "grpc", True)
    assert (settings.problems, settings.changes) == ((), ())


def test_the_endpoint_is_a_base() -> None:
    settings = read(OTEL_TRACEBATON_ENDPOINT="http://ours:4318", OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=THEIRS)
    assert settings.endpoint.url == "http://ours:4318/v1/traces"


def test_what_is_wrong_with_the_standard_ones_is_for_others_to_say() -> None:
    theirs = {f"OTEL_EXPORTER_OTLP_{name}": "not a URL" for name in ENDPOINTS}
    settings = read(OTEL_TRACEBATON_ENDPOINT=OURS, OTEL_EXPORTER_OTLP_INSECURE="false", **theirs)
    assert (settings.problems, settings.changes) == ((), ())


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("ENDPOINT", "ours:4317", "has no scheme (expected http://HOST:PORT or https://HOST:PORT); http:// is assumed"),
        ("ENDPOINT", "ftp://user:pw@ours", "is not a URL of a receiver"),
        ("METRICS_EXPORTER", "none,otlp", "combines none with other names"),
        ("LOGS_EXPORTER", ",", "names nothing"),
    ],
)
def test_a_wrong_value_is_said_of_the_override_alone(name: str, value: str, said: str) -> None:
    theirs = {f"OTEL_{name}": "otlp"} if name != "ENDPOINT" else {"OTEL_EXPORTER_OTLP_ENDPOINT": "https://theirs:1"}
    settings = read(**{f"OTEL_TRACEBATON_{name}": value, **theirs})
    (problem,) = settings.problems
    assert str(problem).startswith(f"OTEL_TRACEBATON_{name}=")
    assert said in str(problem)
    assert "pw" not in str(problem)
    assert settings.changes == ()
    assert "theirs" not in settings.endpoint.url  # whoever set an override meant another receiver


def test_a_spool_without_the_exporter_names_the_variable_that_decides() -> None:
    (problem,) = read(OTEL_TRACEBATON_SPOOL_DIR="/spool", OTEL_TRACEBATON_TRACES_EXPORTER="console").problems
    assert "together with OTEL_TRACEBATON_TRACES_EXPORTER=otlp" in str(problem)
