"""The handler that gives the records of `logging` to the exporters of `OTEL_LOGS_EXPORTER`, on the root logger.

It is upstream's, with its semantics: what reaches the root logger is exported. The ids are those of the record, once,
and extras are masked as in a JSON line. Where upstream's logging instrumentation has put its own handler there, that
one exports.

Checked with opentelemetry-sdk 1.42.0 to 1.45.2 (opentelemetry/sdk/_configuration/__init__.py, `_init_logging`).
"""

from __future__ import annotations

import logging
import logging.config
import warnings
from contextlib import suppress
from copy import copy
from functools import wraps
from typing import TYPE_CHECKING, Any

from opentelemetry.context import attach, detach
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

from tracebaton_configurator import settings
from tracebaton_configurator.logs.events import RESERVED
from tracebaton_configurator.logs.extras import Extras
from tracebaton_configurator.logs.ids import Ids, current_ids
from tracebaton_configurator.logs.named_ids import OTEL_NAMES
from tracebaton_configurator.patching.registry import apply

if TYPE_CHECKING:
    from collections.abc import Callable

_SWITCH = "OTEL_PYTHON_LOGGING_AUTO_INSTRUMENTATION_ENABLED"
_UPSTREAMS = "opentelemetry.instrumentation.logging.handler"
_WRITTEN_ONCE = frozenset((*Ids._fields, *OTEL_NAMES))


def install(provider: Any) -> None:
    """Put the handler on the root logger; upstream's variable, set to false, leaves it out."""
    if settings.environment().get(_SWITCH, "").strip().lower() == "false":
        return
    handler = _make(provider, Extras(settings.current().log_extras))
    logging.getLogger().addHandler(handler)
    apply("log-export", lambda: _keep_through_configuration(handler))


def _make(provider: Any, extras: Extras) -> logging.Handler:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # upstream means it to be replaced by its instrumentation
        from opentelemetry.sdk._logs import LoggingHandler

        class ExportHandler(LoggingHandler):
            def emit(self, record: logging.LogRecord) -> None:
                if any(type(one).__module__ == _UPSTREAMS for one in logging.getLogger().handlers):
                    return
                try:
                    _emit_once(super().emit, record, extras)
                except RecursionError:
                    raise
                except Exception:  # noqa: BLE001 (as every handler of the standard library does)
                    self.handleError(record)

        return ExportHandler(logger_provider=provider)


def _emit_once(emit: Callable[[logging.LogRecord], None], record: logging.LogRecord, extras: Extras) -> None:
    shown, fields = copy(record), record.__dict__
    ids = tuple(fields.get(name) for name in Ids._fields)
    made = fields.get("getMessage") or type(record).getMessage
    if made is not logging.LogRecord.getMessage:  # it may redact, by what is on the record
        text, shown = record.getMessage(), logging.LogRecord("", 0, "", 0, "", None, None)
        shown.__dict__.update(fields, msg=text, args=None)
        shown.__dict__.pop("getMessage", None)
    context = None
    if ids[0] is not None:
        context = _context_of(ids)
        if context is not None:
            for name in _WRITTEN_ONCE:
                shown.__dict__.pop(name, None)
    others = {name: shown.__dict__.pop(name) for name in fields.keys() - RESERVED if name in shown.__dict__}
    shown.__dict__.update(extras.shown_fields(others))
    _take_made_text(shown)
    if isinstance(shown.msg, dict):
        shown.msg = extras.masked_fields(shown.msg)
    if context is None or current_ids() == ids:
        emit(shown)
        return
    token = attach(context)  # a queue, or a line about an exception after its request
    try:
        emit(shown)
    finally:
        detach(token)


def _take_made_text(shown: logging.LogRecord) -> None:
    """The text that a filter or a formatter has made of the exception in place of that: it may hide something."""
    text, exc_info = shown.exc_text, shown.exc_info
    if not text or not isinstance(exc_info, tuple) or exc_info[0] is None:
        return
    shown.exc_info = None
    shown.__dict__["exception.type"] = exc_info[0].__name__
    shown.__dict__["exception.stacktrace"] = text
    message = str(exc_info[1].args[0]) if exc_info[1] is not None and exc_info[1].args else ""
    if message and message in text:
        shown.__dict__["exception.message"] = message


def _context_of(ids: tuple[Any, ...]) -> Any:
    """The context of ids as this project writes them; None for any other."""
    with suppress(TypeError, ValueError):
        trace_id, span_id, flags = ids
        if len(trace_id) == 32 and len(span_id) == 16:
            known = SpanContext(
                int(trace_id, 16), int(span_id, 16), is_remote=False, trace_flags=TraceFlags(int(flags))
            )
            return set_span_in_context(NonRecordingSpan(known)) if known.is_valid else None
    return None


def _keep_through_configuration(handler: logging.Handler) -> None:
    """Have the functions that configure logging find, and leave, the root logger as if the handler were not there."""

    def around(configure: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(configure)
        def configured(*given: Any, **named: Any) -> Any:
            root = logging.getLogger()
            was_there = handler in root.handlers
            if was_there:
                root.handlers.remove(handler)
            try:
                return configure(*given, **named)
            finally:
                if was_there:
                    root.addHandler(handler)

        return configured

    logging.basicConfig = around(logging.basicConfig)
    logging.config.dictConfig = around(logging.config.dictConfig)
    logging.config.fileConfig = around(logging.config.fileConfig)
