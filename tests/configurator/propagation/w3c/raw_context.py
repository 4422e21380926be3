"""The caller's context as the fast path reads it from raw headers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.trace import NonRecordingSpan, set_span_in_context

from tracebaton_configurator.asgi.fast_path import _remote
from tracebaton_configurator.propagation.w3c.propagator import with_baggage

if TYPE_CHECKING:
    from opentelemetry.context import Context

    from tracebaton_configurator.propagation.w3c.headers import RemoteContext


def with_remote(context: Context, remote: RemoteContext) -> Context:
    """`context` with the caller's span and baggage."""
    if remote.has_parent:
        context = set_span_in_context(NonRecordingSpan(_remote(remote)), context)
    return with_baggage(context, remote.baggage) if remote.baggage else context
