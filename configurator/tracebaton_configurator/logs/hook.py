"""The log-correlation hook: a few places of the standard library's `logging`, patched so that any set-up is served.

An application configures logging when it likes and as often as it likes (`basicConfig`, `dictConfig`, uvicorn's own, a
handler added in a lifespan). All of that ends in the same methods, so they are where this stands:

* `Logger.handle` puts the ids of the moment of logging on the record;
* `Handler.format` turns the record into text, once for each stream. For a handler with a `format` of its own that is
  `StreamHandler.emit`, which calls it.

Checked with CPython 3.10 to 3.13 (Lib/logging/__init__.py).
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from tracebaton_configurator.logs import libraries
from tracebaton_configurator.logs.captured import is_captured
from tracebaton_configurator.logs.formatter import JsonLines
from tracebaton_configurator.logs.ids import current_ids, ended_ids, remembered_ids
from tracebaton_configurator.logs.objects import object_with_ids
from tracebaton_configurator.logs.shown import shown_in
from tracebaton_configurator.logs.stock import ONLY_THE_MESSAGE, TEXT, UNKNOWN, comes_from, what_it_prints

if TYPE_CHECKING:
    from collections.abc import Callable


_handle = logging.Logger.handle
_format = logging.Handler.format
_emit = logging.StreamHandler.emit
# Somebody may have replaced it before: what that prints is used then, whatever the formatter.
_is_replaced = not comes_from(logging.Handler, "format")

# The access log of gunicorn's asgi worker, written in the task of the request once the application has returned.
# Checked with gunicorn 27 (gunicorn/asgi/protocol.py).
_WRITTEN_AFTERWARDS = ("gunicorn.access",)


# Called with the first line of a server: it is about to serve, whereas a tool may have imported one for something else.
on_server_line: Callable[[], object] | None = None
_SERVERS = frozenset(("uvicorn", "gunicorn", "hypercorn", "granian", "_granian", "daphne"))


def install(mode: str, service_name: str, extras: str | frozenset[str] = "masked") -> Callable[[], None]:
    """Patch `logging` for mode `json` or `inject`; `off` patches nothing. Returns what undoes it.

    `extras` says what mode `json` writes of those; see `OTEL_TRACEBATON_LOG_EXTRAS`.
    """
    if mode == "off":
        return lambda: None
    logging.Logger.handle = _handle_with_ids  # type: ignore[method-assign]
    json_lines = JsonLines(service_name, extras) if mode == "json" else None
    format_record = _format_and_inject if json_lines is None else _make_format_json(json_lines)
    logging.Handler.format = format_record  # type: ignore[method-assign,assignment]
    if json_lines is not None:
        logging.StreamHandler.emit = _make_emit_json(json_lines, format_record)  # type: ignore[method-assign,assignment]
    libraries.install(json_lines)
    return _uninstall


def _uninstall() -> None:
    logging.Logger.handle = _handle  # type: ignore[method-assign]
    logging.Handler.format = _format  # type: ignore[method-assign]
    logging.StreamHandler.emit = _emit  # type: ignore[method-assign]
    libraries.uninstall()


def _handle_with_ids(self: logging.Logger, record: logging.LogRecord) -> None:
    if on_server_line is not None and record.name.partition(".")[0] in _SERVERS:
        on_server_line()
    fields = record.__dict__
    # A record that comes with ids, from another process or the application's own `extra`, keeps them.
    if "trace_id" not in fields:
        try:
            ids = current_ids()
            if ids is None and record.exc_info:
                # A server logs the exception of a request when the request is over.
                ids = remembered_ids(record.exc_info[1])
            elif ids is None and record.name in _WRITTEN_AFTERWARDS:
                ids = ended_ids()
        except Exception:  # noqa: BLE001 (an odd record, an odd exception: the line is printed all the same)
            ids = None
        if ids is not None:
            fields["trace_id"], span_id, trace_flags = ids
            fields.setdefault("span_id", span_id)
            fields.setdefault("trace_flags", trace_flags)
    _handle(self, record)


# Handlers that send mail, speak syslog or feed a queue have a reader who expects what they sent before: what follows is
# for those that write to a stream or a file. Neither raises more than the application's own formatter would.


def _format_and_inject(self: logging.Handler, record: logging.LogRecord) -> str:
    """`Handler.format` for mode `inject`."""
    text = _format(self, record)
    if "trace_id" not in record.__dict__ or not isinstance(self, logging.StreamHandler) or is_captured(self.stream):
        return text
    return object_with_ids(text, record, one_line=False) or text


def _make_format_json(json_lines: JsonLines) -> Callable[[logging.Handler, logging.LogRecord], str]:
    """`Handler.format` for mode `json`."""

    def format_record(self: logging.Handler, record: logging.LogRecord) -> str:
        if (
            not isinstance(self, logging.StreamHandler)
            or is_captured(self.stream)
            or type(self).format is not format_record  # `emit`, see below, makes JSON of what that returns
            or "format" in self.__dict__
        ):
            return _format(self, record)
        formatter = self.formatter or logging._defaultFormatter  # type: ignore[attr-defined]  # noqa: SLF001
        foreign = libraries.line_of(formatter, record, json_lines)
        if foreign is not None:
            return foreign
        printed = UNKNOWN if _is_replaced else what_it_prints(formatter)
        if printed == TEXT:
            return json_lines.format(record)
        if printed == ONLY_THE_MESSAGE:
            line = json_lines.format(record)
            if not str(record.__dict__.get("message")).startswith("{"):
                return line
        return line_of_text(lambda: _format(self, record), record, json_lines, is_known=printed != UNKNOWN)

    return format_record


def line_of_text(
    make_text: Callable[[], str], record: logging.LogRecord, json_lines: JsonLines, *, is_known: bool
) -> str:
    """The JSON line for what a formatter makes of the record. `is_known`: its text hides nothing of the record."""
    try:
        text = make_text()
        own = object_with_ids(text, record, one_line=True)
        if own is not None:
            return own
        return json_lines.format(record) if is_known else json_lines.format(shown_in(text, record))
    except Exception as error:
        if type(error).__name__ == "DropEvent":  # structlog's, by which a processor says that no line is wanted
            raise
        # A broken format string fails in every formatter.
        return json_lines.format_broken(record, error, is_known=is_known)


def _make_emit_json(json_lines: JsonLines, format_record: Any) -> Callable[[Any, logging.LogRecord], None]:
    """`StreamHandler.emit` for mode `json`.

    A handler may have a `format` of its own, which hides something in the text that the hook's would return. So that
    returns text, and what the handler has made of it becomes JSON afterwards.
    """

    class Emitting:
        """Stands in for a handler, of which `emit` needs little besides `format`."""

        def __init__(self, handler: logging.Handler) -> None:
            self._handler = handler

        def __getattr__(self, name: str) -> Any:
            return getattr(self._handler, name)

        def format(self, record: logging.LogRecord) -> str:
            return line_of_text(lambda: self._handler.format(record), record, json_lines, is_known=False)

    def emit(self: Any, record: logging.LogRecord) -> None:
        if (type(self).format is format_record and "format" not in self.__dict__) or is_captured(self.stream):
            _emit(self, record)
        else:
            _emit(Emitting(self), record)  # type: ignore[arg-type]

    return emit
