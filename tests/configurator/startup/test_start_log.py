"""What the line at the start says in each case."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

import pytest
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from tracebaton_configurator.logs import deduplication, own
from tracebaton_configurator.sampling.root_sampler import SdkRootSampler
from tracebaton_configurator.sampling.sampler import TracebatonSampler
from tracebaton_configurator.settings import Settings, current, read_settings
from tracebaton_configurator.startup import start_log
from tracebaton_configurator.startup.pipeline import Pipeline
from tracebaton_configurator.startup.start_log import start_line
from tracebaton_configurator.startup.state import ProcessState

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMAND = ["python", "/bin/uvicorn", "main:app"]


def read(**environ: str) -> Settings:
    return read_settings({"OTEL_SERVICE_NAME": "shop", **environ}, COMMAND, "/srv/agent-a")


def made(bypass_reason: str | None = None, spool: str | None = None) -> Pipeline:
    return Pipeline((), "SAMPLER", TracebatonSampler(SdkRootSampler(ALWAYS_OFF)), None, bypass_reason, {}, spool)


def line_for(bypass_reason: str | None = None, skipped: tuple[str, ...] = (), **environ: str) -> str:
    pipeline = made(bypass_reason, environ.get("OTEL_TRACEBATON_SPOOL_DIR"))
    return start_line(read(**environ), pipeline, ("fastapi", "httpx"), skipped)


def test_the_usual_case() -> None:
    line = line_for()
    start, _, versions = line.partition("; ")
    assert start == (
        "Tracing is on: service 'shop', spans go to http://localhost:4317 over grpc, sampler SAMPLER, "
        "instrumented: fastapi, httpx"
    )
    for name in ("tracebaton ", "OpenTelemetry ", "Python "):
        assert name in versions


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"OTEL_SERVICE_NAME": ""}, "service 'agent-a' (derived from the command; OTEL_SERVICE_NAME sets another)"),
        ({"OTEL_TRACES_EXPORTER": "none"}, "spans are not exported (OTEL_TRACES_EXPORTER=none)"),
        ({"OTEL_TRACES_EXPORTER": "console"}, ", spans go to console, "),
        ({"OTEL_TRACES_EXPORTER": "otlp_json_file"}, ", spans go to otlp_json_file, "),
        ({"OTEL_TRACES_EXPORTER": "otlp,console"}, "spans go to http://localhost:4317 over grpc and console"),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "https://user:secret@c:4318"},
            "spans go to https://c:4318/v1/traces over http/protobuf",
        ),
        ({"OTEL_TRACEBATON_LOGS": "inject"}, "logs keep their format and gain the ids"),
        ({"OTEL_TRACEBATON_LOGS": "off"}, "logs unchanged"),
        (
            {"OTEL_TRACEBATON_SPOOL_DIR": "/spool", "OTEL_TRACEBATON_SPOOL_MAX_MB": "9"},
            "outages are waited out in /spool, up to 9 MB",
        ),
        ({"OTEL_TRACEBATON_CHILDREN": "false"}, "programs that it runs are not instrumented"),
    ],
)
def test_what_differs_from_the_usual_case(environ: dict[str, str], said: str) -> None:
    line = line_for(**environ)
    assert said in line
    assert "secret" not in line


def test_skipped_instrumentations_and_a_gate_that_stands_aside() -> None:
    line = line_for("metrics are exported, and they count every request", ("redis",))
    assert ", skipped: redis; unsampled requests take upstream's path, because metrics are exported" in line


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        (
            {"OTEL_METRICS_EXPORTER": "otlp"},
            "; OTEL_METRICS_EXPORTER has every service export metrics, and "
            "OTEL_TRACEBATON_METRICS_EXPORTER=none turns that off for tracebaton alone",
        ),
        (
            {"OTEL_LOGS_EXPORTER": "otlp", "OTEL_TRACEBATON_METRICS_EXPORTER": "otlp"},
            "; OTEL_LOGS_EXPORTER has every service export log records, and "
            "OTEL_TRACEBATON_LOGS_EXPORTER=none turns that off for tracebaton alone",
        ),
        (
            {"OTEL_METRICS_EXPORTER": "otlp", "OTEL_LOGS_EXPORTER": "console"},
            "; OTEL_METRICS_EXPORTER and OTEL_LOGS_EXPORTER have every service export metrics and log records, and "
            "OTEL_TRACEBATON_METRICS_EXPORTER=none and OTEL_TRACEBATON_LOGS_EXPORTER=none turn that off for tracebaton "
            "alone",
        ),
    ],
)
def test_what_metrics_and_logs_cost_and_how_to_be_without(environ: dict[str, str], said: str) -> None:
    assert said in line_for(**environ)


def test_whoever_has_chosen_it_for_tracebaton_is_told_nothing() -> None:
    chosen = {"OTEL_TRACEBATON_METRICS_EXPORTER": "otlp", "OTEL_TRACEBATON_LOGS_EXPORTER": "none"}
    assert "every service" not in line_for(**chosen, OTEL_LOGS_EXPORTER="otlp")


class TestOnce:
    @pytest.fixture(autouse=True)
    def nothing_said(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(deduplication.SAID, "")

    def test_a_line_is_new_once(self) -> None:
        assert [deduplication.is_new("a"), deduplication.is_new("b"), deduplication.is_new("a")] == [True, True, False]

    def test_what_is_remembered_is_bounded(self) -> None:
        for number in range(1000):
            assert deduplication.is_new(str(number))
        assert len(os.environ[deduplication.SAID]) < 1000

    def test_odd_characters(self) -> None:
        assert deduplication.is_new("\udcff")


class TestWhatIsSaid:
    @pytest.fixture(autouse=True)
    def fresh(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        state = ProcessState()
        state.distro = state.configurator = True
        monkeypatch.setattr(start_log, "STATE", state)
        monkeypatch.setenv(deduplication.SAID, "")
        yield
        current.cache_clear()

    @pytest.fixture
    def lines(
        self, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> Iterator[pytest.LogCaptureFixture]:
        caplog.set_level(logging.DEBUG, own.NAME)
        logger = logging.getLogger(own.NAME)
        monkeypatch.setattr(logger, "propagate", False)
        logger.addHandler(caplog.handler)  # by itself it listens at the root, which this logger does not reach
        yield caplog
        logger.removeHandler(caplog.handler)

    def test_off_says_why(self, monkeypatch: pytest.MonkeyPatch, lines: pytest.LogCaptureFixture) -> None:
        monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
        current.cache_clear()
        start_log.say_what_is_on()
        monkeypatch.setattr(start_log.STATE, "announced", False)  # as in a worker
        start_log.say_what_is_on()
        assert [(record.levelname, record.getMessage()) for record in lines.records] == [
            ("INFO", "Tracing is off: OTEL_SDK_DISABLED=true."),
            ("DEBUG", "Tracing is off: OTEL_SDK_DISABLED=true."),
        ]

    def test_after_a_failure_nothing_more_is_said(
        self, monkeypatch: pytest.MonkeyPatch, lines: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(start_log.STATE, "failed", RuntimeError("no luck"))
        start_log.warn_if_another_distro_won()
        start_log.say_what_is_on()
        assert lines.records == []

    def test_a_line_that_cannot_be_made_does_not_stop_the_application(
        self, monkeypatch: pytest.MonkeyPatch, lines: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(start_log.STATE, "pipeline", made())
        monkeypatch.setattr(start_log, "_versions", lambda: 1 / 0)
        current.cache_clear()
        start_log.say_what_is_on()
        (record,) = lines.records
        assert record.getMessage().startswith("Tracing is on, but its start-up log line failed: ZeroDivisionError")
