"""One log line as the fields that a timeline shows, whichever logger's names it has them under."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tracebaton.timeline.envelopes import Inside, inside, without_labels
from tracebaton.timeline.timestamps import leading_ns, to_ns

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["Record", "decode", "other_fields", "read_line"]

# The first name that holds something counts: tracebaton's own, then those of python-json-logger, structlog, loguru,
# ECS, OpenTelemetry, Datadog, Google and others. A dot may also be a level of nesting: {"service": {"name": ...}}.
_TRACE_ID = (
    *("trace_id", "traceId", "traceID", "traceid", "TraceId", "trace.id", "otelTraceID"),
    *("dd.trace_id", "logging.googleapis.com/trace"),
)
_SPAN_ID = ("span_id", "spanId", "spanID", "spanid", "SpanId", "span.id", "otelSpanID")
_PARENT_ID = ("parent_span_id", "parentSpanId", "parentSpanID", "parent_id", "parentId", "parent.id")
_TIME = ("timestamp", "time", "@timestamp", "ts", "asctime", "datetime", "date", "created", "t", "time.timestamp")
_LEVEL = ("level", "severity", "levelname", "log.level", "level.name", "severity_text", "lvl", "loglevel", "level_name")
_LOGGER = ("logger", "logger_name", "log.logger", "loggername", "name")
_MESSAGE = ("message", "msg", "event", "body", "text", "log")
_SERVICE = (
    *("service.name", "service_name", "service", "serviceName", "otelServiceName", "dd.service"),
    *("resource.service.name", "resource.attributes.service.name"),
)
_EXCEPTION = (
    *("exc_info", "exception", "exc_text", "traceback", "stack_trace", "error.stack_trace", "stacktrace", "stack"),
    "exc",
)
# Where ids are put when not at the top: loguru's and python-json-logger's extras, log records as a whole.
_CONTAINERS = ("record", "extra", "context", "attributes", "labels", "fields", "data")
_LEVELS = {10: "DEBUG", 20: "INFO", 25: "SUCCESS", 30: "WARNING", 40: "ERROR", 50: "CRITICAL", 60: "FATAL"}
_ERRORS = frozenset(("ERROR", "ERR", "CRITICAL", "CRIT", "FATAL", "ALERT", "EMERGENCY", "EMERG", "PANIC", "EXCEPTION"))
_LEVEL_WORDS = frozenset((*_LEVELS.values(), *_ERRORS, "WARN", "TRACE", "NOTICE"))


@dataclass(slots=True)
class Record:
    """`time_ns` is since 1970; fields of text may be empty; `original` is the JSON object, or the text."""

    time_ns: int | None
    service: str
    level: str
    logger: str
    message: str
    exception: str
    span_id: str
    parent_id: str
    original: dict[str, Any] | str
    trace_ids: list[object]  # what stands in the places where loggers put one

    @property
    def is_error(self) -> bool:
        return self.level in _ERRORS or (not self.level and bool(self.exception))


def read_line(line: bytes) -> Record:
    """Read a line: the JSON object that it is or ends with, else text."""
    return _read(decode(line))


def other_fields(record: Record) -> dict[str, Any]:
    """What the line's object has beside the fields of a record."""
    if isinstance(record.original, str):
        return {}
    known = {*_TRACE_ID, *_SPAN_ID, *_PARENT_ID, *_TIME, *_LEVEL, *_LOGGER, *_SERVICE, *_EXCEPTION, *_MESSAGE}
    known |= {"trace_flags", "traceparent"}
    return {name: value for name, value in record.original.items() if name not in known}


def _read(text: str, *, may_have_labels: bool = True) -> Record:
    fields = _json_object(text)
    if fields is None:
        found = without_labels(text) if may_have_labels else None
        return _from_text(text) if found is None else _opened(found)
    # A line with ids of its own is the application's, whatever its message holds.
    found = None if any(_values(_holders(fields), (*_TRACE_ID, "traceparent"))) else inside(fields)
    return _from_fields(fields) if found is None else _opened(found)


def _opened(found: Inside) -> Record:
    """What the application's line does not say itself, its envelope may."""
    record = _read(found.text, may_have_labels=False)
    if record.time_ns is None:
        record.time_ns = to_ns(found.time)
    record.service = record.service or found.service
    return record


def decode(line: bytes) -> str:
    """Bytes that are no UTF-8 become lone surrogates, which `escaped_text` shows: a JSON string may hold them."""
    return line.decode("utf-8", "surrogateescape")


