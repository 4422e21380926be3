"""One log record as one JSON object on one line, made by python-json-logger; the usual record on a shorter way."""

from __future__ import annotations

import logging
from contextlib import suppress
from copy import copy
from datetime import datetime, timezone
from json import JSONEncoder
from json.encoder import encode_basestring as quoted
from math import isfinite
from typing import TYPE_CHECKING, Any

try:  # python-json-logger 3 and 4
    from pythonjsonlogger.json import JsonFormatter
except ImportError:  # python-json-logger 2, which an application may have pinned
    from pythonjsonlogger.jsonlogger import JsonFormatter  # type: ignore[attr-defined]

from tracebaton_configurator.logs import field_names
from tracebaton_configurator.logs.events import without_colours
from tracebaton_configurator.logs.extras import Extras
from tracebaton_configurator.logs.ids import Ids
from tracebaton_configurator.logs.masking import shows_its_items
from tracebaton_configurator.logs.stock import comes_from
from tracebaton_configurator.logs.values import plain, safe_line
from tracebaton_configurator.settings.log_fields import FIELDS

if TYPE_CHECKING:
    from collections.abc import Callable

# What the standard library puts on a record, in this Python, and formatters add.
_STANDARD = (*logging.makeLogRecord({}).__dict__, "message", "asctime")
# uvicorn's second copy of the message, with terminal colours; `message` has the words. And what a filter may replace.
_LEFT_OUT = ("color_message", "getMessage")
_NO_EXTRAS = frozenset((*_STANDARD, *_LEFT_OUT, *Ids._fields))
_OURS = frozenset(("timestamp", "level", "logger", "service.name"))
_RENAMED = _OURS | {"message", "exc_info", "stack_info", "logging_error"}
_MOST_HEADS, _LONGEST_NAME = 1000, 200
_LARGEST = 2**63
_EVERYTHING = Extras("all")
_get_message = logging.LogRecord.getMessage if comes_from(logging.LogRecord, "getMessage") else None
_WORDS = {True: "true", False: "false", None: "null"}


