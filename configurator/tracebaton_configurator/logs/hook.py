"""The log-correlation hook: two places of the standard library's `logging`, patched so that any set-up is served.

An application configures logging when it likes and as often as it likes (`basicConfig`, `dictConfig`, uvicorn's own, a
handler added in a lifespan). All of that ends in the same two methods, so they are where this stands:

* `Logger.handle` puts the ids of the moment of logging on the record;
* `Handler.format` turns the record into text, once for each stream.

Checked with CPython 3.10 to 3.13 (Lib/logging/__init__.py).
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from tracebaton_configurator.logs import libraries
from tracebaton_configurator.logs.captured import is_captured
from tracebaton_configurator.logs.formatter import JsonLines
from tracebaton_configurator.logs.ids import current_ids, ended_ids, remembered_ids
from tracebaton_configurator.logs.known_formatters import default_formatter, is_known
from tracebaton_configurator.logs.objects import object_with_ids

if TYPE_CHECKING:
    from collections.abc import Callable

_handle = logging.Logger.handle
_format = logging.Handler.format

# The access log of gunicorn's asgi worker, written in the task of the request once the application has returned.
# Checked with gunicorn 27 (gunicorn/asgi/protocol.py).
_WRITTEN_AFTERWARDS = ("gunicorn.access",)
# Formats that add nothing to the message, which may be a JSON object that the application has made.
_MESSAGE_ONLY = frozenset(("%(message)s", "{message}", "$message", "${message}"))


# Called with the first line of a server: it is about to serve, whereas a tool may have imported one for something else.
on_server_line: Callable[[], object] | None = None
_SERVERS = frozenset(("uvicorn", "gunicorn", "hypercorn", "granian", "_granian", "daphne"))


def install(mode: str, service_name: str, extras: str | frozenset[str] = "masked") -> Callable[[], None]:
    """Patch `logging` for mode `json` or `inject`; `off` patches nothing. Returns what undoes it.

    `extras` says what is written beside the message: `masked`, `all`, `none`, or the names of those that are.
    """
    if mode == "off":
        return lambda: None
    logging.Logger.handle = _handle_with_ids  # type: ignore[method-assign]
    json_lines = JsonLines(service_name, extras) if mode == "json" else None
    format_record = _format_and_inject if json_lines is None else _make_format_json(json_lines)
    logging.Handler.format = format_record  # type: ignore[method-assign,assignment]
    libraries.install(json_lines)
    return _uninstall


def _uninstall() -> None:
    logging.Logger.handle = _handle  # type: ignore[method-assign]
    logging.Handler.format = _format  # type: ignore[method-assign]
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
        if not isinstance(self, logging.StreamHandler) or is_captured(self.stream):
            return _format(self, record)
        formatter = self.formatter
        foreign = libraries.line_of(formatter, record, json_lines)
        if foreign is not None:
            return foreign
        if _writes_text(formatter):
            line = json_lines.format(record)
            if not (_adds_nothing(formatter) and str(record.__dict__.get("message")).startswith("{")):
                return line
        try:
            text = _format(self, record)
            own = object_with_ids(text, record, one_line=True)
            return own or _line_of_text(text, record, json_lines)
        except Exception as error:  # noqa: BLE001 (a broken format string fails in every formatter)
            return json_lines.format_broken(record, error, hide=not _writes_text(formatter))

    return format_record


def _writes_text(formatter: logging.Formatter | None) -> bool:
    """Whether this formatter is known to write text, and only what is on the record."""
    if formatter is None:
        return is_known(default_formatter())
    if not is_known(formatter):
        return False
    # `Formatter('{"message": "%(message)s"}')` is a common way to write JSON by hand; `{levelname}` is a field.
    opening = "{{" if isinstance(formatter._style, logging.StrFormatStyle) else "{"  # noqa: SLF001
    return not (formatter._fmt or "").lstrip().startswith(opening)  # noqa: SLF001


def _adds_nothing(formatter: logging.Formatter | None) -> bool:
    return formatter is None or formatter._fmt in _MESSAGE_ONLY  # noqa: SLF001


def _line_of_text(text: str, record: logging.LogRecord, json_lines: JsonLines) -> str:
    """The line for the text that a formatter of the application's own has made of a record.

    Message, traceback and stack are fields of their own where the text shows each of them unchanged. Else the whole
    text is the message and nothing else of the record is written but its ids: such a formatter may well be there to
    hide secrets, and what it hid must stay hidden.
    """
    parts = [record.getMessage()]
    if record.exc_text or record.exc_info:
        parts.append(record.exc_text or json_lines.formatException(record.exc_info))  # type: ignore[arg-type]
    if record.stack_info:
        parts.append(record.stack_info)
    if all(part in text for part in parts):
        return json_lines.format_with_message(record, parts[0])
    return json_lines.format_text(record, text)
