"""python-json-logger's lines: the ids are written behind what its formatter makes, which nobody has to read again.

Three more fields take that formatter longer than this, and reading its line, to see that it is an object without ids,
as long again. Checked with python-json-logger 3.1 to 4.2 (pythonjsonlogger/core.py, json.py).
"""

from __future__ import annotations

import json
from copy import copy
from typing import TYPE_CHECKING, Any

from tracebaton_configurator.logs import field_names, named_ids
from tracebaton_configurator.logs.ids import Ids
from tracebaton_configurator.logs.stock import MOST_OUTCOMES, comes_from

if TYPE_CHECKING:
    import logging

_NAMES = frozenset(Ids._fields)
_METHODS = (
    "format", "formatException", "formatStack", "formatTime", "add_fields", "process_log_record",
    "serialize_log_record", "jsonify_log_record",
)  # fmt: skip
# The class, once it has been seen to be as its file defines it, and its methods.
_known: tuple[type, tuple[Any, ...]] = (object, ())
# The ids of the record before and what they are as the end of an object: a request mostly logs several lines in a row.
_latest: tuple[str, str, str, str] = ("", "", "", "")
# By formatter: what it had as this was found, and one like it that leaves the ids out; None where that does not do.
_without_ids: dict[int, tuple[dict[str, Any], Any]] = {}


def line_of(formatter: Any, record: logging.LogRecord) -> str | None:
    """The JSON object for a record, on one line, with the ids that the record has at its end. Never raises.

    None where the formatter is another one, has been given a method or an encoder of somebody's, or writes more than an
    object or ids of its own: then its text has to be looked at.
    """
    kind = type(formatter)
    if kind.__module__ != "pythonjsonlogger.json":
        return None
    try:
        known, methods = _known if kind is _known[0] else _look_at(kind)
        now = (
            kind.format, kind.formatException, kind.formatStack, kind.formatTime, kind.add_fields,
            kind.process_log_record, kind.serialize_log_record, kind.jsonify_log_record,
        )  # fmt: skip
        if kind is not known or now != methods or not field_names.current.are_usual:
            return None
        own = formatter.__dict__
        if own["_fmt"] not in named_ids.without and named_ids.missing(formatter, {}):
            return None
        had, plain = _without_ids.get(id(formatter), ({}, None))
        if had != own:
            plain = _remember(formatter, own)
        if plain is None:
            return None
        fields, message = record.__dict__, record.msg
        if type(message) is not str and isinstance(message, dict) and not _NAMES.isdisjoint(message):
            return None
        trace_id = fields.get("trace_id")
        if trace_id is None:
            return plain.format(record) if _NAMES.isdisjoint(fields) else None
        span_id, flags = fields["span_id"], fields["trace_flags"]
        latest = _latest
        if trace_id is not latest[0] or span_id is not latest[1] or flags is not latest[2]:
            latest = _end_with(trace_id, span_id, flags)
        if not latest[3]:
            return None  # before what the application has given is made a text of, which happens once
        text: str = plain.format(record)
        return text[:-1] + latest[3] if text != "{}" else None
    except Exception:  # noqa: BLE001 (it fails again where that is told)
        return None


def _end_with(trace_id: str, span_id: str, flags: str) -> tuple[str, str, str, str]:
    """No end where they are no ids, which need no quoting."""
    global _latest  # noqa: PLW0603 (read and written as one)
    are_ids = (len(trace_id), len(span_id), len(flags)) == (32, 16, 2) and f"{trace_id}{span_id}{flags}".isalnum()
    end = f', "trace_id": "{trace_id}", "span_id": "{span_id}", "trace_flags": "{flags}"}}'
    _latest = trace_id, span_id, flags, end if are_ids else ""
    return _latest


def _look_at(kind: Any) -> tuple[type, tuple[Any, ...]]:
    global _known  # noqa: PLW0603 (of all formatters, there is one such class)
    if kind.__qualname__ == "JsonFormatter" and comes_from(kind, *_METHODS):
        _known = kind, tuple(getattr(kind, name) for name in _METHODS)
    return _known


def _remember(formatter: Any, own: dict[str, Any]) -> Any:
    plain = None
    if _writes_one_object(own):
        plain = copy(formatter)
        plain.__dict__["_skip_fields"] = own["_skip_fields"] | _NAMES
    if len(_without_ids) >= MOST_OUTCOMES:
        _without_ids.clear()
    _without_ids[id(formatter)] = dict(own), plain
    return plain


def _writes_one_object(own: dict[str, Any]) -> bool:
    """What its fields are called is known, and none is called like an id."""
    encoder, renamed = own["json_encoder"], own["rename_fields"]
    names = (*own["_required_fields"], *renamed, *renamed.values(), *own["static_fields"], *own["defaults"])
    return (
        own.keys().isdisjoint(_METHODS)
        and own["prefix"] == ""
        and own["json_indent"] is None
        and own["json_serializer"] is json.dumps
        and (encoder is None or (encoder.__module__, encoder.__qualname__) == ("pythonjsonlogger.json", "JsonEncoder"))
        and _NAMES.isdisjoint((*names, str(own["timestamp"])))
    )