def _json_object(text: str) -> dict[str, Any] | None:
    start = text.find("{")
    if start < 0 or not text.rstrip().endswith("}"):
        return None
    try:
        # Control characters in strings are no JSON, but no reason to lose the line. NaN would be none in our output.
        value = json.loads(text[start:], strict=False, parse_constant=str)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _from_fields(fields: dict[str, Any]) -> Record:
    """Anything may be missing, or be of another type than usual."""
    own = fields
    if isinstance(record := fields.get("record"), dict) and "message" in record:
        own = record  # loguru with serialize=True: {"text": ..., "record": {...}}
    holders = list(_holders(fields))
    exception = _text(_first([own], _EXCEPTION))
    if own is not fields and isinstance(own.get("exception"), dict):
        # loguru's text is what its format makes of the record, and below it the traceback.
        exception = str(fields.get("text", "")).partition("\n")[2]
    times = map(to_ns, _values([own, fields], _TIME))
    # W3C's 00-TRACE-PARENT-FLAGS.
    _, trace, parent, *_ = (*_text(_first(holders, ("traceparent",))).split("-"), "", "", "")
    return Record(
        time_ns=next((ns for ns in times if ns is not None), None),
        service=_name(_first(holders, _SERVICE)),
        level=_level(_first([own], _LEVEL)),
        logger=_name(_first([own], _LOGGER)),
        message=_message(own),
        exception=exception.strip("\n"),
        span_id=_id(_first(holders, _SPAN_ID)) or _from_decimal(_first(holders, ("dd.span_id",))) or _id(parent),
        parent_id=_id(_first(holders, _PARENT_ID)),
        original=fields,
        trace_ids=[*_values(holders, _TRACE_ID), *filter(None, (trace,))],
    )


def _from_text(text: str) -> Record:
    """The time it begins with, a word that is a level, and the whole as message."""
    words = (word.strip("[]():|") for word in text.split(maxsplit=6)[:6])
    level = next((word for word in words if word in _LEVEL_WORDS), "")
    return Record(leading_ns(text), "", level, "", text, "", "", "", text, [])


def _holders(fields: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The object, and what is nested under the usual names, two deep: loguru has record.extra."""
    yield fields
    for name in _CONTAINERS:
        if isinstance(inner := fields.get(name), dict):
            yield inner
            if isinstance(extra := inner.get("extra"), dict):
                yield extra


def _values(holders: Iterable[dict[str, Any]], names: tuple[str, ...]) -> Iterator[object]:
    for holder in holders:
        for name in names:
            value = _get(holder, name)
            if value is not None and value != "" and value is not False:
                yield value


def _first(holders: Iterable[dict[str, Any]], names: tuple[str, ...]) -> object:
    return next(_values(holders, names), None)


def _get(holder: dict[str, Any], name: str) -> object:
    if name in holder or "." not in name:
        return holder.get(name)
    outer, _, inner = name.partition(".")
    return _get(nested, inner) if isinstance(nested := holder.get(outer), dict) else None


def _message(fields: dict[str, Any]) -> str:
    message = _text(_first([fields], _MESSAGE)).strip("\r\n")
    if message:
        return message
    shown = (*_TRACE_ID, *_SPAN_ID, *_PARENT_ID, *_TIME, *_LEVEL, *_LOGGER, *_SERVICE, *_EXCEPTION, "trace_flags")
    return " ".join(f"{name}={_text(value)}" for name, value in fields.items() if name not in shown)


def _level(value: object) -> str:
    if isinstance(value, dict):  # loguru: {"icon": ..., "name": "INFO", "no": 20}
        value = value.get("name")
    if isinstance(value, (int, float)):
        return _LEVELS.get(int(value), str(value)) if abs(value) < 1e9 else ""
    return value.strip().upper() if isinstance(value, str) else ""


def _name(value: object) -> str:
    """A short text; an object, as ECS has for `service`, has been looked into by its dotted name."""
    return value if isinstance(value, str) else ""


def _id(value: object) -> str:
    return value.lower() if isinstance(value, str) and value.strip("0") else ""


def _from_decimal(value: object) -> str:
    """Datadog writes 64 bits in decimal."""
    digits = str(value)
    return f"{int(digits):016x}" if digits.isascii() and digits.isdigit() and 0 < len(digits) <= 20 else _id(value)


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    if value is None or value is True:
        return ""
    try:
        return json.dumps(value, ensure_ascii=False)
    except (ValueError, RecursionError):  # an integer of 5000 digits, a nesting deeper than Python follows
        return f"({type(value).__name__} that cannot be shown)"
