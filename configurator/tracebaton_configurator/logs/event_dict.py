"""How a structlog event dict reads: which of its keys are the message, level, logger and exception of the line.

The names are those that structlog's own processors and renderers use (structlog/processors.py, stdlib.py, dev.py).
"""

from __future__ import annotations

import sys
from functools import partial
from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any

from tracebaton_configurator.logs.events import Event
from tracebaton_configurator.logs.stock import comes_from

if TYPE_CHECKING:
    import logging

_LEVELS = {name.lower(): name for name in ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")}
# Other names of methods, those of structlog's printing loggers included.
_LEVELS |= {"warn": "WARNING", "exception": "ERROR", "err": "ERROR", "failure": "ERROR", "fatal": "CRITICAL"}
_LEVELS |= {"msg": "INFO", "log": "INFO"}
_STRUCTLOGS = ("structlog.dev", "structlog.processors", "builtins")
_EVENT_NAMES = ("event", "message", "msg")  # the others: `EventRenamer`'s usual ones


def read(
    event_dict: dict[str, Any],
    method_name: str,
    logger: Any = None,
    record: logging.LogRecord | None = None,
    renderer: Any = None,
    *,
    stamped: bool = False,
) -> tuple[Event, dict[str, Any]]:
    """The event and its other fields. `record`: the one that carried it; `stamped`: `timestamp` is that of the line."""
    rest = dict(event_dict)
    for meta in ("_record", "_from_structlog"):
        rest.pop(meta, None)
    message = _message(rest, getattr(renderer, "_event_key", None))
    told = _told_level(rest)
    level: str = record.levelname if record else _LEVELS.get(method_name) or told or method_name.upper()
    if told == level.upper():
        del rest["level"]
    name: Any = next((rest.pop(key) for key in ("logger", "logger_name") if isinstance(rest.get(key), str)), None)
    if record and name not in (None, record.name):
        rest["logger"] = name
    if stamped and isinstance(rest.get("timestamp"), (str, int, float)):
        del rest["timestamp"]
    exc_text = rest.pop("exception") if isinstance(rest.get("exception"), str) else None
    stack = rest.pop("stack") if isinstance(rest.get("stack"), str) else None
    if record and record.exc_text:
        exc_text = exc_text or record.exc_text  # a filter may have made it
    exc_info = _exception(rest)
    event = Event(
        message if isinstance(message, str) else str(message),
        level,
        record.name if record else name or _name_of(logger),
        record.created if record else None,
        exc_info,
        exc_text,
        stack,
    )
    return event, rest


def is_plain(renderer: Any) -> bool:
    """Whether this is one of structlog's text renderers, writing every field as it is: its text need not be made.

    One with columns or an exception formatter of the application's own may hide something.
    """
    kind = type(renderer)
    if not kind.__module__.startswith("structlog.") or not comes_from(kind, "__call__"):
        return False
    if not all(map(_is_not_replaced, renderer.__dict__.values())):
        return False
    if kind.__module__ == "structlog.processors":
        return kind.__name__ in ("KeyValueRenderer", "LogfmtRenderer")
    if (kind.__module__, kind.__name__) != ("structlog.dev", "ConsoleRenderer"):
        return False
    settings = renderer.__dict__
    for formatter in (settings["_default_column_formatter"], *(column.formatter for column in settings["_columns"])):
        if type(formatter).__module__ != "structlog.dev" or not _is_structlogs(getattr(formatter, "value_repr", str)):
            return False
    return _is_structlogs(settings.get("_exception_formatter") or settings.get("exception_formatter") or str)


def _is_not_replaced(setting: Any) -> bool:
    """Whether a setting is no function at all, or one that structlog itself has defined."""
    return not isinstance(setting, (FunctionType, MethodType, partial)) or _is_structlogs(setting)


def _is_structlogs(made_by: Any) -> bool:
    return (getattr(made_by, "__module__", None) or type(made_by).__module__) in _STRUCTLOGS


def _message(rest: dict[str, Any], event_key: str | None) -> Any:
    for name in (event_key, *_EVENT_NAMES):
        if name in rest:
            return rest.pop(name)
    return ""


def _told_level(rest: dict[str, Any]) -> str | None:
    told = rest.get("level")
    return _LEVELS.get(told.lower(), told.upper()) if isinstance(told, str) else None


def _name_of(logger: Any) -> str:
    name = getattr(logger, "name", None)  # of a `BytesLogger`, since 26.1
    return name if isinstance(name, str) and name else "structlog"


def _exception(rest: dict[str, Any]) -> Any:
    """What `exc_info` stands for, as a tuple that `logging` takes; None when that is nothing."""
    given = rest.pop("exc_info", None)
    if isinstance(given, BaseException):
        return (type(given), given, given.__traceback__)
    if isinstance(given, tuple) and len(given) == 3:
        return given if given[0] is not None else None
    found = sys.exc_info() if given else (None, None, None)
    return found if found[0] is not None else None