class JsonLines(JsonFormatter):
    """`timestamp`, `level`, `logger`, the ids inside a request, `message`, `service.name`, `exc_info`, extras.

    The timestamp is RFC 3339 in UTC with microseconds. An extra that has the name of one of these fields is kept as
    `extra.NAME`, for a line must not be able to forge its own level. What JSON has no form for is its repr in at most
    1000 characters; what it has one for is written whole, however long. A record that cannot be formatted is printed
    with what it consists of: no line is lost.

    Holds no lock, and its caches are replaced as a whole: a signal handler may log while a line is being made.
    """

    def __init__(self, service_name: str, extras: str | frozenset[str] = "masked") -> None:
        super().__init__(reserved_attrs=_STANDARD)
        self.extras = Extras(extras)
        self._encode = JSONEncoder(ensure_ascii=False, default=self.extras.shown_form, allow_nan=False).encode
        self._service_name = service_name
        self._named = named = field_names.current
        key = {name: f", {quoted(named.name(name))}: " for name in FIELDS}
        self._key, self._message_key, self._usual = key, key["message"], named.are_usual
        self._ours = frozenset(map(named.name, _OURS)) | _OURS
        self._first = f'{{{key["timestamp"][2:]}"'
        self._service_text = f"{key['service.name']}{quoted(service_name)}"
        self._second = (-1, "")
        self._ids: tuple[tuple[Any, Any, Any], str] = ((None, None, None), "")
        self._heads: dict[tuple[str, str], str] = {}
        self._names: tuple[dict[str, tuple[str, bool]], ...] = ({}, {})  # of extras, and of what is none

    def format(self, record: logging.LogRecord, *, printed: bool = False) -> str:
        """`printed`: what else is on the record are no extras, but what the application's own text would have shown."""
        try:
            return safe_line(self._quick(record, printed=printed) or self._whole(record, printed=printed))
        except Exception as error:  # noqa: BLE001 (a __str__ or __repr__ of the application's may raise anything)
            return self.format_broken(record, error)

    def format_broken(self, record: logging.LogRecord, error: Exception, *, is_known: bool = True) -> str:
        """The record as JSON in spite of `error`, which formatting it has raised.

        Not `is_known`: a formatter has raised that may have been there to hide something. Of such a record no more is
        shown than the standard library prints in its diagnostic, and nothing where `logging.raiseExceptions` is off.
        """
        why = type(error).__name__
        try:
            if is_known or logging.raiseExceptions:
                why += f": {self.extras.shown_repr(error)}"
            if not is_known:
                return safe_line(self._whole(_without_more(record, why, self._repr)))
            shown = copy(record)
            shown.msg, shown.args = f"{self._repr(record.msg)} {self._repr(record.args)}", None
            with suppress(Exception):
                shown.msg = record.getMessage()
            shown.__dict__["logging_error"] = why
            return safe_line(self._whole(shown))
        except Exception:  # noqa: BLE001 (see above; nothing is left of the record but its parts)
            fields = record.__dict__
            parts = {name: fields[name] for name in _STANDARD if fields.get(name) is not None}
            if is_known:
                parts = {"message": why, **parts, **self.extras.shown_fields(_extras_on(record))}
            else:
                parts = {
                    "message": why,
                    "level": level_name(str(fields.get("levelname"))),
                    "logger": str(fields.get("name")),
                }
            parts["service.name"] = self._service_name
            shown_parts = plain(self.extras.masked_fields(parts), (), self.extras.shown_repr, self.extras.shown_form)
            return safe_line(self._encode(shown_parts))

    def more(self, fields: dict[str, Any]) -> str:
        """Fields as JSON, a comma before each, for the end of a line."""
        fields = {self._named.name(name): value for name, value in fields.items()}
        return f", {safe_line(self.jsonify_log_record(fields))[1:-1]}" if fields else ""

    def _repr(self, value: object) -> str:
        return self.extras.shown_repr(value)

    def _quick(self, record: logging.LogRecord, *, printed: bool = False) -> str | None:
        """What `_whole` writes, in a fraction of its time; None for a record with something unusual about it."""
        if isinstance(record.msg, dict):
            return None
        fields = record.__dict__
        head = self._heads.get((record.name, record.levelname)) or self._head_text(record.name, record.levelname)
        moment = self._moment(record.created)
        if head is None or moment is None:
            return None
        ids = fields.get("trace_id"), fields.get("span_id"), fields.get("trace_flags")
        known, text = self._ids  # of the request that has logged last
        if ids[0] is not known[0] or ids[1] is not known[1] or ids[2] is not known[2]:
            text = ""
            for name, value in zip(Ids._fields, ids, strict=True):
                if value is not None:
                    if type(value) is not str:
                        return None
                    text += f', "{name}": {quoted(value)}' if self._usual else self._renamed_id(name, value)
            self._ids = ids, text
        record.message = record.getMessage()
        # The ids stand before the message: Docker cuts a long line after 16 KiB.
        line = f"{moment}{head}{text}{self._message_key}{quoted(record.message)}{self._service_text}"
        if record.exc_info or record.exc_text:
            # A filter, or another handler's formatter, may have made the text: `Formatter.format` uses that, too.
            traceback = record.exc_text or self.formatException(record.exc_info)
            line += f"{self._key['exc_info']}{quoted(str(traceback))}"
        if record.stack_info:
            line += f"{self._key['stack_info']}{quoted(str(self.formatStack(record.stack_info)))}"
        if not _NO_EXTRAS.issuperset(fields):
            extras = self._extras(fields, printed=printed)
            if extras is None:
                return None
            line += extras
        return line + "}"

    def _renamed_id(self, name: str, value: str) -> str:
        ((name, shown),) = self._named.ids({name: value}).items()
        return f", {quoted(name)}: {_WORDS[shown] if type(shown) is bool else quoted(shown)}"

    def _moment(self, created: float) -> str | None:
        """The line up to its level. Rounds to microseconds as `datetime.fromtimestamp` does."""
        if created < 0:
            return None
        second, text = self._second
        whole = int(created)
        if whole != second:
            text = self._first + datetime.fromtimestamp(whole, timezone.utc).isoformat()[:-6]
            self._second = (whole, text)
        microseconds = round((created - whole) * 1e6)
        return f"{text}.{microseconds:06d}Z" if microseconds < 1_000_000 else None

    def _head_text(self, name: object, level: object) -> str | None:
        if type(name) is not str or type(level) is not str:
            return None
        shown = level
        if len(self._heads) >= _MOST_HEADS:  # an application that makes its loggers' names up as it goes
            self._heads = {}
        level = quoted(level_name(level))
        text = f'"{self._key["level"]}{level}{self._key["logger"]}{quoted(name)}'
        self._heads[name, shown] = text
        return text

    def _extras(self, fields: dict[str, Any], *, printed: bool) -> str | None:
        """The extras as JSON, a comma before each; None when a name or a value has no form there."""
        text = ""
        names, to_show = self._names[printed], (_EVERYTHING if printed else self.extras).shown
        for name, value in fields.items():
            if name in _NO_EXTRAS:
                continue
            head = names.get(name) or self._head_of_extra(name, printed)
            if head is None:
                return None
            if not head[0]:
                continue
            kind = type(value)
            if kind is str:
                shown = quoted(to_show(name, value) if head[1] else value)
            elif (kind is int and -_LARGEST < value < _LARGEST) or (kind is float and isfinite(value)):
                shown = repr(value)
            elif kind is bool or value is None:
                shown = _WORDS[value]
            else:
                try:
                    shown = self._encode(to_show(name, value))
                except Exception:  # noqa: BLE001 (NaN, keys that are no text, what contains itself, what raises)
                    return None
            text += head[0] + shown
        return text

    def _head_of_extra(self, name: object, printed: bool) -> tuple[str, bool] | None:  # noqa: FBT001
        """What stands before the value of an extra, nothing if it is left out; and whether its text may be a secret."""
        if type(name) is not str or name.startswith("extra."):
            return None
        head = ""
        extras = _EVERYTHING if printed else self.extras
        if name[:1] != "_" and extras.writes(name):
            head = f", {quoted(f'extra.{name}' if name in self._ours else name)}: "
        if len(self._names[printed]) >= _MOST_HEADS:
            self._names = ({}, {})
        made = head, extras.hides(name)
        if len(name) <= _LONGEST_NAME:
            self._names[printed][name] = made
        return made

    def _whole(self, record: logging.LogRecord, *, printed: bool = False) -> str:
        fields, extras = _extras_on(record), _EVERYTHING if printed else self.extras
        shown = copy(record)
        for name in fields:
            del shown.__dict__[name]
        shown.__dict__.update(extras.shown_fields(fields))
        if isinstance(record.msg, dict):
            if shows_its_items(record.msg) and _says_its_message(record):
                shown.msg = extras.masked_fields(record.msg)
            else:
                shown.msg, shown.args = record.getMessage(), None
        if shown.exc_text:
            shown.exc_info = None
        return str(super().format(shown))

    def add_fields(self, log_data: dict[str, Any], record: logging.LogRecord, message_dict: dict[str, Any]) -> None:
        ids = {} if "trace_id" in message_dict else _ids_of(record)
        rest: dict[str, Any] = {}
        super().add_fields(rest, record, message_dict)
        for name in _LEFT_OUT:
            rest.pop(name, None)
        for name in Ids._fields:
            rest.pop(name, None)
            if name in message_dict:
                rest[name] = message_dict[name]
        moment = datetime.fromtimestamp(record.created, timezone.utc)
        log_data["timestamp"] = moment.isoformat(timespec="microseconds")[:-6] + "Z"
        log_data["level"] = level_name(record.levelname)
        log_data["logger"] = record.name
        log_data.update(ids)
        # python-json-logger's own default format asks for `message`; a dict that was logged may bring one too.
        log_data["message"] = rest.pop("message", "")
        log_data["service.name"] = self._service_name
        for name, value in rest.items():
            log_data[f"extra.{name}" if name in log_data else name] = value
        if not self._named.are_usual:
            self._rename(log_data, ids)

    def _rename(self, log_data: dict[str, Any], ids: dict[str, Any]) -> None:
        fields = dict(log_data)
        log_data.clear()
        for name, value in fields.items():
            if name in ids:
                log_data.update(self._named.ids({name: value}))
            elif name in _RENAMED:
                log_data[self._named.name(name)] = value
            else:
                log_data[f"extra.{name}" if name in self._ours and name not in _OURS else name] = value

    def jsonify_log_record(self, log_data: dict[str, Any]) -> str:
        try:
            return self._encode(log_data)
        except Exception:  # noqa: BLE001 (NaN, keys that JSON has no form for, what contains itself, what raises)
            return self._encode(plain(log_data, (), self.extras.shown_repr, self.extras.shown_form))


