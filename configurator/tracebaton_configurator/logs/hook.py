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

from tracebaton_configurator.logs import (
    asyncio_reports,
    captured,
    field_names,
    format_fields,
    libraries,
    named_ids,
    standard,
    uncaught,
    upstream_json_logger,
    writing,
)
from tracebaton_configurator.logs.captured import is_captured
from tracebaton_configurator.logs.events import without_colours
from tracebaton_configurator.logs.formatter import JsonLines
from tracebaton_configurator.logs.ids import is_placeholder
from tracebaton_configurator.logs.logged_errors import note_logged
from tracebaton_configurator.logs.objects import object_with_ids, shows_ids
from tracebaton_configurator.logs.record_ids import put_ids, put_ids_where_lacking
from tracebaton_configurator.logs.shown import Made, shown_in
from tracebaton_configurator.logs.stock import ONLY_THE_MESSAGE, TEXT, UNKNOWN, comes_from, what_it_prints
from tracebaton_configurator.logs.values import encodable
from tracebaton_configurator.names import SERVER_MODULES
from tracebaton_configurator.patching.registry import apply

if TYPE_CHECKING:
    from collections.abc import Callable


_handle = logging.Logger.handle
_format = logging.Handler.format
_emit = logging.StreamHandler.emit
# Somebody may have replaced it before: what that prints is used then, whatever the formatter.
_is_replaced = not comes_from(logging.Handler, "format")
_patched_format: Any = None
_emit_is_replaced = not comes_from(logging.StreamHandler, "emit")

# Called with the first line of a server: it is about to serve, whereas a tool may have imported one for something else.
on_server_line: Callable[[], object] | None = None
_SERVERS = frozenset((*SERVER_MODULES, "_granian"))


def install(
    mode: str,
    service_name: str,
    extras: str | frozenset[str] = "masked",
    fields: tuple[str, tuple[tuple[str, str], ...]] = ("", ()),
) -> Callable[[], None]:
    """Patch `logging` for mode `json` or `inject`; `off` patches nothing. Returns what undoes it.

    `extras` says what mode `json` writes of those, `fields` how its own are called; see `OTEL_TRACEBATON_LOG_EXTRAS`
    and `OTEL_TRACEBATON_LOG_FIELDS`.
    """
    if mode == "off":
        return lambda: None
    field_names.use(*fields)
    json_lines = JsonLines(service_name, extras) if mode == "json" else None
    named_ids.service_name = service_name
    apply("logging", lambda: _replace_methods(json_lines))
    libraries.install(json_lines)
    leave_asyncio = asyncio_reports.install()
    leave_hooks = uncaught.install(json_lines) if json_lines is not None else None

    def uninstall() -> None:
        if leave_hooks is not None:
            leave_hooks()
        leave_asyncio()
        _uninstall()

    return uninstall


def _replace_methods(json_lines: JsonLines | None) -> None:
    logging.Logger.handle = _handle_with_ids  # type: ignore[method-assign]
    format_record = _format_and_inject if json_lines is None else _make_format_json(json_lines)
    global _patched_format  # noqa: PLW0603 (whoever replaces it later may hide something)
    logging.Handler.format = _patched_format = format_record  # type: ignore[method-assign,assignment]
    if json_lines is not None and not _emit_is_replaced:
        logging.StreamHandler.emit = _make_emit_json(json_lines)  # type: ignore[method-assign,assignment]


def _uninstall() -> None:
    logging.Logger.handle = _handle  # type: ignore[method-assign]
    logging.Handler.format = _format  # type: ignore[method-assign]
    logging.StreamHandler.emit = _emit  # type: ignore[method-assign]
    libraries.uninstall()


def _handle_with_ids(self: logging.Logger, record: logging.LogRecord) -> None:
    if on_server_line is not None and record.name.partition(".")[0] in _SERVERS:
        on_server_line()
    # A record that comes with ids, from another process or the application's own `extra`, keeps them.
    told = record.__dict__.get("trace_id")
    if told is None or is_placeholder(told):
        put_ids(record)
    if record.levelno >= logging.ERROR and record.exc_info:
        note_logged(record.exc_info, record.name)
    _handle(self, record)


# Handlers that send mail, speak syslog or feed a queue have a reader who expects what they sent before: what follows is
# for those that write to a stream or a file. Neither raises more than the application's own formatter would.


def _text_of(handler: logging.Handler, record: logging.LogRecord) -> str:
    """The application's own text. Ids that only its format asks for are on the record for as long as that is made."""
    formatter: Any = handler.formatter
    try:
        names_none = formatter is None or formatter._fmt in named_ids.without  # noqa: SLF001
    except Exception:  # noqa: BLE001 (a formatter of the application's own, which may keep anything there)
        names_none = False
    if names_none:  # as most formats
        return _format(handler, record)
    lent = named_ids.missing(formatter, record.__dict__)
    if not lent:
        return _format(handler, record)
    record.__dict__.update(lent)
    try:
        return _format(handler, record)
    finally:
        for name in lent:
            record.__dict__.pop(name, None)


def _format_and_inject(self: logging.Handler, record: logging.LogRecord) -> str:
    """`Handler.format` for mode `inject`."""
    put_ids_where_lacking(record, _handle_with_ids)
    if "trace_id" not in record.__dict__ or not isinstance(self, logging.StreamHandler) or is_captured(self.stream):
        return _text_of(self, record)
    line = None if _is_replaced else upstream_json_logger.line_of(self.formatter, record)
    if line is not None:
        return line
    text = _text_of(self, record)
    if text[:1] != "{" or shows_ids(text, record.__dict__):
        return text
    line = object_with_ids(text, record, one_line=False)
    return text if line is None or line is text or standard.is_in_memory(self.stream) else line


