"""The trace context of the line being logged, in the spelling of the specification for logs outside OTLP.

https://opentelemetry.io/docs/specs/otel/compatibility/logging_trace_context/
"""

from __future__ import annotations

from contextlib import suppress
from typing import NamedTuple

from opentelemetry.trace import format_span_id, format_trace_id, get_current_span


class Ids(NamedTuple):
    """32 and 16 lower-case hexadecimal digits, and `01` (sampled) or `00`."""

    trace_id: str
    span_id: str
    trace_flags: str


def current_ids() -> Ids | None:
    """The ids of the span that is current in this thread or task; None outside any."""
    context = get_current_span().get_span_context()
    if not context.is_valid:
        return None
    # Of the flags only "sampled" says something to a reader of logs; level 2's "random" would make them `03` and `02`.
    flags = "01" if context.trace_flags.sampled else "00"
    return Ids(format_trace_id(context.trace_id), format_span_id(context.span_id), flags)


_REMEMBERED = "_tracebaton_ids"


def remember_ids(error: BaseException, ids: Ids | None = None) -> None:
    """Note on an exception in which request it was raised, for the line that a server logs about it afterwards.

    `ids` are those of the span that is current, unless given.
    """
    ids = ids or current_ids()
    if ids is not None:
        # An exception class may refuse attributes; then its line has no ids.
        with suppress(Exception):
            setattr(error, _REMEMBERED, ids)


def remembered_ids(error: BaseException | None) -> Ids | None:
    """What `remember_ids` noted."""
    ids = getattr(error, _REMEMBERED, None)
    return ids if isinstance(ids, Ids) else None
