"""What a process does by itself belongs to the call in which it was started, and a request never does."""

from __future__ import annotations

from time import monotonic
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import context as context_api
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from tracebaton_configurator.logs import ids
from tracebaton_configurator.logs.ids import current_ids, current_request
from tracebaton_configurator.sampling import caller
from tracebaton_configurator.sampling.caller import Caller, with_caller
from tracebaton_configurator.sampling.detached import DetachingTracerProvider
from tracebaton_configurator.sampling.upstream import SUPPRESS_INSTRUMENTATION

if TYPE_CHECKING:
    from collections.abc import Iterator

CALLER = trace.SpanContext(7, 9, is_remote=True, trace_flags=trace.TraceFlags(1))


class Here:
    """A process that was started by CALLER."""

    def __init__(self, *, trusted: bool = True, off: bool = False) -> None:
        self.caller = Caller(CALLER, Context({"baggage": "a"}), off, trusted=trusted, answered=monotonic())  # type: ignore[arg-type]
        caller.use(self.caller)
        self.memory = InMemorySpanExporter()
        provider = DetachingTracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self.memory))
        self.tracer = provider.get_tracer("tests")

    def span(self, **how: Any) -> Any:
        with self.tracer.start_as_current_span("one", **how):
            pass
        return self.memory.get_finished_spans()[-1]

    def leave(self) -> None:
        self.caller.answered -= 2 * ids.detach_after


@pytest.fixture(autouse=True)
def unchanged() -> Iterator[None]:
    of_process = ids.of_process
    yield
    ids.of_process = of_process  # type: ignore[assignment]
    caller._caller = None


@pytest.mark.parametrize("kind", [SpanKind.INTERNAL, SpanKind.CLIENT, SpanKind.PRODUCER])
def test_a_span_of_its_own_is_the_callers_child(kind: SpanKind) -> None:
    span = Here().span(kind=kind)
    assert (span.context.trace_id, span.parent.span_id, span.links) == (7, 9, ())
    assert current_ids() == (f"{7:032x}", f"{9:016x}", "01")


@pytest.mark.parametrize(
    "how", [{"kind": SpanKind.SERVER}, {"kind": SpanKind.CONSUMER}, {"context": Context()}], ids=str
)
def test_what_arrives_and_what_chose_its_context_is_not(how: dict[str, Any]) -> None:
    span = Here().span(**how)
    assert (span.parent, span.links) == (None, ())


def test_within_a_request_nothing_is() -> None:
    here = Here()
    token = current_request.set(SimpleNamespace(answered=0.0, span_context=None))
    try:
        assert here.span().parent is None
        assert current_ids() is None
        assert with_caller(None) is None
    finally:
        current_request.reset(token)


def test_nor_where_instrumentation_is_suppressed() -> None:
    here = Here()
    token = context_api.attach(Context({SUPPRESS_INSTRUMENTATION: False}))
    try:
        assert here.span().parent is None
        assert current_ids() is None
    finally:
        context_api.detach(token)


def test_a_process_that_has_left_the_call_is_linked_to_it() -> None:
    here = Here()
    here.leave()
    span = here.span()
    assert (span.parent, [link.context.trace_id for link in span.links]) == (None, [7])
    assert here.span(kind=SpanKind.SERVER).links == ()
    assert current_ids() is None
    assert with_caller(None) is None


def test_one_that_does_not_trust_its_caller_is_linked_to_it() -> None:
    here = Here(trusted=False)
    span = here.span()
    assert (span.parent, [link.context.trace_id for link in span.links]) == (None, [7])
    assert current_ids() is None


def test_while_off_there_is_no_caller() -> None:
    here = Here(off=True)
    assert here.span().links == ()
    assert current_ids() is None
    assert with_caller(None) is None


def test_its_calls_hand_the_caller_on_with_its_baggage() -> None:
    here = Here()
    handed = with_caller(None)
    assert handed is not None
    assert handed["baggage"] == "a"
    assert trace.get_current_span(handed).get_span_context() == CALLER
    with here.tracer.start_as_current_span("call") as span:
        handed = with_caller(None)
        assert handed is not None
        assert handed["baggage"] == "a"
        assert trace.get_current_span(handed) is span
    chosen = Context()
    assert with_caller(chosen) is chosen
