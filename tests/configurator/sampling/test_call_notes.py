"""The calls of a request that is not recorded: noted while it runs, spans where it is kept."""

from __future__ import annotations

import gc
import weakref
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import context as context_api
from opentelemetry.context import Context
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
    get_current_span,
    set_span_in_context,
)

from tracebaton_configurator.sampling import late_spans as late_spans_module
from tracebaton_configurator.sampling.call_notes import CallNote
from tracebaton_configurator.sampling.decision import RequestDecision, unsampled_context
from tracebaton_configurator.sampling.detached import DetachingTracerProvider
from tracebaton_configurator.sampling.late_spans import LateSpans, begin_call, end_call, mark_failed
from tracebaton_configurator.sampling.root_sampler import RuleRootSampler
from tracebaton_configurator.sampling.rule_set import RuleSet
from tracebaton_configurator.sampling.rules import effective_rules
from tracebaton_configurator.sampling.sampler import DecisionIdGenerator, TracebatonSampler

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.sdk.trace import ReadableSpan
    from typing_extensions import Self

TRACE_ID = 0x0AF7651916CD43DD8448EB211C80319C


class Process:
    """A provider as the pipeline makes it, whose spans stay in memory."""

    def __init__(self, **options: Any) -> None:
        self.late_spans = LateSpans(**{"errors": True, "slower_than": None, **options})
        sampler = TracebatonSampler(RuleRootSampler(RuleSet(effective_rules("*=0"))))
        ids = DecisionIdGenerator(RandomIdGenerator())
        self.memory = InMemorySpanExporter()
        provider = DetachingTracerProvider(sampler=sampler, id_generator=ids, shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self.memory))
        self.tracer = provider.get_tracer("client", "1.0")

    def request(self, *, trace_id: int = TRACE_ID, flags: int = 0, state: TraceState | None = None) -> Request:
        return Request(self, trace_id, flags, state)

    @property
    def spans(self) -> list[ReadableSpan]:
        return list(self.memory.get_finished_spans())

    def named(self, name: str) -> ReadableSpan:
        (found,) = [span for span in self.spans if span.name == name]
        return found


class Request:
    """One that is not recorded, for the `with` block; its SERVER span is called `request`."""

    def __init__(self, process: Process, trace_id: int, flags: int, state: TraceState | None) -> None:
        self.process = process
        self.decision = RequestDecision(Context(), recorded=False, trace_id=trace_id, trace_state=state)
        self.span_context = SpanContext(
            trace_id, 0xB7AD6B7169203331, is_remote=False, trace_flags=TraceFlags(flags), trace_state=state
        )
        process.late_spans.watch(self.decision)

    def __enter__(self) -> Self:
        self._token = context_api.attach(unsampled_context(self.decision, self.span_context))
        return self

    def __exit__(self, *_: object) -> None:
        context_api.detach(self._token)

    def end(self, *, failed: bool = True, slow: bool = False) -> None:
        def make(reason: str) -> None:
            late_spans_module.start_late(
                self.decision,
                self.span_context,
                lambda: self.process.tracer.start_span("request", Context(), SpanKind.SERVER),
            ).end()

        self.process.late_spans.keep(self.decision, make, failed=failed, slow=slow)
        self.decision.ended = True


@pytest.fixture
def process() -> Iterator[Process]:
    before = context_api.get_current()
    yield Process()
    assert context_api.get_current() == before


def test_calls_of_a_failed_request_are_spans_below_its_own(process: Process) -> None:
    with process.request() as request:
        with process.tracer.start_as_current_span("outer", kind=SpanKind.CLIENT, attributes={"a": 1}) as outer:
            went_out = outer.get_span_context()
            outer.set_attribute("b", "two")
            outer.set_attributes({"c": (1, 2)})
            outer.add_event("sent", {"bytes": 3}, 7)
            with process.tracer.start_as_current_span("inner", kind=SpanKind.PRODUCER):
                pass
            outer.update_name("call")
        assert process.spans == []
    request.end()
    assert {span.name for span in process.spans} == {"request", "call", "inner"}
    call, inner = process.named("call"), process.named("inner")
    assert call.parent is not None
    assert inner.parent is not None
    assert call.parent.span_id == request.span_context.span_id
    assert (call.context.span_id, call.context.trace_id) == (went_out.span_id, went_out.trace_id)
    assert call.context.trace_flags.sampled
    assert inner.parent.span_id == call.context.span_id
    assert (call.kind, inner.kind) == (SpanKind.CLIENT, SpanKind.PRODUCER)
    assert dict(call.attributes or {}) == {"a": 1, "b": "two", "c": (1, 2), "tracebaton.kept": "error"}
    assert [(event.name, dict(event.attributes or {}), event.timestamp) for event in call.events] == [
        ("sent", {"bytes": 3}, 7)
    ]
    assert call.instrumentation_scope is not None
    assert (call.instrumentation_scope.name, call.instrumentation_scope.version) == ("client", "1.0")
    assert (call.start_time or 0) <= (inner.start_time or 0) <= (inner.end_time or 0) <= (call.end_time or 0)


