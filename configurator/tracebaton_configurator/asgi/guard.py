"""What goes wrong here while a request is served stays here: it is said once a minute, and the request goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.trace import Status, StatusCode

from tracebaton_configurator.logs.diagnostics import described, report_error

if TYPE_CHECKING:
    from opentelemetry.trace import Span


def note_error(span: Span, error: Exception, timestamp: int | None = None) -> None:
    """Let the span say what the application raised, as `trace.use_span` does. Never raises."""
    try:
        span.record_exception(error, timestamp=timestamp)
    except Exception as failure:  # noqa: BLE001 (see `described`)
        report_error("An exception could not be recorded", failure)
    try:
        span.set_status(Status(StatusCode.ERROR, described(error)))
    except Exception as failure:  # noqa: BLE001
        report_error("A span's status could not be set", failure)


def end(span: Span) -> None:
    """End a span, once. Never raises, whatever a span processor of the application's does."""
    try:
        if span.is_recording():
            span.end()
    except Exception as failure:  # noqa: BLE001 (see above)
        report_error("A span could not be ended", failure)
