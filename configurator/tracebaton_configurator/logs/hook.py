"""The log-correlation hook: two places of the standard library's `logging`, patched so that any set-up is served.

An application configures logging when it likes and as often as it likes (`basicConfig`, `dictConfig`, uvicorn's own, a
handler added in a lifespan). All of that ends in the same two methods, so they are where this stands:

* `Logger.handle` puts the ids of the moment of logging on the record;
* `Handler.format` turns the record into text, once for each stream.

Checked with CPython 3.10 to 3.13 (Lib/logging/__init__.py).
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

from tracebaton_configurator.logs.formatter import JsonLines
from tracebaton_configurator.logs.ids import Ids, current_ids, remembered_ids

if TYPE_CHECKING:
    from collections.abc import Callable

_handle = logging.Logger.handle
_format = logging.Handler.format

# Formatters whose text holds nothing that the record does not: they need not run when JSON is wanted.
_TEXT_ONLY = (("logging", "Formatter"), ("uvicorn.logging", "DefaultFormatter"), ("uvicorn.logging", "AccessFormatter"))


def install(mode: str, service_name: str) -> Callable[[], None]:
    """Patch `logging` for mode `json` or `inject`; `off` patches nothing. Returns what undoes it."""
    if mode == "off":
        return lambda: None
    logging.Logger.handle = _handle_with_ids  # type: ignore[method-assign]
    format_record = _make_format(JsonLines(service_name) if mode == "json" else None)
    logging.Handler.format = format_record  # type: ignore[method-assign,assignment]
    return _uninstall


def _uninstall() -> None:
    logging.Logger.handle = _handle  # type: ignore[method-assign]
    logging.Handler.format = _format  # type: ignore[method-assign]


def _handle_with_ids(self: logging.Logger, record: logging.LogRecord) -> None:
    fields = record.__dict__
    # A record that comes with ids, from another process or the application's own `extra`, keeps them.
    if "trace_id" not in fields:
        ids = current_ids()
        if ids is None and record.exc_info:
            # A server logs the exception of a request when the request is over.
            ids = remembered_ids(record.exc_info[1])
        if ids is not None:
            fields["trace_id"], span_id, trace_flags = ids
            fields.setdefault("span_id", span_id)
            fields.setdefault("trace_flags", trace_flags)
    _handle(self, record)


def _make_format(json_lines: JsonLines | None) -> Callable[[logging.Handler, logging.LogRecord], str]:
    """`Handler.format` for one mode. Never raises more than the application's own formatter would."""

    def format_record(self: logging.Handler, record: logging.LogRecord) -> str:
        # Handlers that send mail, speak syslog or feed a queue have a reader who expects what they sent before.
        if not isinstance(self, logging.StreamHandler):
            return _format(self, record)
        formatter = self.formatter
        if json_lines is not None and _writes_text(formatter):
            return json_lines.format(record)
        text = _format(self, record)
        fields = _as_object(text)
        if fields is not None:
            return _with_ids(text, fields, record)
        return text if json_lines is None else json_lines.format_with_message(record, _message_in(text, record))

    return format_record


def _writes_text(formatter: logging.Formatter | None) -> bool:
    """Whether this formatter is known to write text, and only what is on the record."""
    if formatter is None:
        return True
    kind = type(formatter)
    if (kind.__module__, kind.__qualname__) not in _TEXT_ONLY:
        return False
    # `Formatter('{"message": "%(message)s"}')` is a common way to write JSON by hand.
    return not (formatter._fmt or "").lstrip().startswith("{")  # noqa: SLF001


def _as_object(text: str) -> dict[str, Any] | None:
    if not (text.startswith("{") and text.rstrip().endswith("}")):
        return None
    try:
        fields = json.loads(text)
    except ValueError:
        return None
    return fields if isinstance(fields, dict) else None


def _with_ids(text: str, fields: dict[str, Any], record: logging.LogRecord) -> str:
    """The same object with the ids that it lacks; written behind the rest, so that its own shape stays."""
    missing = {
        name: value for name in Ids._fields if name not in fields and (value := record.__dict__.get(name)) is not None
    }
    if not missing:
        return text
    opening = text.rstrip()[:-1].rstrip()
    return f"{opening}{', ' if fields else ''}{json.dumps(missing)[1:]}"


def _message_in(text: str, record: logging.LogRecord) -> str:
    """What stands for the message of a record that a formatter of the application's own has made text of.

    Its message where the text shows it unchanged; else the whole text, for such a formatter may well be there to hide
    secrets, and what it hid must stay hidden.
    """
    message = record.getMessage()
    return message if message in text else text