def test_what_is_no_call_stays_a_part_of_its_request(process: Process) -> None:
    with process.request() as request, process.tracer.start_as_current_span("work") as work:
        assert work.get_span_context() == request.span_context
        with process.tracer.start_as_current_span("call", kind=SpanKind.CLIENT):
            pass
    request.end()
    parent = process.named("call").parent
    assert parent is not None
    assert parent.span_id == request.span_context.span_id


def test_a_call_in_a_trace_of_its_own_is_none_of_the_requests(process: Process) -> None:
    other = SpanContext(TRACE_ID + 1, 7, is_remote=False)
    with process.request() as request:
        token = context_api.attach(set_span_in_context(NonRecordingSpan(other)))
        with process.tracer.start_as_current_span("call", kind=SpanKind.CLIENT) as call:
            assert call.get_span_context() == other
        context_api.detach(token)
    request.end()
    assert {span.name for span in process.spans} == {"request"}


def test_calls_of_a_request_that_ended_well_leave_nothing(process: Process) -> None:
    with process.request() as request:
        with process.tracer.start_as_current_span("call", kind=SpanKind.CLIENT) as call:
            assert call.is_recording()
            assert call.get_span_context().span_id not in {0, request.span_context.span_id}
            assert not call.get_span_context().trace_flags.sampled
        note = weakref.ref(call)
    request.end(failed=False)
    assert process.spans == []
    del call
    gc.collect()
    assert note() is None


@pytest.mark.parametrize("options", [{"calls": False}, {"errors": False}])
def test_without_notes_a_call_has_the_ids_of_its_request(options: dict[str, Any]) -> None:
    process = Process(**options)
    with process.request() as request, process.tracer.start_as_current_span("call", kind=SpanKind.CLIENT) as call:
        assert call.get_span_context() == request.span_context
        assert not call.is_recording()
        assert begin_call(process.tracer, "call") is None


def test_an_exception_and_the_status_are_as_the_sdk_has_them(process: Process) -> None:
    with (
        process.request() as request,
        pytest.raises(ValueError, match="no such agent"),
        process.tracer.start_as_current_span("call", kind=SpanKind.CLIENT),
    ):
        raise ValueError("no such agent")
    request.end(failed=False)
    call = process.named("call")
    assert (call.status.status_code, call.status.description) == (StatusCode.ERROR, "ValueError: no such agent")
    (event,) = call.events
    attributes = dict(event.attributes or {})
    assert (event.name, attributes["exception.type"], attributes["exception.message"]) == (
        "exception",
        "ValueError",
        "no such agent",
    )
    assert "raise ValueError" in str(attributes["exception.stacktrace"])


