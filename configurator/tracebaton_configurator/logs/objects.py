"""Lines that an application writes as JSON itself: they keep their shape, and gain the ids that they lack."""

from __future__ import annotations

import json
from json.encoder import encode_basestring as quoted
from json.scanner import make_scanner
from typing import TYPE_CHECKING, Any

from tracebaton_configurator.logs import field_names
from tracebaton_configurator.logs.ids import Ids, is_placeholder
from tracebaton_configurator.logs.values import plain, safe_line

if TYPE_CHECKING:
    import logging

# `json.loads` less the search for white space around the value, which is a third of its time on a line of this length.
_scan = make_scanner(json.JSONDecoder())  # type: ignore[arg-type]  # it takes whatever has a decoder's settings


def object_with_ids(text: str, record: logging.LogRecord, *, one_line: bool) -> str | None:
    """The line for `text`, which a formatter has made of the record, if it is one JSON object; None if it is not.

    The standard library writes a traceback below whatever the format makes of the record. It stays there, or becomes
    the field `exc_info` with `one_line`.
    """
    if text[:1] != "{":
        return None
    fields, end = _read(text)
    if fields is None:
        return None
    # A formatter that writes extras has mostly written these, too.
    missing = {} if _has_ids(fields, record.__dict__) else _missing(fields, record.__dict__)
    if end == len(text):
        return _extended(text, fields, missing, one_line=one_line) if missing or one_line else text
    below = text[end:].strip()
    if not below:
        return _extended(text, fields, missing, one_line=one_line)
    if text[end] != "\n" or not (record.exc_info or record.exc_text or record.stack_info):
        return None
    if one_line:
        return _extended(text[:end], fields, {"exc_info": below, **missing}, one_line=True)
    return _extended(text[:end], fields, missing, one_line=False) + text[end:]


def shows_ids(text: str, known: dict[str, Any]) -> bool:
    """Whether a text that begins like an object has the three ids in it, and no other object where they could be.

    Quicker than reading it, for what stays as it is in any case: it may be no JSON at all.
    """
    return (
        text.find("{", 1) < 0
        and f'"trace_id": "{known.get("trace_id")}"' in text
        and f'"span_id": "{known.get("span_id")}"' in text
        and f'"trace_flags": "{known.get("trace_flags")}"' in text
    )


def as_object(text: str) -> dict[str, Any] | None:
    """The fields of a text that is one JSON object, and nothing else."""
    fields, end = _read(text)
    return None if text[end:].strip() else fields


def with_ids(text: str, fields: dict[str, Any], record: logging.LogRecord, *, one_line: bool) -> str:
    """The object `text`, which holds `fields`, with the ids that the record has and it lacks.

    They are written behind the rest, so that its own shape stays. Ids come as one set: an object with a `trace_id` of
    its own gains none of another trace. One that says it has none, by null or another placeholder, is told. `one_line`
    takes line breaks between the fields out.
    """
    return _extended(text, fields, _missing(fields, record.__dict__), one_line=one_line)


def _read(text: str) -> tuple[dict[str, Any] | None, int]:
    """The object that `text` begins with, and where it ends."""
    try:
        fields, end = _scan(text, 0)
    except (ValueError, StopIteration, RecursionError):
        return None, 0
    return (fields, end) if isinstance(fields, dict) else (None, 0)


def _has_ids(fields: dict[str, Any], known: dict[str, Any]) -> bool:
    trace_id = known.get("trace_id")
    return (
        trace_id is not None
        and field_names.current.are_usual
        and fields.get("trace_id") == trace_id
        and fields.get("span_id") == known.get("span_id")
        and fields.get("trace_flags") == known.get("trace_flags")
    )


def _missing(fields: dict[str, Any], known: dict[str, Any]) -> dict[str, Any]:
    names = field_names.current
    if names.are_usual:
        told = fields.get("trace_id")
        if is_placeholder(told):
            taken = [name for name in Ids._fields if is_placeholder(fields.get(name))]
        elif told != known.get("trace_id") or ("span_id" in fields and "trace_flags" in fields):
            return {}
        else:
            taken = [name for name in Ids._fields if not fields.get(name)]
        return {name: known[name] for name in taken if known.get(name) is not None}
    told, same = fields.get(names.name("trace_id")) or fields.get("trace_id"), known.get("trace_id")
    ids = {name: known[name] for name in Ids._fields if known.get(name) is not None}
    shown = names.ids(ids)
    if not is_placeholder(told) and told not in (same, shown.get(names.name("trace_id"))):
        return {}
    return {name: value for name, value in shown.items() if is_placeholder(fields.get(name))}


def _extended(text: str, fields: dict[str, Any], added: dict[str, Any], *, one_line: bool) -> str:
    if (one_line and "\n" in text.rstrip()) or (added and not added.keys().isdisjoint(fields)):
        return safe_line(json.dumps(plain({**fields, **added}), ensure_ascii=False))
    if not added:
        return text
    inside = ", ".join([f'"{name}": {_quoted(value)}' for name, value in added.items()])
    return f"{text.rstrip()[:-1].rstrip()}{', ' if fields else ''}{inside if inside.isascii() else safe_line(inside)}}}"


def _quoted(value: Any) -> str:
    return quoted(value) if type(value) is str else json.dumps(value if isinstance(value, bool) else str(value))