def level_name(level: Any) -> Any:
    """Without the colours, or the padding, that a formatter or filter of the application's has given it."""
    return without_colours(level).strip() or level if isinstance(level, str) else level


def _says_its_message(record: logging.LogRecord) -> bool:
    """Whether a record has no `getMessage` of its own, which may hide something."""
    return type(record).getMessage is _get_message and "getMessage" not in record.__dict__


def _ids_of(record: logging.LogRecord) -> dict[str, Any]:
    """The ids that the hook, or the application itself, has put on the record."""
    return {name: value for name in Ids._fields if (value := record.__dict__.get(name)) is not None}


def _extras_on(record: logging.LogRecord) -> dict[str, Any]:
    return {name: value for name, value in record.__dict__.items() if name not in _NO_EXTRAS}


def _without_more(record: logging.LogRecord, why: str, repr_of: Callable[[object], str]) -> logging.LogRecord:
    """A record of which nothing is left but its text before its arguments are filled in."""
    shown = object.__new__(logging.LogRecord)
    shown.__dict__.update({name: value for name, value in record.__dict__.items() if name in _NO_EXTRAS})
    shown.msg = "(what it hides cannot be told)"
    if logging.raiseExceptions:
        shown.msg = record.msg if isinstance(record.msg, str) else repr_of(record.msg)
    shown.args = shown.exc_info = shown.exc_text = shown.stack_info = None
    shown.__dict__["logging_error"] = why
    return shown
