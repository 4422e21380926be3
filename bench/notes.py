"""What notes of calls take: python bench/notes.py

A thousand requests at once that are not sampled, with sixty-four calls each, which is all that a process holds.
"""

from __future__ import annotations

import gc
import os
from functools import partial
from pathlib import Path
from timeit import repeat

from httpx import URL
from opentelemetry import context
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import SpanContext, TraceFlags

from tracebaton_configurator.sampling.decision import RequestDecision, unsampled_context
from tracebaton_configurator.sampling.detached import DetachingTracerProvider
from tracebaton_configurator.sampling.late_spans import MOST_CALLS, MOST_REQUESTS, LateSpans, begin_call
from tracebaton_configurator.sampling.sampler import DecisionIdGenerator

_tracer = DetachingTracerProvider(id_generator=DecisionIdGenerator(RandomIdGenerator())).get_tracer("bench")
_late_spans = LateSpans(errors=True, slower_than=None)


def request(number: int) -> tuple[RequestDecision, context.Context]:
    decision = RequestDecision(context.Context(), recorded=False, trace_id=number, trace_state=None)
    _late_spans.watch(decision)
    span_context = SpanContext(number, 1, is_remote=False, trace_flags=TraceFlags(0))
    return decision, unsampled_context(decision, span_context)


def call(number: int) -> None:
    """As `propagation.http_clients` notes one."""
    note = begin_call(_tracer, "GET")
    assert note is not None
    note.get_span_context()  # which goes out in a header
    note.complete = partial(print, URL(f"http://127.0.0.1:8001/agents/agent-b/chat/{number}"))
    note.answer = 200
    note.end()


def resident() -> int:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    before, held = resident(), []
    for number in range(1, MOST_REQUESTS + 1):
        decision, inside = request(number)
        token = context.attach(inside)
        for one in range(MOST_CALLS):
            call(one)
        context.detach(token)
        held.append(decision)
    taken = resident() - before
    notes = sum(len(decision.calls.ended) for decision in held if decision.calls is not None)
    print(f"{notes} notes: {taken / 1e6:.0f} MB, {taken / notes:.0f} bytes each")

    decision, inside = request(MOST_REQUESTS + 1)
    held.clear()
    context.attach(inside)

    def forget() -> None:
        decision.calls = None

    def noted() -> None:
        note = begin_call(_tracer, "GET")
        assert note is not None
        note.end()

    print(f"a note: {min(repeat(noted, forget, repeat=500, number=50)) / 50 * 1e6:.1f} us")


if __name__ == "__main__":
    main()
