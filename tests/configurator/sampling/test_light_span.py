"""A light span is what the SDK's would be, whatever is done to it; and the SDK's where anybody else gets to see it."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, SpanProcessor, Tracer
from opentelemetry.sdk.trace import Span as SdkSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.id_generator import IdGenerator
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

from tracebaton_configurator.export.encode import Encoder
from tracebaton_configurator.export.ends import SpanProcessors
from tracebaton_configurator.patching import registry
from tracebaton_configurator.redaction.spans import RedactingSpanProcessor
from tracebaton_configurator.sampling import light_span
from tracebaton_configurator.sampling.current_span import CurrentSpan
from tracebaton_configurator.sampling.decision import UNSAMPLED, RequestDecision, pending_decision
from tracebaton_configurator.sampling.detached import DetachingTracerProvider
from tracebaton_configurator.sampling.light_span import LightSpan
from tracebaton_configurator.sampling.root_sampler import RuleRootSampler
from tracebaton_configurator.sampling.rule_set import RuleSet
from tracebaton_configurator.sampling.rules import effective_rules
from tracebaton_configurator.sampling.sampler import TracebatonSampler

if TYPE_CHECKING:
    from collections.abc import Callable


class SameIds(IdGenerator):
    def generate_trace_id(self) -> int:
        return 0xA1 << 120

    def generate_span_id(self) -> int:
        return 0xB2 << 56


class Ended(SpanProcessor):
    """In the place of the queue: what it is handed."""

    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []

    def on_end(self, span: ReadableSpan) -> None:
        self.spans.append(span)


class Made:
    """A tracer, whose spans are light ones or the SDK's, and those that have ended."""

    def __init__(self, limits: SpanLimits | None = None, *, light: bool = True) -> None:
        self.processors = SpanProcessors()
        root = RuleRootSampler(RuleSet(effective_rules("*=1")))
        self.provider = DetachingTracerProvider(
            sampler=TracebatonSampler(root),
            id_generator=SameIds(),
            resource=Resource({"service.name": "a"}),
            active_span_processor=self.processors,
            span_limits=limits,
            shutdown_on_exit=False,
        )
        self.provider.add_span_processor(RedactingSpanProcessor())
        self.queue = Ended()
        self.provider.add_span_processor(self.queue)
        if light:
            self.processors.queues = (self.queue,)  # type: ignore[assignment]
        self.tracer = self.provider.get_tracer("scope", "1.0", "https://schema", {"of": "scope"})


@pytest.fixture(scope="module", autouse=True)
def _fit() -> None:
    registry.apply("light-span", light_span.fit)
    assert registry.outcome("light-span").status == "applied"


NAMES: Any = st.sampled_from(["a", "b", "c", "http.url"]) | st.sampled_from(["", None, 7, b"x", "\ud800"])
PLAIN: Any = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=12)
    | st.binary(max_size=3)
)
VALUES: Any = PLAIN | st.lists(PLAIN, max_size=3) | st.dictionaries(NAMES, PLAIN, max_size=2) | st.builds(object)
ATTRIBUTES: Any = st.none() | st.dictionaries(NAMES, VALUES, max_size=5)
CLEAN: Any = st.dictionaries(st.sampled_from("abcd"), st.text(max_size=3) | st.integers(0, 9), max_size=4)
CONTEXTS = st.builds(
    SpanContext,
    st.integers(1, 2**128 - 1),
    st.integers(1, 2**64 - 1),
    st.booleans(),
    st.sampled_from([TraceFlags(0), TraceFlags(1), TraceFlags(3)]),
    st.sampled_from([TraceState(), TraceState([("a", "b")])]),
)
TIMES: Any = st.integers(1, 2**62)
ERRORS = st.sampled_from([ValueError("no"), KeyError(), OSError(2, "not there")])
STATUSES = st.sampled_from(list(StatusCode))
OPERATIONS = st.one_of(
    st.tuples(st.just("set_attribute"), st.tuples(NAMES, VALUES)),
    st.tuples(st.just("set_attributes"), st.tuples(CLEAN | st.dictionaries(NAMES, VALUES, max_size=5))),
    st.tuples(st.just("add_event"), st.tuples(st.text(max_size=3), ATTRIBUTES, TIMES)),
    st.tuples(st.just("add_link"), st.tuples(CONTEXTS, CLEAN)),
    st.tuples(st.just("record_exception"), st.tuples(ERRORS, CLEAN, TIMES, st.booleans())),
    st.tuples(st.just("set_status"), st.tuples(STATUSES, st.none() | st.text(max_size=3))),
    st.tuples(st.just("set_status"), st.tuples(STATUSES.map(Status))),
    st.tuples(st.just("update_name"), st.tuples(st.text(max_size=5))),
    st.tuples(st.just("end"), st.tuples(TIMES)),
)
FEW: Any = st.sampled_from(["a", "b", "c", "", 7])
SHORT: Any = st.sampled_from(["", "longer", 1, True, 1.5, None, ["x", 1], b"b"])
ON_ATTRIBUTES = st.one_of(
    st.tuples(st.just("set_attribute"), st.tuples(FEW, SHORT)),
    st.tuples(st.just("set_attributes"), st.tuples(st.dictionaries(FEW, SHORT, max_size=4))),
    st.tuples(st.just("set_attributes"), st.tuples(st.dictionaries(st.sampled_from("abcd"), st.just(2), max_size=4))),
)
SOME = st.none() | st.integers(0, 3)
LIMITS: Any = st.none() | st.builds(
    SpanLimits,
    max_events=SOME,
    max_links=SOME,
    max_span_attributes=SOME,
    max_event_attributes=SOME,
    max_link_attributes=SOME,
    max_attribute_length=SOME,
    max_span_attribute_length=SOME,
)


