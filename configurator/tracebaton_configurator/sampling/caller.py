"""The call in which this process was started. What the process does by itself, outside any request, is part of that.

It is in no context: whatever serves begins its requests as it would without, in any thread and below any server. What
arrives (SERVER and CONSUMER spans) has a parent of its own, or none. After `OTEL_TRACEBATON_DETACH_AFTER` the process
has left the call, as work leaves a request: its spans begin traces of their own, linked to it.
"""

from __future__ import annotations

from time import time_ns
from typing import TYPE_CHECKING

from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, SpanKind, get_current_span

from tracebaton_configurator.logs import ids
from tracebaton_configurator.logs.ids import current_request, is_detached
from tracebaton_configurator.logs.upstream import get_current
from tracebaton_configurator.sampling.upstream import CURRENT_SPAN, SUPPRESS_INSTRUMENTATION

if TYPE_CHECKING:
    from opentelemetry.trace import SpanContext

    from tracebaton_configurator.sampling.sampler import WhileOff

_ARRIVES = (SpanKind.SERVER, SpanKind.CONSUMER)


class Caller:
    """One that is not trusted is linked to and not followed. `base` has what else came along: baggage, and no span.

    `answered` is when it was heard of first, perhaps by a process before this one, in seconds of the monotonic clock.
    """

    def __init__(
        self, span_context: SpanContext, base: Context, while_off: WhileOff, *, trusted: bool, answered: float
    ) -> None:
        self.span_context = span_context
        self.base = base
        self.answered = answered
        self.began = time_ns()
        self._while_off = while_off
        self._trusted = trusted

    def is_followed(self) -> bool:
        return self._trusted and not is_detached(self)

    def was_left(self) -> bool:
        return is_detached(self) and not self._while_off

    def is_current(self) -> bool:
        """Whether what runs now is the process's own, and no request's."""
        context = get_current()
        return not (
            self._while_off
            or CURRENT_SPAN in context
            or SUPPRESS_INSTRUMENTATION in context
            or current_request.get() is not None
        )


_caller: Caller | None = None


def use(caller: Caller) -> None:
    """From now on the process belongs to this one."""
    global _caller  # noqa: PLW0603 (what the process has)
    _caller = caller
    ids.of_process = _span_context


def known_caller() -> Caller | None:
    """The one that was given, whether or not it is followed."""
    return _caller


def current_caller() -> Caller | None:
    """The caller, if what runs now belongs to it, or did before the process left it."""
    return _caller if _caller is not None and _caller.is_current() else None


def caller_for(kind: SpanKind, context: Context | None) -> Caller | None:
    """The one below which a span with these begins; a context that was chosen for it says where it belongs."""
    if _caller is None or context is not None or kind in _ARRIVES:
        return None
    return current_caller()


def with_caller(context: Context | None) -> Context | None:
    """What is to be handed on, where `context`, by default the current one, is part of the call: its baggage, too."""
    if _caller is None or current_request.get() is not None or not _caller.is_followed():
        return context
    of_now = get_current() if context is None else context
    if CURRENT_SPAN not in of_now and context is None and _caller.is_current():
        return Context({**_caller.base, **of_now, CURRENT_SPAN: NonRecordingSpan(_caller.span_context)})
    same = get_current_span(of_now).get_span_context().trace_id == _caller.span_context.trace_id
    return Context({**_caller.base, **of_now}) if same else context


def _span_context() -> SpanContext | None:
    caller = current_caller()
    return caller.span_context if caller is not None and caller.is_followed() else None
