"""One log record as one JSON object on one line, made by python-json-logger; the usual record on a shorter way."""

from __future__ import annotations

import logging
from contextlib import suppress
from copy import copy
from datetime import datetime, timezone
from json import JSONEncoder
from json.encoder import encode_basestring_ascii as quoted
from typing import Any

try:  # python-json-logger 3 and 4
    from pythonjsonlogger.json import JsonFormatter
except ImportError:  # python-json-logger 2, which an application may have pinned
    from pythonjsonlogger.jsonlogger import JsonFormatter  # type: ignore[attr-defined]

from tracebaton_configurator.logs.ids import Ids
from tracebaton_configurator.logs.masking import is_secret, masked, under
from tracebaton_configurator.logs.values import bounded_repr, plain, without_lone_surrogates

# What the standard library puts on a record, in this Python, and formatters add.
_STANDARD = (*logging.makeLogRecord({}).__dict__, "message", "asctime")
# uvicorn's second copy of the message, with terminal colours; `message` has the words.
_LEFT_OUT = ("color_message",)
_NO_EXTRAS = frozenset((*_STANDARD, *_LEFT_OUT, *Ids._fields))
# What a line without extras has, and what is no extra although python-json-logger adds it like one.
_BARE = ("name", "levelname", "levelno", "created", "msecs", *Ids._fields)
# On a record whose extras are what the application's own text shows anyway.
SHOWN = "_tracebaton_shown"
_SIMPLE = frozenset((str, int, float, bool, type(None)))
_OF_THE_LINE = frozenset(("exc_info", "stack_info"))
_OURS = frozenset(("timestamp", "level", "logger", "service.name"))
_MOST_HEADS = 1000
_LARGEST = 2**63
_encode = JSONEncoder(default=bounded_repr, allow_nan=False).encode