def tried(make: Callable[[], Any]) -> Any:
    """What it returns, or the class of what it raises."""
    try:
        return make()
    except Exception as error:  # noqa: BLE001 (both are to raise the same)
        return type(error)


def told(span: Any, operation: str, arguments: tuple[Any, ...]) -> str:
    """What it raises, if anything."""
    try:
        getattr(span, operation)(*arguments)
    except Exception as error:  # noqa: BLE001 (both are to raise the same)
        return f"{type(error).__name__}: {error}"
    return ""


def shown(span: ReadableSpan) -> dict[str, Any]:
    return {
        "json": tried(span.to_json),
        "attributes in order": list((span.attributes or {}).items()),
        "events in order": [(one.name, one.timestamp, list((one.attributes or {}).items())) for one in span.events],
        "links in order": [(one.context, list((one.attributes or {}).items())) for one in span.links],
        "dropped": (span.dropped_attributes, span.dropped_events, span.dropped_links),
        "context": (span.context, span.parent, span.kind, span.resource, span.instrumentation_scope),
        "times": (span.start_time, span.end_time),
        "status": (span.status.status_code, span.status.description),
    }


@settings(max_examples=500)
@given(
    limits=LIMITS,
    parent=st.none() | CONTEXTS,
    kind=st.sampled_from(list(SpanKind)),
    attributes=ATTRIBUTES | CLEAN,
    links=st.none() | st.lists(st.tuples(CONTEXTS, CLEAN), max_size=3),
    start=TIMES,
    operations=st.lists(OPERATIONS, max_size=12) | st.lists(ON_ATTRIBUTES, min_size=2, max_size=8),
)
def test_it_is_what_the_sdks_would_be(
    limits: Any, parent: Any, kind: Any, attributes: Any, links: Any, start: int, operations: Any
) -> None:
    context = Context() if parent is None else set_span_in_context(NonRecordingSpan(parent), Context())
    made = {light: Made(limits, light=light) for light in (True, False)}
    spans: dict[bool, Any] = {}
    for light, one in made.items():
        own_links = None if links is None else [Link(*link) for link in links]  # the SDK changes them
        spans[light] = one.tracer.start_span("name", context, kind, attributes, own_links, start)
    assert type(spans[True]) is (LightSpan if isinstance(spans[False], SdkSpan) else type(spans[False]))
    for operation, arguments in (*operations, ("end", (7,)), ("set_attribute", ("late", 1)), ("end", (8,))):
        assert told(spans[True], operation, arguments) == told(spans[False], operation, arguments)
        assert spans[True].is_recording() == spans[False].is_recording()
    ours, theirs = made[True].queue.spans, made[False].queue.spans
    assert len(ours) == len(theirs) <= 1
    for one, other in zip(ours, theirs, strict=True):
        assert isinstance(one, ReadableSpan)
        # The SDK's before 1.43 can still be written to.
        assert one._attributes._immutable  # type: ignore[union-attr]
        assert shown(one) == shown(other)
        assert tried(lambda one=one: Encoder().encode([one])) == tried(lambda other=other: Encoder().encode([other]))


