"""A text format may name the ids: they are there, 0 outside a request."""

from __future__ import annotations

import logging
import logging.handlers
import queue
from typing import TYPE_CHECKING

import pytest
from opentelemetry import trace

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Log

TRACE_ID, SPAN_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SPAN = trace.NonRecordingSpan(
    trace.SpanContext(int(TRACE_ID, 16), int(SPAN_ID, 16), is_remote=False, trace_flags=trace.TraceFlags(1))
)
NAMES = ("trace_id", "span_id", "otelTraceID", "otelSpanID", "otelTraceSampled", "otelServiceName")
INSIDE = f"x {TRACE_ID} {SPAN_ID} {TRACE_ID} {SPAN_ID} True shop"
OUTSIDE = "x 0 0 0 0 False shop"
FORMATS = {
    "%": " ".join(["%(message)s", *(f"%({name})s" for name in NAMES)]),
    "{": " ".join(["{message}", *(f"{{{name}}}" for name in NAMES)]),
    "$": " ".join(["$message", *(f"${{{name}}}" for name in NAMES)]),
}


@pytest.mark.parametrize("style", FORMATS)
def test_text_has_them_inside_and_outside_a_request(
    log: Log, install: Callable[[str], None], capsys: pytest.CaptureFixture[str], style: str
) -> None:
    install("inject")
    log.handler(logging.Formatter(FORMATS[style], style=style))  # type: ignore[arg-type]
    with trace.use_span(SPAN):
        log.logger.info("x")
    log.logger.info("x")
    assert log.lines == [INSIDE, OUTSIDE]
    assert capsys.readouterr().err == ""


def test_an_unsampled_request(log: Log, install: Callable[[str], None]) -> None:
    install("inject")
    log.handler(logging.Formatter("%(otelTraceSampled)s %(trace_flags)s"))
    context = trace.SpanContext(int(TRACE_ID, 16), int(SPAN_ID, 16), is_remote=False)
    with trace.use_span(trace.NonRecordingSpan(context)):
        log.logger.info("x")
    assert log.lines == ["False 00"]


def test_defaults_of_the_formats_own_win(log: Log, install: Callable[[str], None]) -> None:
    install("inject")
    log.handler(logging.Formatter("%(trace_id)s %(otelTraceID)s", defaults={"otelTraceID": "-"}))
    log.logger.info("x")
    assert log.lines == ["0 -"]


def test_the_record_goes_on_as_it_was(log: Log, install: Callable[[str], None]) -> None:
    install("inject")
    log.handler(logging.Formatter(FORMATS["%"]))
    seen: list[dict[str, object]] = []

    class Reading(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            seen.append(dict(record.__dict__))

    log.logger.addHandler(Reading())
    log.logger.info("x")
    assert not seen[0].keys() & {*NAMES, "trace_flags"}


@pytest.mark.parametrize("mode", ["inject", "json"])
def test_handlers_that_write_to_no_stream(log: Log, install: Callable[[str], None], mode: str) -> None:
    install(mode)
    waiting: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
    handler = logging.handlers.QueueHandler(waiting)
    handler.setFormatter(logging.Formatter(FORMATS["%"]))
    log.logger.addHandler(handler)
    log.logger.info("x")
    assert waiting.get_nowait().getMessage() == OUTSIDE


def test_a_formatter_of_the_applications_own_in_json(log: Log, install: Callable[[str], None]) -> None:
    class Own(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            return super().format(record)

    install("json")
    log.handler(Own(FORMATS["%"]))
    log.logger.info("x")
    (line,) = log.objects
    assert "logging_error" not in line
    assert not line.keys() & {"trace_id", "span_id"}


@pytest.mark.parametrize("mode", ["inject", "json"])
@pytest.mark.parametrize("odd", [{}, ["x"], 5])
def test_a_formatter_may_keep_anything_where_its_format_would_be(
    log: Log, install: Callable[[str], None], capsys: pytest.CaptureFixture[str], mode: str, odd: object
) -> None:
    class Own(logging.Formatter):
        def __init__(self) -> None:
            super().__init__()
            self._fmt = odd  # type: ignore[assignment]

        def format(self, record: logging.LogRecord) -> str:
            return f"own {record.getMessage()}"

    install(mode)
    log.handler(Own())
    log.logger.info("x")
    assert "own x" in log.lines[0] if mode == "inject" else log.objects[0]["message"] == "x"
    assert "logging_error" not in log.lines[0]
    assert capsys.readouterr().err == ""