class TestFailures:
    """A call that failed makes its request a failed one, whatever that answers."""

    @pytest.mark.parametrize(
        ("attributes", "status", "failed"),
        [
            ({}, None, False),
            ({}, StatusCode.OK, False),
            ({}, StatusCode.ERROR, True),
            ({"http.response.status_code": 500}, StatusCode.ERROR, True),
            ({"http.status_code": 503}, None, True),
            ({"http.response.status_code": 404}, StatusCode.ERROR, False),
            ({"http.status_code": 429}, StatusCode.ERROR, False),
        ],
    )
    def test_which_have_failed(
        self, process: Process, attributes: dict[str, Any], status: StatusCode | None, failed: object
    ) -> None:
        with process.request() as request, process.tracer.start_as_current_span("call", kind=SpanKind.CLIENT) as call:
            call.set_attributes(attributes)
            if status is not None:
                call.set_status(status)
        assert request.decision.call_failed == failed
        request.end(failed=False)
        assert {span.name for span in process.spans} == ({"request", "call"} if failed else set())

    def test_an_ok_stays(self, process: Process) -> None:
        with process.request() as request, process.tracer.start_as_current_span("call", kind=SpanKind.CLIENT) as call:
            call.set_status(Status(StatusCode.OK))
            call.set_status(StatusCode.ERROR, "no")
        assert not request.decision.call_failed

    def test_what_begins_after_it_goes_out_sampled(self, process: Process) -> None:
        state = TraceState([("vendor", "x"), ("ot", "th:8;rv:ffffffffffffff")])
        with process.request(flags=2, state=state) as request:
            first = begin_call(process.tracer, "first")
            assert first is not None
            assert first.get_span_context().trace_flags == 2
            assert first.get_span_context().trace_state == state
            end_call(first, RuntimeError("no"))
            second = begin_call(process.tracer, "second")
            assert second is not None
            end_call(second)
        assert second.get_span_context().trace_flags == 3
        assert second.get_span_context().trace_state.to_header() == "ot=rv:ffffffffffffff,vendor=x"
        request.end(failed=False)
        assert {span.name for span in process.spans} == {"request", "first", "second"}

    def test_all_spans_of_a_request_that_is_kept_stand_for_themselves(self, process: Process) -> None:
        """None of them was chosen by chance, so none has a threshold."""
        state = TraceState([("ot", "th:8;rv:ffffffffffffff"), ("vendor", "x")])
        with process.request(state=state) as request:
            call = begin_call(process.tracer, "call")
            assert call is not None
            end_call(call)
        request.end(failed=True)
        states = {span.name: span.context.trace_state.to_header() for span in process.spans}
        assert states == dict.fromkeys(("request", "call"), "ot=rv:ffffffffffffff,vendor=x")

    def test_a_state_with_nothing_but_a_threshold_is_left_out(self, process: Process) -> None:
        with process.request(state=TraceState([("ot", "th:8")])):
            mark_failed()
            call = begin_call(process.tracer, "call")
            assert call is not None
            assert call.get_span_context().trace_flags == 1
            assert not call.get_span_context().trace_state

    def test_over_the_cap_nothing_is_sampled(self) -> None:
        process = Process(per_second=0)
        with process.request() as request:
            mark_failed()
            call = begin_call(process.tracer, "call")
            assert call is not None
            assert not call.get_span_context().trace_flags.sampled
            call.end()
        request.end()
        assert (process.spans, process.late_spans.dropped) == ([], 1)

    def test_what_is_decided_for_a_call_holds_for_its_request(self, process: Process) -> None:
        """However many others fail in between."""
        with process.request(trace_id=1) as request:
            mark_failed()
            call = begin_call(process.tracer, "call")
            assert call is not None
            for number in range(100):
                process.request(trace_id=number + 2).end()
            call.end()
        request.end()
        assert [span.context.trace_id for span in process.spans].count(1) == 2

    def test_where_errors_are_not_kept_nothing_is_sampled(self) -> None:
        process = Process(errors=False, slower_than=1.0)
        with process.request() as request:
            mark_failed()
            call = begin_call(process.tracer, "call")
            assert call is not None
            assert not call.get_span_context().trace_flags.sampled
            end_call(call, RuntimeError("no"))
        request.end(failed=True)
        assert process.spans == []
        with process.request() as request:
            end_call(begin_call(process.tracer, "call") or NonRecordingSpan(request.span_context))
        request.end(failed=False, slow=True)
        assert {dict(span.attributes or {}).get("tracebaton.kept") for span in process.spans} == {"slow", None}