DECISIONS = st.none() | st.fixed_dictionaries(
    {
        "trace_id": st.sampled_from([SameIds().generate_trace_id(), 5]),
        "recorded": st.booleans(),
        "trace_state": st.sampled_from([None, TraceState([("c", "d")])]),
        "consumed": st.booleans(),
    }
)


@settings(max_examples=300)
@given(
    remote=st.none() | CONTEXTS,
    parents=st.integers(0, 2),
    oddities=st.sets(st.sampled_from(["ended", "off", "first", "follows nobody", "unsampled"]), max_size=2),
    decision=DECISIONS,
    kind=st.sampled_from(list(SpanKind)),
    attributes=CLEAN,
)
def test_below_a_span_it_is_what_the_sampler_says(
    remote: Any,
    parents: int,
    oddities: set[str],
    decision: dict[str, Any] | None,
    kind: Any,
    attributes: Any,
) -> None:
    """A light span below another one asks the sampler for less; a decision is taken, and taken once."""

    def spans_of(*, light: bool) -> Any:
        made = Made(light=light)
        sampler: Any = made.provider.sampler
        calls: list[int] = []
        context = Context() if remote is None else set_span_in_context(NonRecordingSpan(remote), Context())
        parent: Any = None
        for _ in range(parents):
            parent = made.tracer.start_span("parent", context)
            context = set_span_in_context(parent, context)
        if "ended" in oddities and parent is not None:
            parent.end()
        sampler.off = "off" in oddities
        sampler.sampling = sampler.sampling[0], "follows nobody" not in oddities
        sampler.on_first = (lambda: calls.append(1)) if "first" in oddities else None
        pending = None
        if decision is not None:
            given = {name: value for name, value in decision.items() if name != "consumed"}
            pending = RequestDecision(Context(), **given)
            pending.consumed = decision["consumed"]
        if "unsampled" in oddities:
            context = Context({**context, UNSAMPLED: True})
        token = pending_decision.set(pending)
        try:
            children = [made.tracer.start_span("child", context, kind, attributes) for _ in range(2)]
        finally:
            pending_decision.reset(token)
        sampler.on_first = None
        children.append(made.tracer.start_span("child", context, kind, attributes))
        for child in children:
            child.end()
        contexts = [(tuple(child.get_span_context()), type(child) is NonRecordingSpan) for child in children]
        return (
            contexts,
            [shown_without_times(span) for span in made.queue.spans],
            bool(calls),
            pending and pending.consumed,
        )

    assert spans_of(light=True) == spans_of(light=False)


def shown_without_times(span: ReadableSpan) -> tuple[Any, ...]:
    return span.name, span.context, span.parent, span.kind, dict(span.attributes or {})


def test_whoever_comes_later_gets_the_sdks() -> None:
    """A processor of the application's sees spans that end from then on, redacted, as ReadableSpans."""
    made, memory = Made(), InMemorySpanExporter()
    before = made.tracer.start_span("before", attributes={"a": "http://b/?token=abc"})
    assert type(before) is LightSpan
    made.provider.add_span_processor(SimpleSpanProcessor(memory))
    after = made.tracer.start_span("after")
    assert type(after) is not LightSpan
    for span in (before, after):
        span.end()
    assert [(span.name, dict(span.attributes or {})) for span in memory.get_finished_spans()] == [
        ("before", {"a": "http://b/?token=REDACTED"}),
        ("after", {}),
    ]
    assert [span.name for span in made.queue.spans] == ["before", "after"]


def test_an_sdk_whose_spans_are_made_of_something_else_makes_them(monkeypatch: pytest.MonkeyPatch) -> None:
    def with_more(self: Any, *args: Any, _init: Any = SdkSpan.__init__, **kwargs: Any) -> None:
        _init(self, *args, **kwargs)
        self._something_new = None

    monkeypatch.setattr(SdkSpan, "__init__", with_more)
    try:
        registry.apply("light-span", light_span.fit)
        assert not light_span.can_be_light()
        assert registry.outcome("light-span").status == "declined"
        assert type(Made().tracer.start_span("name")) is not LightSpan
    finally:
        monkeypatch.undo()
        registry.apply("light-span", light_span.fit)