class JsonLines(JsonFormatter):
    """`timestamp`, `level`, `logger`, `message`, `service.name`, the ids inside a request, `exc_info`, extras.

    The timestamp is RFC 3339 in UTC with microseconds. An extra that has the name of one of these fields is kept as
    `extra.NAME`, for a line must not be able to forge its own level. What JSON has no form for is its repr in at most
    1000 characters; what it has one for is written whole, however long. A record that cannot be formatted is printed
    with what it consists of: no line is lost.

    `extras` is `masked` (values under the names of secrets are), `all`, `none`, or the names of those that are written.

    Holds no lock, and its caches are replaced as a whole: a signal handler may log while a line is being made.
    """

    def __init__(self, service_name: str, extras: str | frozenset[str] = "masked") -> None:
        super().__init__(reserved_attrs=_STANDARD)
        self._wanted = extras if isinstance(extras, frozenset) else None
        self._written = extras != "none"
        self._masks = extras != "all"
        self._chooses = self._wanted is not None or not self._written
        self._service_name = service_name
        self._service_text = f', "service.name": {quoted(service_name)}'
        self._second = (-1, "")
        self._heads: dict[tuple[str, str], str] = {}

    def format(self, record: logging.LogRecord) -> str:
        try:
            return without_lone_surrogates(self._quick(record) or self._whole(record))
        except Exception as error:  # noqa: BLE001 (a __str__ or __repr__ of the application's may raise anything)
            return self.format_broken(record, error)

    def format_with_message(self, record: logging.LogRecord, message: str) -> str:
        """The record as JSON, with `message` in place of its own: the text that a foreign formatter made of it."""
        shown = copy(record)
        shown.msg, shown.args = message, None
        if shown.exc_text:
            shown.exc_info = None  # the traceback in the words of that formatter, which may hide something
        return self.format(shown)

    def format_text(self, record: logging.LogRecord, text: str, **beside: str) -> str:
        """`text` as the message of a line that has nothing else of the record but its name, level, moment and ids."""
        bare = {name: record.__dict__[name] for name in _BARE if name in record.__dict__}
        shown = logging.makeLogRecord({**bare, **beside})
        shown.msg, shown.args = text, None
        return self.format(shown)

    def format_broken(self, record: logging.LogRecord, error: Exception, *, hide: bool = False) -> str:
        """The record as JSON in spite of `error`, which formatting it has raised.

        With `hide`, what a formatter of the application's own might have hidden is left out: the arguments, and all
        beside the message.
        """
        why = f"{type(error).__name__}: {bounded_repr(error)}"
        if hide:
            text = record.msg if isinstance(record.msg, str) else f"a {type(record.msg).__name__}"
            return self.format_text(record, text, logging_error=why)
        try:
            shown = copy(record)
            shown.msg, shown.args = f"{bounded_repr(record.msg)} {bounded_repr(record.args)}", None
            with suppress(Exception):
                shown.msg = record.getMessage()
            shown.__dict__["logging_error"] = why
            return without_lone_surrogates(self._whole(shown))
        except Exception:  # noqa: BLE001 (see above; nothing is left of the record but its parts)
            parts = {name: under(name, value) for name, value in record.__dict__.items() if value is not None}
            return without_lone_surrogates(
                _encode(plain({"message": why, "service.name": self._service_name, **parts}))
            )

    def _quick(self, record: logging.LogRecord) -> str | None:
        """What `_whole` writes, in a fraction of its time; None for a record with something unusual about it."""
        if isinstance(record.msg, dict):
            return None
        fields = record.__dict__
        head = self._heads.get((record.name, record.levelname)) or self._head_text(record.name, record.levelname)
        moment = self._moment(record.created)
        if head is None or moment is None:
            return None
        record.message = record.getMessage()
        line = f"{moment}{head}{quoted(record.message)}{self._service_text}"
        for name in Ids._fields:
            value = fields.get(name)
            if value is not None:
                if type(value) is not str:
                    return None
                line += f', "{name}": {quoted(value)}'
        if record.exc_info or record.exc_text:
            # As `logging.Formatter.format`: what somebody has put there stands for the exception, or hides part of it.
            traceback = record.exc_text or self.formatException(record.exc_info)
            line += f', "exc_info": {quoted(str(traceback))}'
        if record.stack_info:
            line += f', "stack_info": {quoted(str(self.formatStack(record.stack_info)))}'
        if not _NO_EXTRAS.issuperset(fields):
            extras = self._extras(fields)
            if extras is None:
                return None
            line += extras
        return line + "}"

    def _is_written(self, name: str) -> bool:
        wanted = self._written and (self._wanted is None or name in self._wanted)
        return wanted or name == "logging_error"

    def _shown(self, name: str, value: Any) -> Any:
        if not self._masks:
            return value
        # A name that an operator has listed is wanted, whatever it is; what stands below it is another matter.
        return masked(value) if self._wanted is not None and name in self._wanted else under(name, value)

    def _extras(self, fields: dict[str, Any]) -> str | None:
        """The extras as JSON, a comma before each; None when a name or a value has no form there."""
        text = ""
        as_it_is = SHOWN in fields
        for name, value in fields.items():
            if name in _NO_EXTRAS:
                continue
            if type(name) is not str or name.startswith("extra."):
                return None
            if name[:1] == "_" or (self._chooses and not as_it_is and not self._is_written(name)):
                continue
            kind = type(value)
            if not as_it_is and (kind not in _SIMPLE or is_secret(name)):
                value = self._shown(name, value)  # noqa: PLW2901 (what may be seen of it)
                kind = type(value)
            if kind is str:
                shown = quoted(value)
            elif kind is int and -_LARGEST < value < _LARGEST:
                shown = repr(value)
            else:
                try:
                    shown = _encode(value)
                except Exception:  # noqa: BLE001 (NaN, keys that are no text, what contains itself, what raises)
                    return None
            text += f", {quoted(f'extra.{name}' if name in _OURS else name)}: {shown}"
        return text

    def _moment(self, created: float) -> str | None:
        """The line up to its level. Rounds to microseconds as `datetime.fromtimestamp` does."""
        if created < 0:
            return None
        second, text = self._second
        whole = int(created)
        if whole != second:
            text = '{"timestamp": "' + datetime.fromtimestamp(whole, timezone.utc).isoformat()[:-6]
            self._second = (whole, text)
        microseconds = round((created - whole) * 1e6)
        return f"{text}.{microseconds:06d}Z" if microseconds < 1_000_000 else None

    def _head_text(self, name: object, level: object) -> str | None:
        if type(name) is not str or type(level) is not str:
            return None
        if len(self._heads) >= _MOST_HEADS:  # an application that makes its loggers' names up as it goes
            self._heads = {}
        text = self._heads[name, level] = f'", "level": {quoted(level)}, "logger": {quoted(name)}, "message": '
        return text

    def _whole(self, record: logging.LogRecord) -> str:
        if isinstance(record.msg, dict) or record.exc_text:
            record = copy(record)
            if isinstance(record.msg, dict):
                record.msg = dict(record.msg)  # releases before 4.2 write into it
            if record.exc_text:
                record.exc_info = None
        return str(super().format(record))

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
        log_data["level"] = record.levelname
        log_data["logger"] = record.name
        # python-json-logger's own default format asks for `message`; a dict that was logged may bring one too.
        log_data["message"] = rest.pop("message", "")
        log_data["service.name"] = self._service_name
        log_data.update(ids)
        for name, value in rest.items():
            as_it_is = name in _OF_THE_LINE or SHOWN in record.__dict__
            if not (as_it_is or name in message_dict or self._is_written(name)):
                continue
            shown = value if as_it_is else self._shown(name, value)
            log_data[f"extra.{name}" if name in log_data else name] = shown

    def jsonify_log_record(self, log_data: dict[str, Any]) -> str:
        try:
            return _encode(log_data)
        except Exception:  # noqa: BLE001 (NaN, keys that JSON has no form for, what contains itself, what raises)
            return _encode(plain(log_data))


def _ids_of(record: logging.LogRecord) -> dict[str, Any]:
    """The ids that the hook, or the application itself, has put on the record."""
    return {name: value for name in Ids._fields if (value := record.__dict__.get(name)) is not None}
