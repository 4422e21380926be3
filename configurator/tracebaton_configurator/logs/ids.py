"""The trace context of the line being logged, in the spelling of the specification for logs outside OTLP.

https://opentelemetry.io/docs/specs/otel/compatibility/logging_trace_context/
"""

from __future__ import annotations

from contextlib import suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING, NamedTuple

from opentelemetry.trace import get_current_span

if TYPE_CHECKING:
    from opentelemetry.trace import SpanContext


class Ids(NamedTuple):
    """32 and 16 lower-case hexadecimal digits, and `01` (sampled) or `00`."""

    trace_id: str
    span_id: str
    trace_flags: str


def current_ids() -> Ids | None:
    """The ids of the span that is current in this thread or task; None outside any."""
    return _ids_of(get_current_span().get_span_context())


# The request that this task has answered last, until a server's line about it is written.
ended: ContextVar[SpanContext | None] = ContextVar("tracebaton-ended", default=None)


def ended_ids() -> Ids | None:
    """The ids of the request that this task has just answered; only once."""
    context = ended.get()
    if context is None:
        return None
    ended.set(None)
    return _ids_of(context)


def _ids_of(context: SpanContext) -> Ids | None:
    # A request mostly logs several lines in a row. One read and one write of the pair: other threads are here too.
    known, ids = _latest[0]
    if context is known:
        return ids
    if not context.is_valid:
        return None
    # Of the flags only "sampled" says something to a reader of logs; level 2's "random" would make them `03` and `02`.
    flags = "01" if context.trace_flags & 1 else "00"
    ids = Ids(f"{context.trace_id:032x}", f"{context.span_id:016x}", flags)
    _latest[0] = (context, ids)
    return ids


_latest: list[tuple[SpanContext | None, Ids | None]] = [(None, None)]
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