class TestBounds:
    def test_a_request_has_so_many_and_failed_ones_stay(self, process: Process) -> None:
        most = late_spans_module.MOST_CALLS
        with process.request() as request:
            for number in range(most + 10):
                error = RuntimeError("no") if number in (0, most + 5) else None
                end_call(process.tracer.start_span(f"call {number}", kind=SpanKind.CLIENT), error)
        request.end()
        names = {span.name for span in process.spans} - {"request"}
        assert len(names) == most
        assert {"call 0", f"call {most + 5}"} <= names
        assert "call 1" not in names
        assert (process.late_spans.incomplete, process.late_spans.calls_dropped) == (1, 10)

    def test_failed_ones_make_no_room_for_others(self, process: Process) -> None:
        most = late_spans_module.MOST_CALLS
        with process.request() as request:
            for number in range(most + 3):
                end_call(process.tracer.start_span(f"call {number}", kind=SpanKind.CLIENT), RuntimeError("no"))
        request.end()
        assert {span.name for span in process.spans} == {"request", *(f"call {number}" for number in range(most))}

    def test_a_process_has_notes_of_so_many_requests(self, process: Process, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(late_spans_module, "MOST_REQUESTS", 2)
        requests = [process.request(trace_id=number) for number in range(1, 5)]
        for request in requests:
            with request:
                end_call(process.tracer.start_span("call", kind=SpanKind.CLIENT))
        for request in requests:
            request.end()
        with_calls = {span.context.trace_id for span in process.spans if span.name == "call"}
        assert with_calls == {1, 2}
        assert (process.late_spans.incomplete, process.late_spans.calls_dropped) == (2, 2)
        del requests, request
        gc.collect()
        with process.request(trace_id=9) as later:
            end_call(process.tracer.start_span("call", kind=SpanKind.CLIENT))
        later.end()
        assert [span.name for span in process.spans if span.context.trace_id == 9] == ["request", "call"]

    def test_a_note_holds_so_much(self, process: Process) -> None:
        with process.request() as request:
            call = process.tracer.start_span("call", kind=SpanKind.CLIENT)
            assert isinstance(call, CallNote)
            for number in range(1000):
                call.set_attribute(f"key {number}", "x" * 10_000)
                call.add_event(f"event {number}", {"long": "y" * 10_000})
            for _ in range(100):
                call.record_exception(RuntimeError("z" * 10_000))
            call.set_attribute("key 0", "the last one")
            call.end()
        request.end()
        kept = process.named("call")
        attributes = dict(kept.attributes or {})
        assert len(attributes) <= 65
        assert attributes["key 0"] == "the last one"
        assert max(len(str(value)) for value in attributes.values()) == 4096
        assert len(kept.events) == 8


class TestEnds:
    def test_a_call_that_outlasts_its_kept_request_is_kept_when_it_ends(self, process: Process) -> None:
        with process.request() as request:
            call = process.tracer.start_span("call", kind=SpanKind.CLIENT)
        request.end()
        assert [span.name for span in process.spans] == ["request"]
        call.end(12)
        call.end(13)
        call.set_attribute("late", value=True)
        assert process.named("call").end_time == 12

    def test_one_that_outlasts_another_is_not(self, process: Process) -> None:
        with process.request() as request:
            call = process.tracer.start_span("call", kind=SpanKind.CLIENT)
        request.end(failed=False)
        end_call(call, RuntimeError("no"))
        assert process.spans == []
        assert not request.decision.call_failed

    def test_what_begins_after_the_end_has_the_ids_of_the_request(self, process: Process) -> None:
        with process.request() as request:
            request.end()
            call = process.tracer.start_span("call", kind=SpanKind.CLIENT)
            assert call.get_span_context() == request.span_context
            assert begin_call(process.tracer, "call") is None

    def test_a_second_end_and_what_comes_after_it_change_nothing(self, process: Process) -> None:
        with process.request() as request:
            call = process.tracer.start_span("call", kind=SpanKind.CLIENT)
            call.end()
            call.set_attribute("late", value=True)
            call.set_status(StatusCode.ERROR)
            call.add_event("late")
            call.record_exception(RuntimeError("late"))
            assert not call.is_recording()
            call.end()
        request.end()
        kept = process.named("call")
        assert dict(kept.attributes or {}) == {"tracebaton.kept": "error"}
        assert (kept.events, kept.status.status_code) == ((), StatusCode.UNSET)

    def test_a_note_that_cannot_be_made_costs_itself_alone(self, process: Process) -> None:
        def fail(*_: object) -> None:
            raise RuntimeError("another version's")

        with process.request() as request:
            broken = begin_call(process.tracer, "broken")
            assert broken is not None
            broken.complete = fail
            broken.end()
            end_call(process.tracer.start_span("whole", kind=SpanKind.CLIENT))
        request.end()
        assert {span.name for span in process.spans} == {"request", "whole"}

    def test_links_go_along(self, process: Process) -> None:
        other = SpanContext(TRACE_ID, 5, is_remote=True)
        with process.request() as request:
            process.tracer.start_span("call", kind=SpanKind.PRODUCER, links=[Link(other)]).end()
        request.end()
        assert [link.context for link in process.named("call").links] == [other]


def test_a_tracer_of_somebody_elses_makes_no_note(process: Process) -> None:
    with process.request():
        assert begin_call(object(), "call") is None
        assert get_current_span().get_span_context().span_id == 0xB7AD6B7169203331
