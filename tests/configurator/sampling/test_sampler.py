"""The sampler `tracebaton`, and the one that knows what was decided at the edge."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import redis
import redis.asyncio
from hypothesis import given
from hypothesis import strategies as some
from opentelemetry.context import Context
from opentelemetry.instrumentation.redis import RedisInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, Decision
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    TraceFlags,
    TraceState,
    set_span_in_context,
)
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

from tracebaton_configurator.sampling import root_sampler
from tracebaton_configurator.sampling.decision import RequestDecision, pending_decision
from tracebaton_configurator.sampling.root_sampler import RuleRootSampler, SdkRootSampler
from tracebaton_configurator.sampling.rule_set import RuleSet
from tracebaton_configurator.sampling.rules import effective_rules
from tracebaton_configurator.sampling.sampler import DecisionIdGenerator, TracebatonSampler
from tracebaton_configurator.sampling.threshold import randomness_of, threshold_of

TRACE_IDS = some.integers(1, (1 << 128) - 1)
CERTAIN = (1 << 128) - 1


def sampler(rules: str) -> TracebatonSampler:
    return TracebatonSampler(RuleRootSampler(RuleSet(effective_rules(rules))))


def parent(*, sampled: bool, remote: bool = True, state: TraceState | None = None) -> Context:
    span = SpanContext(7, 7, is_remote=remote, trace_flags=TraceFlags(int(sampled)), trace_state=state)
    return set_span_in_context(NonRecordingSpan(span), Context())


class TestParents:
    @pytest.mark.parametrize("remote", [True, False])
    @pytest.mark.parametrize("kind", SpanKind)
    def test_what_has_a_parent_does_as_the_parent_did(self, kind: SpanKind, *, remote: bool) -> None:
        state = TraceState([("vendor", "value")])
        for rules, sampled in (("*=0", True), ("*=1", False)):
            found = sampler(rules).should_sample(parent(sampled=sampled, remote=remote, state=state), 7, "x", kind)
            assert found.decision.is_sampled() is sampled
            assert found.trace_state == state

    def test_attributes_are_kept(self) -> None:
        found = sampler("*=0").should_sample(parent(sampled=True), 7, "x", attributes={"a": 1})
        assert dict(found.attributes) == {"a": 1}


class TestRoots:
    @given(TRACE_IDS, some.sampled_from([1.0, 0.5, 0.1, 0.25]))
    def test_a_share_is_consistent_with_the_threshold_that_is_sent(self, trace_id: int, share: float) -> None:
        found = sampler(f"*={share}").should_sample(Context(), trace_id, "x")
        assert found.decision.is_sampled() is (randomness_of(trace_id) >= threshold_of(share))
        if found.decision.is_sampled():
            sent = str((found.trace_state or {}).get("ot")).removeprefix("th:")
            assert int(sent.ljust(14, "0"), 16) == threshold_of(share)
        else:
            assert not found.trace_state

    @pytest.mark.parametrize(
        ("kind", "name", "rule", "sampled"),
        [
            (SpanKind.CLIENT, "XREAD", "CLIENT X*=0, *=1", False),
            (SpanKind.CLIENT, "GET", "CLIENT X*=0, *=1", True),
            (SpanKind.CONSUMER, "orders", "CONSUMER orders=1, *=0", True),
            (SpanKind.PRODUCER, "orders", "CONSUMER orders=1, *=0", False),
            (SpanKind.INTERNAL, "job", "INTERNAL job=1, *=0", True),
            (None, "job", "INTERNAL job=1, *=0", True),
            (SpanKind.SERVER, "job", "INTERNAL job=1, *=0", False),
        ],
    )
    def test_rules_for_other_kinds_of_spans(
        self, kind: SpanKind | None, name: str, rule: str, *, sampled: bool
    ) -> None:
        assert sampler(rule).should_sample(None, CERTAIN, name, kind).decision.is_sampled() is sampled

    @pytest.mark.parametrize(
        "attributes",
        [
            {"http.method": "GET", "http.target": "/quiet?x=1"},
            {"http.request.method": "GET", "url.path": "/quiet"},
            {"http.request.method": "GET", "url.path": "/quiet", "http.target": "/loud"},
        ],
    )
    def test_a_request_is_found_by_either_convention(self, attributes: Any) -> None:
        made = sampler("GET /quiet=0, *=1")
        assert made.should_sample(None, CERTAIN, "GET", SpanKind.SERVER, attributes).decision is Decision.DROP

    def test_the_description_says_the_rules(self) -> None:
        assert sampler("POST /chat=1").get_description().startswith("tracebaton{POST /chat=1, GET /health*=0")


class TestRedis:
    """What waits without end is told by its name, where it is Redis'."""

    def is_recorded(self, attributes: dict[str, Any] | None = None) -> bool:
        tracer = TracerProvider(sampler=sampler("*=1"), shutdown_on_exit=False).get_tracer("tests")
        span = tracer.start_span("wait", kind=SpanKind.CLIENT, attributes=attributes)
        return span.is_recording()

    def test_it_is_told_by_its_attributes(self) -> None:
        assert not self.is_recorded({"db.system": "redis"})
        assert not self.is_recorded({"db.system.name": "redis"})
        assert self.is_recorded({"db.system": "postgresql"})
        assert self.is_recorded()

    @pytest.mark.parametrize("kind", ["sync", "async", "pipeline"])
    def test_or_by_its_instrumentation_which_gives_none(self, kind: str) -> None:
        def send(command: str) -> object:
            if kind == "async":
                own = redis.asyncio.Redis(host="127.0.0.1", port=1, retry=AsyncRetry(NoBackoff(), 0))
                return asyncio.run(own.execute_command(command, "a"))
            client = redis.Redis(host="127.0.0.1", port=1, retry=Retry(NoBackoff(), 0))
            if kind == "sync":
                return client.execute_command(command, "a")  # type: ignore[no-untyped-call]
            return client.pipeline().execute_command(command, "a").execute()  # type: ignore[no-untyped-call]

        provider, memory = TracerProvider(sampler=sampler("*=1"), shutdown_on_exit=False), InMemorySpanExporter()
        provider.add_span_processor(SimpleSpanProcessor(memory))
        instrumentor = RedisInstrumentor()  # type: ignore[no-untyped-call]
        instrumentor.instrument(tracer_provider=provider)
        try:
            for command in ("PING", "GET"):
                with pytest.raises(redis.ConnectionError):
                    send(command)
        finally:
            instrumentor.uninstrument()
        assert [span.name for span in memory.get_finished_spans()] == ["GET"]


