"""`OTEL_TRACEBATON_LOG_FIELDS`: what tracebaton writes has the names that a log product looks for."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace

from tracebaton_configurator.logs import hook
from tracebaton_configurator.settings import read_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Log

TRACE_ID, SPAN_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SPAN = trace.NonRecordingSpan(
    trace.SpanContext(int(TRACE_ID, 16), int(SPAN_ID, 16), is_remote=False, trace_flags=trace.TraceFlags(1))
)
DECIMAL = {"dd.trace_id": str(0x8448EB211C80319C), "dd.span_id": str(int(SPAN_ID, 16))}
IDS: dict[str, dict[str, Any]] = {
    "ecs": {"trace.id": TRACE_ID, "span.id": SPAN_ID, "trace_flags": "01"},
    "datadog": {**DECIMAL, "trace_flags": "01"},
    "gcp": {
        "logging.googleapis.com/trace": TRACE_ID,
        "logging.googleapis.com/spanId": SPAN_ID,
        "logging.googleapis.com/trace_sampled": True,
    },
    "trace_id=trace.id, pid=process,level=severity": {"trace.id": TRACE_ID, "span_id": SPAN_ID, "trace_flags": "01"},
    "ecs,trace_id=trace": {"trace": TRACE_ID, "span.id": SPAN_ID, "trace_flags": "01"},
}
NAMES = {
    "ecs": ("@timestamp", "log.level", "log.logger", "message", "service.name", "process.pid", "error.stack_trace"),
    "datadog": ("timestamp", "status", "logger.name", "message", "service", "pid", "error.stack"),
    "gcp": ("time", "severity", "logger", "message", "service.name", "pid", "stack_trace"),
    "trace_id=trace.id, pid=process,level=severity": (
        "timestamp", "severity", "logger", "message", "service.name", "process", "exc_info",
    ),
    "ecs,trace_id=trace": (
        "@timestamp", "log.level", "log.logger", "message", "service.name", "process.pid", "error.stack_trace",
    ),
}  # fmt: skip


@pytest.fixture
def installed(request: pytest.FixtureRequest) -> Iterator[str]:
    setting = read_settings({"OTEL_TRACEBATON_LOG_FIELDS": request.param}, ["x"], "/").log_fields
    undo = hook.install("json", "shop", "masked", setting)
    yield request.param
    undo()
    hook.install("off", "shop")


@pytest.mark.parametrize("installed", NAMES, indirect=True)
@pytest.mark.parametrize("extra", [{"room": 7}, {"room": float("nan")}])
def test_a_line(log: Log, installed: str, extra: dict[str, Any]) -> None:
    log.handler(logging.Formatter("%(process)d %(message)s"))
    with trace.use_span(SPAN):
        try:
            raise ValueError("broken")
        except ValueError:
            log.logger.exception("hello", extra=extra)
    (line,) = log.objects
    stamp, level, logger, message, service, pid, exception = NAMES[installed]
    assert line.pop(exception).endswith("ValueError: broken")
    assert line.pop(stamp).endswith("Z")
    line.pop("room")
    values = {level: "ERROR", logger: "app", message: "hello", service: "shop", pid: os.getpid()}
    assert line == {**values, **IDS[installed]}


@pytest.mark.parametrize("installed", NAMES, indirect=True)
def test_an_object_of_the_applications_gains_them(log: Log, installed: str) -> None:
    log.handler(logging.Formatter('{"m": "%(message)s"}'))
    with trace.use_span(SPAN):
        log.logger.info("hello")
        log.logger.info("own", extra={"trace_id": "mine"})
    assert log.objects[0] == {"m": "hello", **IDS[installed]}


@pytest.mark.parametrize("installed", ["ecs"], indirect=True)
@pytest.mark.parametrize("value", [1, float("nan")])
def test_an_extra_forges_none_of_them(log: Log, installed: str, value: float) -> None:
    log.handler()
    log.logger.info("hello", extra={"log.level": "CRITICAL", "level": "CRITICAL", "n": value})
    assert log.objects[0]["log.level"] == "INFO"
    assert (log.objects[0]["extra.log.level"], log.objects[0]["extra.level"]) == ("CRITICAL", "CRITICAL")


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("elastic", "has 'elastic'"),
        ("room=x", "has 'room=x'"),
        ("trace_id=", "has 'trace_id='"),
        ("ecs,gcp", "has 'gcp'"),
        ("trace_id=message", "gives two fields the same name"),
    ],
)
def test_a_wrong_setting_is_said_and_changes_nothing(value: str, reason: str) -> None:
    here = read_settings({"OTEL_TRACEBATON_LOG_FIELDS": value}, ["x"], "/")
    assert here.log_fields == ("", ())
    assert reason in str(here.problems[0])


@pytest.mark.parametrize("installed", ["ecs"], indirect=True)
def test_loguru_and_structlog(log: Log, installed: str) -> None:
    import structlog
    from loguru import logger

    logger.remove()
    logger.add(log.stream, format="{message}", serialize=True)
    with trace.use_span(SPAN):
        logger.info("hello")
        for renderer in (structlog.processors.JSONRenderer(), structlog.processors.KeyValueRenderer()):
            structlog.wrap_logger(structlog.PrintLogger(log.stream), processors=[renderer]).info("hello")
    logger.remove()
    for line in log.objects:
        assert line.items() >= IDS["ecs"].items()
