"""What a change does to sampler, ids, gate and propagator, and how it ends."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import baggage, propagate, trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased, Sampler, TraceIdRatioBased
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

from tracebaton_configurator.asgi.fast_path import FastPath
from tracebaton_configurator.live.control import Control
from tracebaton_configurator.live.operations import RequestError, perform
from tracebaton_configurator.propagation.trust import Trust
from tracebaton_configurator.propagation.w3c import propagator
from tracebaton_configurator.sampling.decision import UNSAMPLED
from tracebaton_configurator.sampling.root_sampler import SdkRootSampler
from tracebaton_configurator.sampling.rules import RuleError
from tracebaton_configurator.sampling.sampler import DecisionIdGenerator, TracebatonSampler

if TYPE_CHECKING:
    from collections.abc import Iterator

CALLER = SpanContext(0xABC, 0xDEF, True, TraceFlags(1))  # noqa: FBT003
INCOMING = {"traceparent": f"00-{0xABC:032x}-{0xDEF:016x}-01", "baggage": "a=b"}
WALL = 1_000_000.0


class Controlled:
    """A provider under control, whose spans stay in memory; `now` is the monotonic clock."""

    def __init__(self, sampler: Sampler = ALWAYS_ON, *, fast_path: bool = True) -> None:
        self.now = 100.0
        self.sampler = TracebatonSampler(SdkRootSampler(sampler), follows_parents=False)
        self.ids = DecisionIdGenerator(RandomIdGenerator())
        trust = Trust(setting=True)
        self.fast_path = FastPath(self.sampler, self.ids, trust, w3c_only=True) if fast_path else None
        self.control = self.another()
        self.memory = InMemorySpanExporter()
        provider = TracerProvider(sampler=self.sampler, id_generator=self.ids, shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self.memory))
        self.tracer = provider.get_tracer("test")

    def another(self) -> Control:
        """A control of the same process, as one that has been started anew."""
        return Control(self.sampler, self.ids, self.fast_path, lambda: self.now, lambda: WALL + self.now)

    def names(self) -> list[str]:
        return [span.name for span in self.memory.get_finished_spans()]


@pytest.fixture(autouse=True)
def _propagators() -> Iterator[None]:
    before = propagate.get_global_textmap()
    propagator.install()
    yield
    propagate.set_global_textmap(before)


@pytest.fixture
def made() -> Controlled:
    return Controlled()


def injected(context: Context) -> dict[str, str]:
    carrier: dict[str, str] = {}
    propagate.inject(carrier, context)
    return carrier


class TestOff:
    def test_no_root_is_recorded_or_has_ids(self, made: Controlled) -> None:
        made.control.off()
        with made.tracer.start_as_current_span("root"):
            assert not trace.get_current_span().get_span_context().is_valid
            made.tracer.start_span("child").end()
        assert made.names() == []

    def test_nor_what_continues_a_caller(self, made: Controlled) -> None:
        made.control.off()
        made.tracer.start_span("child", context=set_span_in_context(NonRecordingSpan(CALLER), Context())).end()
        assert made.names() == []

    def test_nothing_is_extracted_or_injected(self, made: Controlled) -> None:
        made.control.off()
        assert propagate.extract(INCOMING, Context()) == {}
        assert propagate.extract(INCOMING) == {}
        context = baggage.set_baggage("a", "b", Context())
        assert injected(set_span_in_context(made.tracer.start_span("root"), context)) == {}

    def test_what_is_unfinished_is_recorded_to_its_end(self, made: Controlled) -> None:
        with made.tracer.start_as_current_span("request") as request:
            made.control.off()
            with made.tracer.start_as_current_span("child") as child:
                assert child.get_span_context().trace_id == request.get_span_context().trace_id
                sent: dict[str, str] = {}
                propagate.inject(sent)
        assert made.names() == ["child", "request"]
        assert int(sent["traceparent"][-2:], 16) & 1

    def test_what_goes_on_after_the_end_of_its_request_begins_nothing(self, made: Controlled) -> None:
        with made.tracer.start_as_current_span("request"):
            trace.get_current_span().end()
            made.control.off()
            made.tracer.start_span("in the background").end()
        assert made.names() == ["request"]

    def test_a_request_without_a_span_hands_its_trace_on_to_its_end(self, made: Controlled) -> None:
        identity = NonRecordingSpan(SpanContext(7, 8, False))  # noqa: FBT003
        context = set_span_in_context(identity, Context({UNSAMPLED: True}))
        made.control.off()
        made.tracer.start_span("child", context=context).end()
        assert injected(context)["traceparent"] == f"00-{7:032x}-{8:016x}-00"
        assert made.names() == []

    def test_on_takes_it_back(self, made: Controlled) -> None:
        made.control.off()
        made.control.on()
        made.tracer.start_span("root").end()
        assert made.names() == ["root"]
        assert made.memory.get_finished_spans()[0].context.trace_id != 0
        assert propagate.extract(INCOMING, Context()) != {}

    def test_ids_that_were_made_while_off_are_not_recorded_once_on(self, made: Controlled) -> None:
        """The switch may come between the id and the decision."""
        assert not made.sampler.should_sample(None, 0, "root").decision.is_sampled()

    def test_one_under_way_without_ids_makes_no_child_without_them(self, made: Controlled) -> None:
        made.control.off()
        with made.tracer.start_as_current_span("begun while off"):
            made.control.on()
            made.tracer.start_span("root").end()
        (span,) = made.memory.get_finished_spans()
        assert span.parent is None
        assert span.context.is_valid

    def test_it_says_since_when_of_the_first_time(self, made: Controlled) -> None:
        made.control.off()
        made.now += 5
        made.control.off(60)
        said = made.control.describe()
        assert (said["on"], said["off_since"], said["off_until"]) == (False, WALL + 100, WALL + 165)


class TestRules:
    @pytest.mark.parametrize(
        "sampler",
        [ALWAYS_ON, ALWAYS_OFF, TraceIdRatioBased(0.5), ParentBased(ALWAYS_ON), ParentBased(TraceIdRatioBased(0.1))],
        ids=lambda sampler: sampler.get_description(),
    )
    def test_they_replace_any_sampler_and_give_way_to_it_again(self, sampler: Sampler) -> None:
        made = Controlled(sampler)
        assert made.fast_path is not None
        before = made.sampler.sampling
        made.control.set_rules("INTERNAL yes=1, *=0")
        for name in ("yes", "no"):
            made.tracer.start_span(name).end()
        assert made.names() == ["yes"]
        root_sampler, follows_parents = made.sampler.sampling
        assert (root_sampler.request("GET", "/x", 1)[0], follows_parents) == (None, True)
        made.control.reset_rules()
        assert made.sampler.sampling is before
        assert made.control.describe()["sampler"] == sampler.get_description()

    def test_they_work_without_a_gate(self) -> None:
        made = Controlled(fast_path=False)
        made.control.set_rules("*=0")
        made.tracer.start_span("no").end()
        made.control.reset_rules()
        made.tracer.start_span("yes").end()
        assert made.names() == ["yes"]

    def test_wrong_ones_change_nothing(self, made: Controlled) -> None:
        made.control.set_rules("*=0", 60)
        before = made.control.describe()
        with pytest.raises(RuleError, match="rule 2, 'x'"):
            made.control.set_rules("*=1, x")
        assert made.control.describe() == before

    def test_they_are_described_with_who_set_them_and_when(self, made: Controlled) -> None:
        made.now += 7
        made.control.set_rules("*=0", 60)
        said = made.control.describe()
        assert said["sampler"].startswith("tracebaton{*=0, ")
        assert (said["sampler_since"], said["sampler_until"]) == (WALL + 107, WALL + 167)
        assert said["sampler_set_by"] == "tracebaton set"
        made.control.reset_rules()
        assert made.control.describe()["sampler_set_by"] == "environment"


class TestExpiry:
    def test_each_ends_at_its_own_time(self, made: Controlled) -> None:
        made.control.off(10)
        made.control.set_rules("*=0", 20)
        assert (made.control.expire(), made.control.seconds_left()) == ([], 10)
        made.now += 10
        assert [line[:19] for line in made.control.expire()] == ["Tracing is on again"]
        assert (made.control.describe()["on"], made.control.seconds_left()) == (True, 10)
        made.now += 10
        assert [line[:25] for line in made.control.expire()] == ["Sampling goes by the vari"]
        assert made.control.seconds_left() is None

    def test_what_was_said_last_counts(self, made: Controlled) -> None:
        made.control.off(10)
        made.control.off()
        made.control.set_rules("*=0", 10)
        made.control.set_rules("*=0", 30)
        made.now += 10
        assert made.control.expire() == []
        assert made.control.seconds_left() == 20

    def test_on_does_not_wait_for_the_end(self, made: Controlled) -> None:
        made.control.off(10)
        made.control.on()
        made.control.off()
        made.now += 10
        assert (made.control.expire(), made.control.describe()["on"]) == ([], False)

    def test_the_time_left_is_never_a_poll(self, made: Controlled) -> None:
        made.control.off(10)
        made.now += 20
        assert made.control.seconds_left() == 0.001


class TestAdoption:
    def test_another_process_goes_on_from_there(self, made: Controlled) -> None:
        made.control.off(10)
        made.control.set_rules("*=0")
        made.now += 4
        state = json.loads(json.dumps(made.control.state()))
        other = Controlled()
        other.now = made.now
        assert len(other.control.take_over(state)) == 2
        assert other.control.state() == made.control.state()
        assert other.control.seconds_left() == 6

    def test_what_is_over_meanwhile_ends_at_once(self, made: Controlled) -> None:
        made.control.off(10)
        made.now += 11
        other = Controlled()
        other.control.take_over(made.control.state())
        assert len(other.control.expire()) == 1
        assert other.control.describe()["on"]

    def test_nothing_is_adopted_from_one_that_was_told_nothing(self, made: Controlled) -> None:
        assert Controlled().control.take_over(made.control.state()) == []

    def test_applying_again_changes_nothing(self, made: Controlled) -> None:
        made.control.off()
        made.control.set_rules("*=0")
        assert made.fast_path is not None
        before = made.sampler.sampling
        made.control.apply()
        assert made.sampler.sampling == before
        assert (made.fast_path.off, made.sampler.off, made.ids.off) == (True, True, True)


WRONG: list[dict[str, Any]] = [
    {},
    {"do": None},
    {"do": "explode"},
    {"do": ["off"]},
    {"do": "set"},
    {"do": "set", "rules": 1},
    {"do": "set", "rules": None},
    {"do": "set", "rules": ""},
    {"do": "set", "rules": "*=2"},
    {"do": "set", "rules": "*=1", "seconds": -1},
    *[
        {"do": "off", "seconds": seconds}
        for seconds in ("1", "", -1, 0, -0.0, float("nan"), float("inf"), 1e300, 604801, True, [], {})
    ],
]


@pytest.mark.parametrize("request_", WRONG, ids=str)
def test_a_wrong_request_changes_nothing_and_is_a_sentence(made: Controlled, request_: dict[str, Any]) -> None:
    before = made.control.describe()
    with pytest.raises(RequestError) as raised:
        perform(made.control, request_)
    assert " " in str(raised.value)
    assert made.control.describe() == before
    assert made.control.seconds_left() is None


def test_a_week_is_taken_as_the_command_takes_it(made: Controlled) -> None:
    from tracebaton_configurator.settings.reader import parse_duration

    perform(made.control, {"do": "off", "seconds": parse_duration("168h")})
    assert made.control.seconds_left() == 604800


def test_what_an_operator_wrote_cannot_forge_a_line(made: Controlled) -> None:
    (line,) = perform(made.control, {"do": "set", "rules": "/\x1b[2J\udc80*=1"})
    assert line.isprintable()


def test_an_application_s_own_propagator_gets_no_ids_to_send(made: Controlled) -> None:
    propagate.set_global_textmap(propagator.StrictTraceContextPropagator())
    made.control.off()
    assert injected(set_span_in_context(made.tracer.start_span("root"), Context())) == {}
