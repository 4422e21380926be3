"""Instrumentations of databases and of gRPC, below a request that is not recorded.

Each asks `is_instrumentation_enabled` of its own module, which is replaced there.

* Databases, caches and AWS: a call is noted where notes are taken; otherwise they stay suppressed, and cost nothing.
* gRPC: not suppressed at all, for without `traceparent` the next service would begin a trace of its own.

The instrumentations of elasticsearch, cassandra, aiopg and of OpenTelemetry's own for GenAI ask nobody: the tracer
makes a note of each of their calls anyway.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry import context as context_api

from tracebaton_configurator.patching.registry import put
from tracebaton_configurator.sampling.decision import UNSAMPLED, RequestDecision, hands_on_unsampled, notes_calls
from tracebaton_configurator.sampling.upstream import SUPPRESS_INSTRUMENTATION

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from opentelemetry.context import Context

_ASKED = "is_instrumentation_enabled"


def leave_notes(module: ModuleType) -> bool:
    """False where the function is not there."""
    return _ask(module, _notes_calls)


def leave_notes_by_events(module: ModuleType) -> bool:
    """For an instrumentation that asks again when a call ends, and would hold on to its span for good if it heard no.

    By then the request may have ended.
    """
    return _ask(module, _has_noted_calls)


def hand_on(module: ModuleType) -> bool:
    """For one whose calls carry the trace context."""
    return _ask(module, hands_on_unsampled)


def _ask(module: Any, applies: Callable[[Context], bool]) -> bool:
    enabled = getattr(module, _ASKED, None)
    if enabled is None:
        return False

    def is_enabled() -> bool:
        return enabled() or applies(context_api.get_current())

    put(module, _ASKED, is_enabled)
    return True


def _notes_calls(context: Context) -> bool:
    return notes_calls(context) is not None


def _has_noted_calls(context: Context) -> bool:
    decision = context.get(UNSAMPLED)
    if not isinstance(decision, RequestDecision) or decision.late_spans is None:
        return False
    return context.get(SUPPRESS_INSTRUMENTATION) is decision
