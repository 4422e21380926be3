"""What `processes` asks of tracing, once that is up."""

from __future__ import annotations

from contextvars import copy_context
from time import monotonic
from typing import TYPE_CHECKING, Any

from opentelemetry import context as context_api
from opentelemetry.context import Context
from opentelemetry.trace import get_current_span

from tracebaton_configurator.logs.diagnostics import report_error
from tracebaton_configurator.logs.ids import current_request
from tracebaton_configurator.propagation.incoming import context_of, trace_headers
from tracebaton_configurator.propagation.processes import TRACING
from tracebaton_configurator.sampling.decision import RequestDecision, unsampled_context
from tracebaton_configurator.sampling.sampler import WhileOff
from tracebaton_configurator.sampling.upstream import CURRENT_SPAN, SUPPRESS_INSTRUMENTATION

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tracebaton_configurator.sampling.sampler import TracebatonSampler


def use(sampler: TracebatonSampler, take_up: Callable[[Mapping[str, str]], object]) -> None:
    """Hand the context on to processes, and take it up, from now on."""
    while_off = WhileOff(sampler)

    def enter(headers: Mapping[str, str]) -> None:
        try:
            before = current_request.get()
            if isinstance(before, RequestDecision) and not before.answered:
                before.answered = monotonic()
            current_request.set(None)
            context_api.attach(_context_for(headers, while_off))
        except Exception as error:  # noqa: BLE001 (the work is done all the same)
            report_error("The trace context of a pool's work could not be taken up", error)

    TRACING.headers = trace_headers
    TRACING.clean = _clean
    TRACING.take_up = take_up
    TRACING.enter = enter


def _context_for(headers: Mapping[str, str], while_off: WhileOff) -> Context:
    """Whoever is trusted by others: what comes here comes from the program itself."""
    if while_off:
        return Context({SUPPRESS_INSTRUMENTATION: while_off})
    found = context_of(headers)
    span_context = get_current_span(found).get_span_context()
    if not span_context.is_valid:
        return Context()
    decision = RequestDecision(
        Context({name: value for name, value in found.items() if name != CURRENT_SPAN}),
        recorded=span_context.trace_flags.sampled,
        trace_id=span_context.trace_id,
        trace_state=span_context.trace_state,
    )
    decision.span_context = span_context
    current_request.set(decision)
    return found if decision.recorded else unsampled_context(decision, span_context)


def _clean(function: Callable[..., Any], *arguments: Any) -> Any:
    def call() -> Any:
        current_request.set(None)
        context_api.attach(Context())
        return function(*arguments)

    return copy_context().run(call)
