"""Names with a meaning, and what is shown of a value."""

from __future__ import annotations

import pytest

from tracebaton_configurator import environment_variables as ours
from tracebaton_configurator.settings.known import is_of_instrumentation, known_variables
from tracebaton_configurator.settings.problem import masked
from tracebaton_configurator.settings.service_name import says_nothing


def test_what_upstream_lists_ours_and_what_nobody_lists_is_known() -> None:
    known = known_variables()
    assert {"OTEL_SERVICE_NAME", "OTEL_PYTHON_DISTRO", "OTEL_BLRP_MAX_QUEUE_SIZE", "OTEL_PYTHON_LOG_FORMAT"} <= known
    assert {name for name in vars(ours) if name.startswith("OTEL_")} <= known


@pytest.mark.parametrize(
    ("name", "is_it"),
    [
        ("OTEL_PYTHON_FASTAPI_EXCLUDED_URLS", True),
        ("OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SANITIZE_FIELDS", True),
        ("OTEL_PYTHON_DISABLED_INSTRUMENTATION", False),
        ("OTEL_EXPORTER_OTLP_EXCLUDED_URLS", False),
    ],
)
def test_what_only_an_instrumentation_knows(name: str, *, is_it: bool) -> None:
    assert is_of_instrumentation(name) is is_it


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("http://c:4317", "http://c:4317"),
        ("http://user:secret@c:4317", "http://***@c:4317"),
        ("user:secret@c:4317", "***@c:4317"),
        ("http://user:sec/ret@c:4317", "http://***@c:4317"),
        ("http://user:sec@ret@c:4317", "http://***@c:4317"),
        ("http://user:sec?ret@c:4317", "http://***@c:4317"),
    ],
)
def test_an_endpoint_is_shown_without_credentials_however_it_is_written(value: str, shown: str) -> None:
    assert masked("OTEL_EXPORTER_OTLP_ENDPOINT", value) == shown


def test_names_that_say_nothing() -> None:
    assert [name for name in ("main", "app", "python", "shop", "agent-a") if says_nothing(name)] == [
        "main",
        "app",
        "python",
    ]
