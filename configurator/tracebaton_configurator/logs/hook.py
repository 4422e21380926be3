"""The log-correlation hook: a few places of the standard library's `logging`, patched so that any set-up is served.

An application configures logging when it likes and as often as it likes (`basicConfig`, `dictConfig`, uvicorn's own, a
handler added in a lifespan). All of that ends in the same methods, so they are where this stands:

* `Logger.handle` puts the ids of the moment of logging on the record;
* `StreamHandler.emit` turns the record into text and writes it;
* `Handler.format` is asked by others for the text, and gives them the application's own: they may go on to alter it.

Checked with CPython 3.10 to 3.14 (Lib/logging/__init__.py).
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any

from tracebaton_configurator.logs import libraries, writing
from tracebaton_configurator.logs.captured import is_captured
from tracebaton_configurator.logs.formatter import JsonLines
from tracebaton_configurator.logs.ids import current_ids, ended_ids, remembered_ids
from tracebaton_configurator.logs.logged_errors import note_logged
from tracebaton_configurator.logs.objects import object_with_ids
from tracebaton_configurator.logs.shown import Made, shown_in
from tracebaton_configurator.logs.stock import ONLY_THE_MESSAGE, TEXT, UNKNOWN, comes_from, what_it_prints
from tracebaton_configurator.names import SERVER_MODULES
from tracebaton_configurator.patching.registry import apply

if TYPE_CHECKING:
    from collections.abc import Callable


_handle = logging.Logger.handle
_format = logging.Handler.format
_emit = logging.StreamHandler.emit
# Somebody may have replaced it before: what that prints is used then, whatever the formatter.
_is_replaced = not comes_from(logging.Handler, "format")
_emit_is_replaced = not comes_from(logging.StreamHandler, "emit")

# The access log of gunicorn's asgi worker, written in the task of the request once the application has returned.
# Checked with gunicorn 27 (gunicorn/asgi/protocol.py).
_WRITTEN_AFTERWARDS = ("gunicorn.access",)


# Called with the first line of a server: it is about to serve, whereas a tool may have imported one for something else.
on_server_line: Callable[[], object] | None = None
_SERVERS = frozenset((*SERVER_MODULES, "_granian"))


def install(mode: str, service_name: str, extras: str | frozenset[str] = "masked") -> Callable[[], None]:
    """Patch `logging` for mode `json` or `inject`; `off` patches nothing. Returns what undoes it.

    `extras` says what mode `json` writes of those; see `OTEL_TRACEBATON_LOG_EXTRAS`.
    """
    if mode == "off":
        return lambda: None
    json_lines = JsonLines(service_name, extras) if mode == "json" else None
    apply("logging", lambda: _replace_methods(json_lines))
    libraries.install(json_lines)
    return _uninstall


def _replace_methods(json_lines: JsonLines | None) -> None:
    logging.Logger.handle = _handle_with_ids  # type: ignore[method-assign]
    format_record = _format_and_inject if json_lines is None else _make_format_json(json_lines)
    logging.Handler.format = format_record  # type: ignore[method-assign,assignment]
    if json_lines is not None and not _emit_is_replaced:
        logging.StreamHandler.emit = _make_emit_json(json_lines, format_record)  # type: ignore[method-assign,assignment]


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
    if record.levelno >= logging.ERROR and record.exc_info:
        note_logged(record.exc_info, record.name)
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
    """`Handler.format` for mode `json`: text, except for those who write it down unchanged."""

    def format_record(self: logging.Handler, record: logging.LogRecord) -> str:
        if not isinstance(self, logging.StreamHandler):
            return _format_to_hand_on(self, record)
        if sys._getframe(1).f_globals.get("__name__") in writing.MODULES:  # noqa: SLF001
            return _line(self, record, json_lines, format_record)
        return _format_and_inject(self, record)

    return format_record


def _make_emit_json(json_lines: JsonLines, format_record: Any) -> Callable[[Any, logging.LogRecord], None]:
    """`StreamHandler.emit` for mode `json`, which does what the standard library's does with another text."""

    def emit(self: Any, record: logging.LogRecord) -> None:
        try:
            line = _line(self, record, json_lines, format_record)
            self.stream.write(line + self.terminator)
            self.flush()
        except RecursionError:
            raise
        except Exception:  # noqa: BLE001 (as every handler of the standard library does)
            self.handleError(record)

    emit.of_tracebaton = True  # type: ignore[attr-defined]
    return emit


def _line(self: Any, record: logging.LogRecord, json_lines: JsonLines, format_record: Any) -> str:
    """What a handler is to write: a JSON line where that reaches the reader as it is."""
    is_stock, tells = writing.methods_of(self)
    stream = self.stream
    if is_captured(stream) or not writing.passes_on(stream) or not (is_stock or writing.is_file(stream)):
        text: str = self.format(record)
        return text
    if type(self).format is not format_record or "format" in self.__dict__:  # it may hide something in the text
        return line_of_text(lambda: self.format(record), record, json_lines, is_known=False, tells=tells)
    formatter = self.formatter or logging._defaultFormatter  # type: ignore[attr-defined]  # noqa: SLF001
    found = libraries.line_of(formatter, record, json_lines) if tells else None
    if found is not None:
        return found
    is_unknown = _is_replaced or not is_stock or type(record.msg) is Made
    printed = UNKNOWN if is_unknown else what_it_prints(formatter)
    if printed == TEXT and tells:
        return json_lines.format(record)
    if printed == ONLY_THE_MESSAGE and tells:
        line = json_lines.format(record)
        if not str(record.__dict__.get("message")).startswith("{"):
            return line
    return line_of_text(lambda: _format(self, record), record, json_lines, is_known=printed != UNKNOWN, tells=tells)


def _format_to_hand_on(handler: logging.Handler, record: logging.LogRecord) -> str:
    """A `QueueHandler` makes the text the message of another record, of which extras are no more than it shows."""
    text = _format(handler, record)
    if not hasattr(handler, "prepare"):
        return text
    is_made = handler.formatter is not None and what_it_prints(handler.formatter) == UNKNOWN
    return Made(text) if is_made or type(record.msg) is Made else text


def line_of_text(
    make_text: Callable[[], str], record: logging.LogRecord, json_lines: JsonLines, *, is_known: bool, tells: bool
) -> str:
    """The JSON line for what a formatter makes of the record. `is_known`: its text hides nothing of the record.

    `tells`: the standard library would print a record that cannot be formatted. Otherwise the application does that.
    """
    try:
        text = make_text()
        own = object_with_ids(text, record, one_line=True)
        if own is not None:
            return own
        return json_lines.format(record) if is_known else json_lines.format(shown_in(text, record))
    except Exception as error:
        # structlog's DropEvent is how a processor says that no line is wanted.
        if not tells or type(error).__name__ == "DropEvent":
            raise
        # A broken format string fails in every formatter.
        return json_lines.format_broken(record, error, is_known=is_known)
