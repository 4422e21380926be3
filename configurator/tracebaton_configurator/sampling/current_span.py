"""`Tracer.start_as_current_span` as one context manager, where upstream has two generators within each other.

Follows `opentelemetry.trace.use_span` of opentelemetry-api 1.42.0 to 1.45.2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.context import Context
from opentelemetry.trace import Status, StatusCode

from tracebaton_configurator.logs.upstream import attach, detach, get_current
from tracebaton_configurator.sampling.upstream import CURRENT_SPAN

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Token
    from types import TracebackType

    from opentelemetry.trace import Span


class CurrentSpan:
    """The span that `start` makes, current within the `with` block.

    As a decorator, of functions and of coroutine functions, it is what `upstream` makes.
    """

    __slots__ = ("_ends", "_records", "_sets_status", "_span", "_start", "_token", "_upstream")
    _span: Span
    _token: Token[Context]

    def __init__(
        self,
        start: Callable[[], Span],
        upstream: Callable[[], Any],
        *,
        record_exception: bool,
        set_status_on_exception: bool,
        end_on_exit: bool,
    ) -> None:
        self._start = start
        self._upstream = upstream
        self._records = record_exception
        self._sets_status = set_status_on_exception
        self._ends = end_on_exit

    def __call__(self, function: Callable[..., Any]) -> Any:
        return self._upstream()(function)

    def __enter__(self) -> Span:
        self._span = span = self._start()
        self._token = attach(Context({**get_current(), CURRENT_SPAN: span}))
        return span

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        span = self._span
        detach(self._token)
        try:
            if isinstance(error, Exception) and span.is_recording():
                if self._records:
                    span.record_exception(error)
                if self._sets_status:
                    span.set_status(Status(StatusCode.ERROR, f"{type(error).__name__}: {error}"))
        finally:
            if self._ends:
                span.end()