class TestNeverRaises:
    VALUES = some.one_of(
        some.none(),
        some.booleans(),
        some.integers(),
        some.floats(),
        some.text(),
        some.binary(),
        some.lists(some.text()),
    )
    NAMES = some.sampled_from(["http.method", "http.request.method", "url.path", "http.target", "other"])

    @given(
        TRACE_IDS,
        some.text(max_size=300),
        some.sampled_from([None, *SpanKind]),
        some.none() | some.dictionaries(NAMES, VALUES),
    )
    def test_on_odd_names_and_attributes(self, trace_id: int, name: str, kind: Any, attributes: Any) -> None:
        made = sampler("GET /a/{x}=0, CLIENT *=1/s, /b*=10/s, *=10/s+10%")
        assert made.should_sample(None, trace_id, name, kind, attributes, [], None).decision in Decision


class Counter:
    """A rate counter with a threshold of the test's."""

    def __init__(self, threshold: int) -> None:
        self.threshold = lambda _: threshold


def state_for(threshold: int, trace_id: int = CERTAIN) -> TraceState | None:
    return root_sampler._decide(Counter(threshold), trace_id)  # type: ignore[arg-type]


def test_sampled_is_randomness_not_below_the_threshold() -> None:
    half = threshold_of(0.5)
    assert state_for(half, half) is not None
    assert state_for(half, half - 1) is None


class TestTraceState:
    def test_it_is_made_once(self) -> None:
        made = state_for(0)
        assert made is not None
        assert made is state_for(0)
        assert made.to_header() == "ot=th:0"

    def test_thresholds_without_number_are_not_all_kept(self) -> None:
        for number in range(5000):
            state_for(number << 20)
        assert len(root_sampler._states) <= 1002


def decided(trace_id: int, trace_state: TraceState | None = None, span_id: int = 0) -> RequestDecision:
    return RequestDecision(Context(), recorded=True, trace_id=trace_id, trace_state=trace_state, span_id=span_id)


