"""One log record as one JSON object on one line, made by python-json-logger."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

try:  # python-json-logger 3 and 4
    from pythonjsonlogger.json import JsonFormatter
except ImportError:  # python-json-logger 2, which an application may have pinned
    from pythonjsonlogger.jsonlogger import JsonFormatter  # type: ignore[attr-defined]

from tracebaton_configurator.logs.ids import Ids

if TYPE_CHECKING:
    import logging

_LONGEST_REPR = 1000
# uvicorn's second copy of the message, with terminal colours; `message` has the words.
_LEFT_OUT = ("color_message",)


class JsonLines(JsonFormatter):
    """`timestamp`, `level`, `logger`, `message`, `service.name`, the ids inside a request, extras, `exc_info`.

    The timestamp is RFC 3339 in UTC with microseconds. An extra that has the name of one of these fields is kept as
    `extra.NAME`, for a line must not be able to forge its own level. A record that cannot be formatted is printed with
    what it consists of: no line is lost.
    """

    def __init__(self, service_name: str) -> None:
        super().__init__(json_default=bounded_repr)
        self._service_name = service_name

    def format_with_message(self, record: logging.LogRecord, message: str) -> str:
        """The record as JSON, with `message` in place of its own: the text that a foreign formatter made of it."""
        from copy import copy

        shown = copy(record)
        shown.msg, shown.args = message, None
        return self.format(shown)

    def format(self, record: logging.LogRecord) -> str:
        try:
            return str(super().format(record))
        except Exception as error:  # noqa: BLE001 (a __str__ or __repr__ of the application's may raise anything)
            fields = self._head(record)
            fields["message"] = f"{bounded_repr(record.msg)} {bounded_repr(record.args)}"
            fields["service.name"] = self._service_name
            fields["logging_error"] = f"{type(error).__name__}: {bounded_repr(error)}"
            fields.update(_ids_of(record))
            if record.exc_info:
                fields["exc_info"] = bounded_repr(record.exc_info[1])
            return json.dumps(fields)

    def add_fields(self, log_data: dict[str, Any], record: logging.LogRecord, message_dict: dict[str, Any]) -> None:
        ids = _ids_of(record)
        rest: dict[str, Any] = {}
        super().add_fields(rest, record, message_dict)
        for name in (*_LEFT_OUT, *ids):
            rest.pop(name, None)
        log_data.update(self._head(record))
        # python-json-logger's own default format asks for `message`; a dict that was logged may bring one too.
        log_data["message"] = rest.pop("message", "")
        log_data["service.name"] = self._service_name
        log_data.update(ids)
        for name, value in rest.items():
            log_data[f"extra.{name}" if name in log_data else name] = value

    def jsonify_log_record(self, log_data: dict[str, Any]) -> str:
        try:
            return str(super().jsonify_log_record(log_data))
        except (TypeError, ValueError, RecursionError):
            # Keys that JSON has no form for, an object that contains itself, a nesting without end.
            return json.dumps({str(name): _plain(value) for name, value in log_data.items()})

    def _head(self, record: logging.LogRecord) -> dict[str, Any]:
        moment = datetime.fromtimestamp(record.created, timezone.utc)
        return {
            "timestamp": moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "level": record.levelname,
            "logger": record.name,
        }


def bounded_repr(value: object) -> str:
    """`repr(value)` in at most 1000 characters; never raises."""
    try:
        text = value.isoformat() if isinstance(value, datetime) else repr(value)
    except Exception as error:  # noqa: BLE001 (any __repr__ may raise anything)
        return f"<{type(value).__name__} whose repr raises {type(error).__name__}>"
    return text if len(text) <= _LONGEST_REPR else text[:_LONGEST_REPR] + "..."


def _plain(value: object) -> object:
    return value if isinstance(value, (str, int, float, bool, type(None))) else bounded_repr(value)


def _ids_of(record: logging.LogRecord) -> dict[str, str]:
    """The ids that the hook, or the application itself, has put on the record."""
    return {name: value for name in Ids._fields if (value := record.__dict__.get(name)) is not None}
