"""What the lines of structlog and loguru need: the ids of the moment, and the shape that `JsonLines` writes."""

from __future__ import annotations

import logging
import re
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from tracebaton_configurator.logs.ids import current_ids, is_placeholder, remembered_ids
from tracebaton_configurator.logs.objects import as_object, with_ids

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tracebaton_configurator.logs.formatter import JsonLines

# Names that mean something else on a LogRecord, and there would be taken for it.
RESERVED = frozenset((*logging.makeLogRecord({}).__dict__, "message", "asctime", "taskName"))
_EMPTY = logging.LogRecord("", logging.NOTSET, "", 0, "", None, None).__dict__
_ANSI = re.compile(r"\x1b\[[0-9;:?]*[ -/]*[@-~]")


class Event(NamedTuple):
    """One line to be. `exc_info` is an exception, `exc_text` one that has been made text of already."""

    message: str
    level: str
    logger: str
    created: float | None = None  # seconds since the epoch; None: now
    exc_info: Any = None
    exc_text: str | None = None
    stack_info: str | None = None


def missing_ids(own: Mapping[str, Any], error: BaseException | None = None) -> dict[str, str]:
    """The ids of the span that is current, or in which `error` was raised, as far as `own` fields lack them.

    Ids come as one set: fields with a `trace_id` of their own gain none of another trace.
    """
    ids = current_ids() or remembered_ids(error)
    return lacking(own, ids._asdict()) if ids is not None else {}


def lacking(own: Mapping[str, Any], ids: dict[str, str]) -> dict[str, str]:
    """Those of `ids` that the fields lack, under the rule of `missing_ids`."""
    if ids.keys().isdisjoint(own):
        return ids
    told = own.get("trace_id")
    if not is_placeholder(told) and told != ids.get("trace_id"):
        return {}
    return {name: value for name, value in ids.items() if _is_lacking(name, own)}


def _is_lacking(name: str, own: Mapping[str, Any]) -> bool:
    # Flags of `00` are flags, where the ids beside them are ids.
    return is_placeholder(own.get("trace_id" if name == "trace_flags" and own.get(name) else name))


def line_of_event(json_lines: JsonLines, event: Event, fields: Mapping[str, Any], ids: Mapping[str, str]) -> str:
    """The event in the shape of `JsonLines`, with all of the fields as they are."""
    record = object.__new__(logging.LogRecord)  # its __init__ asks for the thread, the process and more that is unused
    record.__dict__.update(_EMPTY)
    record.name, record.levelname, record.msg = event.logger, event.level, event.message
    record.created = time.time() if event.created is None else event.created
    record.exc_info, record.exc_text, record.stack_info = event.exc_info, event.exc_text, event.stack_info
    if any(name in RESERVED or name.startswith("_") for name in fields):
        # As if a dict had been logged: nothing in there can be taken for an attribute.
        logged = {**fields, "message": event.message}
        if "message" in fields:
            logged["extra.message"] = fields["message"]
        if "trace_id" in fields:
            logged.update(ids)
        record.msg = cast("str", logged)
    else:
        record.__dict__.update(fields)
    record.__dict__.update(ids)
    return json_lines.format(record, printed=True)


def object_with_ids(text: str, ids: Mapping[str, str], *, one_line: bool = False) -> str | None:
    """The JSON object `text` with the ids that it lacks; None when it is not one. Its end of line stays."""
    fields = as_object(text)
    if fields is None:
        return None
    body = text.rstrip()
    return with_ids(body, fields, cast("Any", SimpleNamespace(**ids)), one_line=one_line) + text[len(body) :]


def without_colours(text: str) -> str:
    return _ANSI.sub("", text) if "\x1b" in text else text