class TestPendingDecision:
    """A pending decision is consumed once, by the span it was made for."""

    def provider(self, others: Any = ALWAYS_OFF) -> TracerProvider:
        return TracerProvider(
            sampler=TracebatonSampler(SdkRootSampler(others), follows_parents=False),
            id_generator=DecisionIdGenerator(RandomIdGenerator()),
            shutdown_on_exit=False,
        )

    def start(
        self, provider: TracerProvider, context: Context, decision: RequestDecision | None = None, **arguments: Any
    ) -> SpanContext:
        token = pending_decision.set(decision)
        try:
            return provider.get_tracer("t").start_span("x", context, **arguments).get_span_context()
        finally:
            pending_decision.reset(token)

    def test_the_first_span_has_its_ids_and_state(self) -> None:
        made = decided(5, TraceState([("ot", "th:8")]), 6)
        provider = self.provider()
        first, second = (self.start(provider, Context(), made) for _ in range(2))
        assert (first.trace_id, first.span_id, first.trace_state.to_header()) == (5, 6, "ot=th:8")
        assert first.trace_flags.sampled
        assert second.trace_id not in (0, 5)
        assert second.span_id not in (0, 6)
        assert not second.trace_flags.sampled

    def test_it_holds_below_a_remote_parent(self) -> None:
        found = self.start(self.provider(), parent(sampled=False), decided(7))
        assert found.trace_id == 7
        assert found.trace_flags.sampled

    def test_it_is_not_for_a_span_of_another_trace(self) -> None:
        found = self.start(self.provider(), parent(sampled=True), decided(8, None, 6))
        assert not found.trace_flags.sampled
        assert found.span_id != 6

    def test_without_one_the_others_decide(self) -> None:
        assert self.start(self.provider(ALWAYS_ON), Context()).trace_flags.sampled
        links = [Link(SpanContext(1, 1, is_remote=True))]
        assert not self.start(self.provider(ALWAYS_OFF), Context(), links=links).trace_flags.sampled

    @pytest.mark.parametrize("kind", SpanKind)
    def test_only_an_internal_span_that_is_not_recorded_has_the_span_id_of_its_parent(self, kind: SpanKind) -> None:
        tracer = TracerProvider(
            sampler=sampler("*=1"), id_generator=DecisionIdGenerator(RandomIdGenerator()), shutdown_on_exit=False
        ).get_tracer("t")
        dropped = tracer.start_span("x", parent(sampled=False), kind=kind).get_span_context()
        assert (dropped.span_id == 7) is (kind is SpanKind.INTERNAL)
        for context in (parent(sampled=True), Context()):
            assert tracer.start_span("x", context, kind=kind).get_span_context().span_id not in (0, 7)

    def test_an_id_generator_of_before_1_43_says_nothing_about_randomness(self) -> None:
        class Old:
            def generate_trace_id(self) -> int:
                return 1

            def generate_span_id(self) -> int:
                return 2

        assert DecisionIdGenerator(Old()).is_trace_id_random() is False  # type: ignore[arg-type]
        assert DecisionIdGenerator(RandomIdGenerator()).is_trace_id_random() is RandomIdGenerator().is_trace_id_random()


def test_another_configurator_can_load_it_by_name() -> None:
    from importlib.metadata import entry_points

    from tracebaton_configurator.sampling.sampler import TracebatonSampler

    (point,) = entry_points(group="opentelemetry_traces_sampler", name="tracebaton")
    for argument, described in ((None, "*=10/s+10%"), ("/a=1", "/a=1"), ("wrong rule", "*=10/s+10%")):
        sampler = point.load()(argument)
        assert isinstance(sampler, TracebatonSampler)
        assert described in sampler.get_description()


def test_a_span_of_another_provider_leaves_its_id_to_nobody() -> None:
    made = sampler("*=1")
    own = TracerProvider(sampler=made, id_generator=DecisionIdGenerator(RandomIdGenerator()), shutdown_on_exit=False)
    others = TracerProvider(sampler=made, shutdown_on_exit=False)
    others.get_tracer("others").start_span("x", context=parent(sampled=False))
    span = own.get_tracer("own").start_span("y", context=Context())
    assert (span.is_recording(), span.get_span_context().span_id != 7) == (True, True)
