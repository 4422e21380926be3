"""The trace context of the line being logged, in the spelling of the specification for logs outside OTLP.

https://opentelemetry.io/docs/specs/otel/compatibility/logging_trace_context/
"""

from __future__ import annotations

from contextlib import suppress
from contextvars import ContextVar
from time import monotonic
from typing import Any, NamedTuple, Protocol

from opentelemetry.context import Context
from opentelemetry.trace import INVALID_SPAN, NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

from tracebaton_configurator.logs.upstream import CURRENT_SPAN, get_current


class OwnRequest(Protocol):
    """A request that has ids: those of `span_context`. `answered` is when, by the monotonic clock, or 0."""

    answered: float

    @property
    def span_context(self) -> SpanContext | None: ...


class Ids(NamedTuple):
    """32 and 16 lower-case hexadecimal digits, and `01` (sampled) or `00`."""

    trace_id: str
    span_id: str
    trace_flags: str

    def __reduce__(self) -> tuple[type, tuple[tuple[str, str, str]]]:
        # With an exception that has them, perhaps, and to where there is no such class.
        return tuple, ((self.trace_id, self.span_id, self.trace_flags),)


_NO_ID = frozenset(("none", "null", "nil", "n/a", "unknown", "undefined"))


def is_placeholder(value: object) -> bool:
    """Whether it says that there is no id: None, 0, "", "-", zeros, or a word for it."""
    if type(value) is str:
        # No id in hexadecimal digits begins like one of the words, and few begin with a zero: each line asks.
        return value[:1] in "0- nNuU" and (not value.strip("0- ") or value.lower() in _NO_ID)
    return value is None or (isinstance(value, int) and value == 0)


def current_ids() -> Ids | None:
    """The ids of the span that is current in this thread or task; None outside any.

    What still runs long after its request was answered is no part of it, but for a span of its own.
    """
    span: Any = get_current().get(CURRENT_SPAN, INVALID_SPAN)
    request = current_request.get()
    context = span.get_span_context()
    known, ids = _latest[0]
    if context is known and (request is None or not request.answered):  # mostly
        return ids
    if request is None:
        return _ids_of(context if context.is_valid else of_process() or context)
    if (
        request.answered
        and is_detached(request)
        and not span.is_recording()
        and (request.span_context is None or request.span_context.trace_id == context.trace_id)
    ):
        return None
    return _ids_of(context)


# What this task, or thread, belongs to. A server's task belongs to its last request until a line about that is written.
current_request: ContextVar[OwnRequest | None] = ContextVar("tracebaton-request", default=None)
detach_after = 300.0
"""Seconds; see `OTEL_TRACEBATON_DETACH_AFTER`."""


def of_process() -> SpanContext | None:
    """Whose ids the lines outside any request have; replaced in a process that was started within a call."""
    return None


def is_detached(request: OwnRequest) -> bool:
    """Whether it was answered so long ago that what it started goes on by itself."""
    return bool(request.answered) and monotonic() - request.answered > detach_after


def ended_ids(*, once: bool) -> Ids | None:
    """The ids of the request that this task has just answered."""
    request = current_request.get()
    if request is None or request.span_context is None or not request.answered:
        return None
    if once:
        current_request.set(None)
    return _ids_of(request.span_context)


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
    return Ids(*ids) if isinstance(ids, tuple) and len(ids) == len(Ids._fields) else None


def with_ids(ids: Ids | None) -> Context:
    """A context in which these are the ids, and nothing else is set."""
    if ids is None:
        return Context()
    flags = TraceFlags(int(ids.trace_flags, 16))
    span_context = SpanContext(int(ids.trace_id, 16), int(ids.span_id, 16), is_remote=False, trace_flags=flags)
    return set_span_in_context(NonRecordingSpan(span_context), Context())
