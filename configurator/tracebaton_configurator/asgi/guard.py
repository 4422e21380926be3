"""What goes wrong here while a request is served stays here: it is said once a minute, and the request goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.trace import Status, StatusCode

from tracebaton_configurator.logs import diagnostics

if TYPE_CHECKING:
    from opentelemetry.trace import Span


def described(error: BaseException) -> str:
    """Type and message; the type alone where the exception's own `__str__` raises. Never raises."""
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:  # noqa: BLE001 (an application's `__str__` may do anything)
        return type(error).__name__


def report(sentence: str, error: BaseException) -> None:
    """Say that something failed; the request under way has nothing to do with it."""
    diagnostics.report(sentence, f"{sentence}: {described(error)}")


def note_error(span: Span, error: Exception, timestamp: int | None = None) -> None:
    """Let the span say what the application raised, as `trace.use_span` does. Never raises."""
    try:
        span.record_exception(error, timestamp=timestamp)
    except Exception as failure:  # noqa: BLE001 (see `described`)
        report("An exception could not be recorded", failure)
    try:
        span.set_status(Status(StatusCode.ERROR, described(error)))
    except Exception as failure:  # noqa: BLE001
        report("A span's status could not be set", failure)


def end(span: Span) -> None:
    """End a span, once. Never raises, whatever a span processor of the application's does."""
    try:
        if span.is_recording():
            span.end()
    except Exception as failure:  # noqa: BLE001 (see above)
        report("A span could not be ended", failure)