def _make_format_json(json_lines: JsonLines) -> Callable[[logging.Handler, logging.LogRecord], str]:
    """`Handler.format` for mode `json`: text, except for those who write it down unchanged."""

    def format_record(self: logging.Handler, record: logging.LogRecord) -> str:
        put_ids_where_lacking(record, _handle_with_ids)
        if not isinstance(self, logging.StreamHandler):
            return _format_to_hand_on(self, record)
        if sys._getframe(1).f_globals.get("__name__") in writing.MODULES:  # noqa: SLF001
            line = _line(self, record, json_lines)
            if line is not None:
                return encodable(line, self.stream)
        return _format_and_inject(self, record)

    return format_record


def _make_emit_json(json_lines: JsonLines) -> Callable[[Any, logging.LogRecord], None]:
    """`StreamHandler.emit` for mode `json`, which does what the standard library's does with another text."""

    def emit(self: Any, record: logging.LogRecord) -> None:
        try:
            line = _line(self, record, json_lines)
            if line is None:
                text = self.format(record)
                self.stream.write(text + self.terminator)
            else:
                if line[-1] != "}" or not line.isascii():
                    line = encodable(line.rstrip(), self.stream)
                self.stream.write(line + "\n")
            self.flush()
        except RecursionError:
            raise
        except Exception:  # noqa: BLE001 (as every handler of the standard library does)
            self.handleError(record)

    emit.of_tracebaton = True  # type: ignore[attr-defined]
    return emit


def _line(self: Any, record: logging.LogRecord, json_lines: JsonLines) -> str | None:
    """The JSON line that a handler is to write; None where its own text stays, or its stream writes something else."""
    put_ids_where_lacking(record, _handle_with_ids)
    is_stock, tells = writing.methods_of(self)
    stream = self.stream
    if not standard.is_standard(stream) or (captured.streams and is_captured(stream)) or not writing.passes_on(stream):
        return None
    if not (is_stock or writing.is_file(stream)):
        return None
    return line_of_handler(self, record, json_lines, is_stock=is_stock, tells=tells)


def line_of_handler(
    handler: Any, record: logging.LogRecord, json_lines: JsonLines, *, is_stock: bool = True, tells: bool = True
) -> str:
    """The JSON line in place of what the handler would write: the record's own where its formatter shows all of that.

    `is_stock`: nothing between the record and the stream is the application's own. `tells`: see `line_of_text`.
    """
    if type(handler).format is not _patched_format or "format" in handler.__dict__:  # it may hide something in the text
        return line_of_text(lambda: handler.format(record), record, json_lines, is_known=False, tells=tells)
    formatter = handler.formatter or logging._defaultFormatter  # type: ignore[attr-defined]  # noqa: SLF001
    found = libraries.line_of(formatter, record, json_lines) if tells else None
    if found is None and not _is_replaced:
        found = upstream_json_logger.line_of(formatter, record)
    if found is not None:
        return found
    is_unknown = _is_replaced or not is_stock or type(record.msg) is Made
    printed = UNKNOWN if is_unknown else what_it_prints(formatter)
    if printed == TEXT and tells:
        line = json_lines.format(record)
        style = formatter._style  # noqa: SLF001 (which it has, or would not be known)
        if format_fields.empty.get(style._fmt) is type(style):  # noqa: SLF001
            return line
        return with_more(line, format_fields.of(formatter, record.__dict__, json_lines))
    if printed == ONLY_THE_MESSAGE and tells:
        line = json_lines.format(record)
        if not str(record.__dict__.get("message")).startswith("{"):
            return line
    return line_of_text(
        lambda: _text_of(handler, record),
        record,
        json_lines,
        is_known=printed != UNKNOWN,
        tells=tells,
        formatter=formatter,
    )


def with_more(line: str, more: str) -> str:
    """A line of ours with fields at its end."""
    return f"{line[:-1]}{more}}}" if more else line


def _format_to_hand_on(handler: logging.Handler, record: logging.LogRecord) -> str:
    """A `QueueHandler` makes the text the message of another record, of which extras are no more than it shows."""
    text = _text_of(handler, record)
    if not hasattr(handler, "prepare"):
        return text
    is_made = handler.formatter is not None and what_it_prints(handler.formatter) == UNKNOWN
    return Made(text) if is_made or type(record.msg) is Made else text


def line_of_text(
    make_text: Callable[[], str],
    record: logging.LogRecord,
    json_lines: JsonLines,
    *,
    is_known: bool,
    tells: bool,
    formatter: Any = None,
) -> str:
    """The JSON line for what a formatter makes of the record. `is_known`: its text hides nothing of the record.

    `tells`: the standard library would print a record that cannot be formatted. Otherwise the application does that.
    """
    try:
        text = make_text()
        plain = without_colours(text).strip() if text[:1] == "\x1b" else text
        own = object_with_ids(plain, record, one_line=True)
        if own is not None:
            return own
        if is_known:
            return with_more(json_lines.format(record), format_fields.of(formatter, record.__dict__, json_lines))
        shown = shown_in(text, record)
        return with_more(json_lines.format(shown), format_fields.of(formatter, shown.__dict__, json_lines, text))
    except Exception as error:
        # structlog's DropEvent is how a processor says that no line is wanted.
        if not tells or type(error).__name__ == "DropEvent":
            raise
        # A broken format string fails in every formatter.
        return json_lines.format_broken(record, error, is_known=is_known)