def test_threads_lose_no_first_event() -> None:
    for _ in range(50):
        made = Made()
        span = made.tracer.start_span("name")
        begin = threading.Barrier(4)

        def add(span: Any = span, begin: threading.Barrier = begin) -> None:
            begin.wait()
            span.add_event("one")

        threads = [threading.Thread(target=add) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        span.end()
        assert len(made.queue.spans[0].events) == 4


# -- as the current span, in one step


def starts(made: Made) -> dict[str, Callable[..., Any]]:
    return {
        "ours": made.tracer.start_as_current_span,
        "upstream's": lambda *args, **kwargs: Tracer.start_as_current_span(made.tracer, *args, **kwargs),
    }


def within(whose: str, act: Callable[[Any], Any], **options: Any) -> tuple[Any, ...]:
    """What `act` leaves, when it is called in a span: what is raised, and what the span and the context are then."""
    made = Made()
    before = get_current_span()
    raised, inner = "", None
    try:
        with starts(made)[whose]("name", kind=SpanKind.CLIENT, attributes={"a": 1}, **options) as span:
            inner = get_current_span() is span
            act(span)
    except BaseException as error:  # noqa: BLE001 (what is raised is what is asked)
        raised = repr(error)
    assert get_current_span() is before
    recording = span.is_recording()
    span.end()
    (ended,) = made.queue.spans
    # The stack trace begins at the application's own frame, where upstream's has two of its own before.
    events = [
        (event.name, {name: value for name, value in (event.attributes or {}).items() if "stacktrace" not in name})
        for event in ended.events
    ]
    status = (ended.status.status_code, ended.status.description)
    return raised, inner, recording, ended.kind, dict(ended.attributes or {}), events, status


def fail(error: BaseException) -> Callable[[Any], Any]:
    def raise_it(_: Any) -> None:
        raise error

    return raise_it


@pytest.mark.parametrize(
    "act",
    [
        lambda span: span.set_attribute("b", 2),
        lambda span: span.set_status(StatusCode.OK),
        lambda span: span.end(),
        fail(ValueError("no")),
        fail(KeyboardInterrupt()),
        fail(GeneratorExit()),
        fail(StopIteration(3)),
        fail(asyncio.CancelledError()),
        lambda span: (span.set_status(StatusCode.OK), fail(ValueError("no"))(span)),
        lambda span: (span.end(), fail(ValueError("no"))(span)),
    ],
)
@pytest.mark.parametrize(
    "options",
    [{}, {"end_on_exit": False}, {"record_exception": False}, {"set_status_on_exception": False}, {"start_time": 5}],
)
def test_it_leaves_what_upstream_does(act: Callable[[Any], Any], options: dict[str, Any]) -> None:
    assert within("ours", act, **options) == within("upstream's", act, **options)


def test_it_starts_when_it_is_entered() -> None:
    made = Made()
    manager = made.tracer.start_as_current_span("name")
    assert isinstance(manager, CurrentSpan)
    assert made.queue.spans == []
    with manager as span:
        assert span.is_recording()


def test_it_decorates_functions_and_coroutine_functions() -> None:
    made = Made()

    @made.tracer.start_as_current_span("function")
    def function(number: int) -> tuple[int, Any]:
        return number, get_current_span()

    @made.tracer.start_as_current_span("coroutine")
    async def coroutine(number: int) -> tuple[int, Any]:
        await asyncio.sleep(0)
        return number, get_current_span()

    assert [function(1)[0], function(2)[0], asyncio.run(coroutine(3))[0]] == [1, 2, 3]
    assert [span.name for span in made.queue.spans] == ["function", "function", "coroutine"]
    assert function(4)[1] is not get_current_span()
    assert function.__name__ == "function"


def test_one_within_the_other() -> None:
    made = Made()
    with made.tracer.start_as_current_span("outer") as outer:
        with made.tracer.start_as_current_span("inner") as inner:
            assert get_current_span() is inner
        assert get_current_span() is outer
    inner_span, outer_span = made.queue.spans
    assert inner_span.parent == outer_span.context
