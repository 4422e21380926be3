"""Requests that were not recorded and turned out to matter: their SERVER span is made after the fact.

The request had an identity from the start, and its log lines and its calls carried it. So the span that is made at its
end, with those ids, is the parent of whatever the services below it kept of the same request.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from opentelemetry import context as context_api
from opentelemetry.context import Context
from opentelemetry.instrumentation.asgi import set_status_code
from opentelemetry.trace import Link, SpanKind, Status, StatusCode

from tracebaton_configurator.gate.engine import parent_context
from tracebaton_configurator.logs import own
from tracebaton_configurator.sampling.sampler import DECIDED, Decided

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from opentelemetry.trace import SpanContext

    from tracebaton_configurator.gate.details import SpanDetails
    from tracebaton_configurator.gate.engine import Start

# Says why a span is there although its request was not sampled: `error` or `slow`.
REASON = "tracebaton.kept"
PER_SECOND = 10


class Keeper:
    """Keeps at most ten a second in a process; `kept` and `dropped` count them. Never raises into a request."""

    def __init__(self, *, errors: bool, slower_than: float | None, per_second: int = PER_SECOND) -> None:
        self._errors = errors
        self._slower_than_ns = None if slower_than is None else int(slower_than * 1e9)
        self._per_second = per_second
        self._window = 0.0
        self._in_window = 0
        self.kept = 0
        self.dropped = 0

    def is_slow(self, began: int) -> bool:
        """Whether a request that began at `began` (ns since the epoch) took longer than the threshold."""
        return self._slower_than_ns is not None and time.time_ns() - began > self._slower_than_ns

    def keep(
        self,
        details: SpanDetails,
        scope: MutableMapping[str, Any],
        start: Start,
        identity: SpanContext,
        began: int,
        status: int,
        error: Exception | None,
    ) -> None:
        """Make and end the SERVER span of a request that has just ended: with `status`, or by raising `error`."""
        failed = error is not None or status >= 500
        if failed and not self._errors and not self.is_slow(began):
            return
        if not self._has_room():
            self.dropped += 1
            return
        try:
            self._make(details, scope, start, identity, began, status, error, "error" if failed else "slow")
            self.kept += 1
        except Exception as problem:  # noqa: BLE001 (the request is over; it must not fail for its span)
            own.error("The span of a request that failed could not be kept: %s: %s", type(problem).__name__, problem)

    def _make(
        self,
        details: SpanDetails,
        scope: MutableMapping[str, Any],
        start: Start,
        identity: SpanContext,
        began: int,
        status: int,
        error: Exception | None,
        reason: str,
    ) -> None:
        name, attributes = details.of(scope)
        attributes[REASON] = reason
        # No `ot=th`: it was not chosen by chance, so it stands for itself and for no number of others.
        decided = Decided(identity.trace_id, identity.trace_state, identity.span_id)
        token = context_api.attach(Context({**parent_context(start), DECIDED: decided}))
        try:
            span = details.tracer.start_span(
                name,
                kind=SpanKind.SERVER,
                attributes=attributes,
                start_time=began,
                links=[Link(start.claimed)] if start.claimed is not None else None,
            )
        finally:
            context_api.detach(token)
        if error is not None:
            span.record_exception(error)
            span.set_status(Status(StatusCode.ERROR, f"{type(error).__name__}: {error}"))
        if status:
            set_status_code(span, status, None, details.mode)
        span.end()

    def _has_room(self) -> bool:
        now = time.monotonic()
        if now - self._window >= 1.0:
            self._window = now
            self._in_window = 0
        self._in_window += 1
        return self._in_window <= self._per_second
