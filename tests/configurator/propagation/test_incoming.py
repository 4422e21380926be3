"""Work that arrives other than by HTTP: whose it is, whether it is recorded, and what it leaves when it fails."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections import Counter
from contextlib import contextmanager
from contextvars import copy_context
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import baggage, trace
from opentelemetry import context as context_api
from opentelemetry.instrumentation.utils import is_instrumentation_enabled
from opentelemetry.trace import SpanKind, StatusCode

from tracebaton_configurator.logs.ids import current_ids, current_request, remembered_ids
from tracebaton_configurator.propagation import incoming
from tracebaton_configurator.propagation.incoming import Incoming, Surroundings, trace_headers
from tracebaton_configurator.sampling.late_spans import MOST_CALLS, REASON, mark_failed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tracebaton_configurator.sampling.decision import RequestDecision

    MakeTraced = Callable[..., Any]

TRACE = "0af7651916cd43dd8448eb211c80319c"
SENDER = "b7ad6b7169203331"


def headers(flags: str = "01") -> dict[str, str]:
    return {"traceparent": f"00-{TRACE}-{SENDER}-{flags}", "tracestate": "a=b", "baggage": "tenant=acme"}


def test_a_sampled_sender_is_the_parent(traced: MakeTraced) -> None:
    made = traced("*=0")
    with Incoming("run job", headers(), attributes={"messaging.system": "arq"}) as work:
        assert baggage.get_baggage("tenant") == "acme"
        handed_on, ids = trace_headers(), current_ids()
        work.attributes["late"] = 1
    (span,) = made.spans()
    assert (span.name, span.kind, span.parent.span_id) == ("run job", SpanKind.CONSUMER, int(SENDER, 16))
    assert dict(span.attributes) == {"messaging.system": "arq", "late": 1}
    assert handed_on == {
        "traceparent": f"00-{TRACE}-{span.context.span_id:016x}-01",
        "tracestate": "a=b",
        "baggage": "tenant=acme",
    }
    assert ids is not None
    assert (ids.trace_id, int(ids.span_id, 16)) == (TRACE, span.context.span_id)
    assert (current_ids(), current_request.get()) == (None, None)


def test_an_unsampled_sender_is_followed_without_a_span(traced: MakeTraced) -> None:
    made = traced("*=1")
    with Incoming("run job", headers("00")):
        handed_on = trace_headers()["traceparent"]
        assert not is_instrumentation_enabled()
        with made.tracer.start_as_current_span("below"):
            pass
    assert made.spans() == []
    assert handed_on.startswith(f"00-{TRACE}-")
    assert handed_on.endswith("-00")
    assert SENDER not in handed_on
    assert is_instrumentation_enabled()


def test_one_that_fails_is_kept_with_the_ids_that_it_had(traced: MakeTraced) -> None:
    made = traced("*=0")
    error = ValueError("no such order")
    with pytest.raises(ValueError, match="order"), Incoming("run job", headers("00")):  # noqa: PT012
        handed_on = trace_headers()["traceparent"]
        raise error
    (span,) = made.spans()
    assert handed_on == f"00-{TRACE}-{span.context.span_id:016x}-00"
    assert (span.parent.span_id, span.attributes[REASON]) == (int(SENDER, 16), "error")
    assert (span.status.status_code, span.attributes["error.type"]) == (StatusCode.ERROR, "ValueError")
    assert [event.name for event in span.events] == ["exception"]
    ids = remembered_ids(error)
    assert ids is not None
    assert ids.trace_id == TRACE


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("rules", ["*=0", "*=1"])
def test_its_exception_can_be_read_where_none_of_this_is_installed(
    traced: MakeTraced, rules: str, protocol: int
) -> None:
    """By whoever asks a job queue for its result."""
    traced(rules)
    error = ValueError("no such order")
    with pytest.raises(ValueError, match="order"), Incoming("run job"):
        raise error
    assert remembered_ids(error) is not None
    read = "import pickle, sys; print(repr(pickle.load(sys.stdin.buffer)), 'tracebaton_configurator' in sys.modules)"
    plain = [sys.executable, "-I", "-S", "-c", read]
    done = subprocess.run(plain, input=pickle.dumps(error, protocol), capture_output=True, check=False)
    assert done.stdout.split(b"\n")[0] == b"ValueError('no such order') False", done.stderr


@pytest.mark.parametrize("recorded", [True, False])
@pytest.mark.parametrize("fail", [lambda work: work.fail(), lambda work: mark_failed()])
def test_it_can_fail_without_an_exception(traced: MakeTraced, fail: Callable[[Any], None], *, recorded: bool) -> None:
    made = traced("*=0")
    if recorded and fail.__code__.co_names == ("mark_failed",):
        pytest.skip("a sampled one is recorded anyway")
    with Incoming("run job", headers("01" if recorded else "00")) as work:
        fail(work)
    (span,) = made.spans()
    assert span.status.status_code is StatusCode.ERROR
    assert (REASON in span.attributes) is not recorded


def test_without_a_sender_the_rules_decide(traced: MakeTraced) -> None:
    made = traced("CONSUMER run quiet=0, *=1")
    for name in ("run quiet", "run loud"):
        with Incoming(name):
            assert current_ids() is not None
    assert [span.name for span in made.spans()] == ["run loud"]
    assert made.spans()[0].parent is None


@pytest.mark.parametrize(
    ("trust", "client", "is_child"),
    [
        (True, None, True),
        (False, None, False),
        (False, ("127.0.0.1", 1), False),
        ("10.0.0.0/8", None, True),
        ("10.0.0.0/8", ("10.1.1.1", 1), True),
        ("10.0.0.0/8", ("127.0.0.1", 1), False),
    ],
)
def test_a_stranger_is_linked_to(traced: MakeTraced, trust: Any, client: Any, *, is_child: bool) -> None:
    from ipaddress import ip_network

    made = traced("*=1", trust=trust if isinstance(trust, bool) else [ip_network(trust)])
    with Incoming("run job", headers(), client=client):
        assert baggage.get_baggage("tenant") == "acme"
    (span,) = made.spans()
    assert (f"{span.context.trace_id:032x}" == TRACE) is is_child
    assert [f"{link.context.trace_id:032x}" for link in span.links] == ([] if is_child else [TRACE])


def test_one_that_does_not_follow_links(traced: MakeTraced) -> None:
    made = traced("*=1")
    with Incoming("run job", headers("00"), follows=False):
        pass
    (span,) = made.spans()
    assert span.parent is None
    assert [link.context.span_id for link in span.links] == [int(SENDER, 16)]


@pytest.mark.parametrize(
    "carrier", [None, {}, {"traceparent": "nonsense"}, {"traceparent": 5}, {1: 2}, "text", object()]
)
def test_what_is_no_trace_context_is_ignored(traced: MakeTraced, carrier: Any) -> None:
    made = traced("*=1")
    with Incoming("run job", carrier):
        pass
    assert made.spans()[0].parent is None


def test_it_begins_clean_and_leaves_all_as_it_was(traced: MakeTraced) -> None:
    made = traced("*=1")
    with made.tracer.start_as_current_span("outer") as outer:
        request = SimpleNamespace(answered=0.0, span_context=outer.get_span_context())
        token = current_request.set(request)
        with Incoming("run job"):
            assert trace.get_current_span() is not outer
        assert (trace.get_current_span(), current_request.get()) == (outer, request)
        current_request.reset(token)
    assert made.spans()[0].parent is None


def test_while_off_there_is_nothing(traced: MakeTraced) -> None:
    made = traced("*=1")
    made.switch(off=True)
    with pytest.raises(ValueError, match="x"), Incoming("run job", headers()):  # noqa: PT012
        assert (current_ids(), trace_headers()) == (None, {})
        assert not is_instrumentation_enabled()
        made.switch(off=False)  # it ends as it began, and what it has started follows the switch
        assert not is_instrumentation_enabled()
        started = copy_context()
        raise ValueError("x")
    assert made.spans() == []
    assert started.run(is_instrumentation_enabled)


def test_before_tracing_is_up_it_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incoming, "_in_use", None)
    with Incoming("run job", headers()) as work:
        work.fail()
    assert work.decision is None


def test_it_ends_once(traced: MakeTraced) -> None:
    made = traced("*=1")
    work = Incoming("run job").__enter__()
    work.end()
    work.end(ValueError("x"))
    assert [span.status.status_code for span in made.spans()] == [StatusCode.UNSET]


@pytest.mark.parametrize("recorded", [True, False])
def test_what_was_not_done_after_all_leaves_no_span(traced: MakeTraced, *, recorded: bool) -> None:
    made = traced("*=1" if recorded else "*=0")
    with Incoming("run job") as work:
        work.fail()
        work.discard()
    assert made.spans() == []
    assert (current_ids(), current_request.get()) == (None, None)


def test_only_a_server_can_be_slow(traced: MakeTraced) -> None:
    made = traced("*=0", slower_than=0.0)
    for kind in (SpanKind.CONSUMER, SpanKind.SERVER):
        with Incoming(f"{kind.name}", kind=kind):
            pass
    assert [(span.name, span.attributes[REASON]) for span in made.spans()] == [("SERVER", "slow")]


def test_each_call_has_a_budget_of_its_own(traced: MakeTraced) -> None:
    made = traced("*=1/s")
    for name in ("tools/call a", "tools/call b", "tools/call c"):
        with Incoming(name, kind=SpanKind.SERVER):
            pass
    assert len(made.spans()) == 3


def test_a_cancelled_one_has_not_failed(traced: MakeTraced) -> None:
    from asyncio import CancelledError

    made = traced("*=0")
    with pytest.raises(CancelledError), Incoming("run job"):
        raise CancelledError
    assert made.spans() == []


def test_a_span_that_cannot_be_made_fails_no_work(traced: MakeTraced, monkeypatch: pytest.MonkeyPatch) -> None:
    made = traced("*=1")
    monkeypatch.setattr(made.sampler, "should_sample", lambda *_, **__: 1 / 0)
    done = []
    with Incoming("run job"):
        done.append(1)
    assert done == [1]


def test_one_that_ends_elsewhere_says_nothing(traced: MakeTraced, caplog: pytest.LogCaptureFixture) -> None:
    from contextvars import copy_context

    made = traced("*=1")
    work = copy_context().run(Incoming("run job").__enter__)
    work.end()
    assert (len(made.spans()), caplog.records) == (1, [])


def test_whoever_keeps_its_context_leaves_it(traced: MakeTraced) -> None:
    """And says when the work was over, where that is not when it ends."""
    made = traced("*=1")
    before = context_api.get_current()
    work = Incoming("run job", headers()).__enter__()
    assert work.keep_in_context() is context_api.get_current()
    work.until = work._started + 5_000_000
    work.end()
    assert trace.get_current_span() is work.span
    context_api.attach(before)
    current_request.set(None)
    (span,) = made.spans()
    assert span.end_time - span.start_time == 5_000_000


OUTER = "3f2a9c5d1b7e4f60a1c2d3e4f5061728"


@contextmanager
def request(*, sampled: bool) -> Iterator[tuple[RequestDecision, Surroundings]]:
    """An HTTP request of the trace `OUTER`, as the sampling middleware runs one."""
    flags = "01" if sampled else "00"
    with Incoming("POST /mcp", {"traceparent": f"00-{OUTER}-{SENDER}-{flags}"}, kind=SpanKind.SERVER) as work:
        assert work.decision is not None
        yield work.decision, Surroundings.current()


def of(span: Any) -> tuple[str, str, str]:
    return span.name, f"{span.context.trace_id:032x}", span.kind.name


@pytest.mark.parametrize("carrier", [None, {"traceparent": "nonsense"}, {"traceparent": f"00-{OUTER}-{SENDER}-01"}])
def test_a_call_is_part_of_the_request_that_it_came_by(traced: MakeTraced, carrier: Any) -> None:
    made = traced("*=0")
    with (
        request(sampled=True) as (_, within),
        Incoming("a job of the session", headers()),  # whose context a session's task has
        Incoming("tools/call a", carrier, kind=SpanKind.SERVER, within=within),
    ):
        assert current_ids().trace_id == OUTER  # type: ignore[union-attr]
    call, _, outer = made.spans()
    assert (of(call), call.parent.span_id) == (("tools/call a", OUTER, "INTERNAL"), outer.context.span_id)


def test_the_trace_that_its_headers_name_wins(traced: MakeTraced) -> None:
    made = traced("*=0")
    with request(sampled=False) as (_, within), Incoming("a", headers(), kind=SpanKind.SERVER, within=within):
        assert is_instrumentation_enabled()
    (call,) = made.spans()
    assert (of(call), call.parent.span_id) == (("a", TRACE, "SERVER"), int(SENDER, 16))
    assert [f"{link.context.trace_id:032x}" for link in call.links] == [OUTER]


def test_but_not_where_its_sender_is_no_one_to_trust(traced: MakeTraced) -> None:
    made = traced("*=0", trust=False)
    with Incoming("POST /mcp", kind=SpanKind.SERVER), Incoming("a", headers(), within=Surroundings.current()):
        pass
    assert made.spans() == []
    made = traced("*=1", trust=False)
    with Incoming("POST /mcp", kind=SpanKind.SERVER), Incoming("a", headers(), within=Surroundings.current()):
        pass
    call, outer = made.spans()
    assert (call.parent.span_id, [link.context.span_id for link in call.links]) == (
        outer.context.span_id,
        [int(SENDER, 16)],
    )


def test_what_comes_by_a_request_that_is_over_is_a_request_by_itself(traced: MakeTraced) -> None:
    made = traced("*=0")
    with request(sampled=True) as (decision, within):
        decision.answered = 1.0
        with Incoming("a", {"traceparent": f"00-{OUTER}-{'1' * 16}-01"}, kind=SpanKind.SERVER, within=within):
            pass
    call, _ = made.spans()
    assert (of(call), call.parent.span_id) == (("a", OUTER, "SERVER"), int("1" * 16, 16))


def test_its_failure_is_that_of_the_request(traced: MakeTraced) -> None:
    made = traced("*=0")
    with request(sampled=False) as (_, within), Incoming("a", kind=SpanKind.SERVER, within=within) as work:
        work.attributes["error.type"] = "tool_error"
        work.fail()
    call, outer = made.spans()
    assert (call.kind, call.parent.span_id) == (SpanKind.INTERNAL, outer.context.span_id)
    assert call.context.span_id != outer.context.span_id
    assert (call.attributes[REASON], outer.attributes[REASON]) == ("error", "error")
    assert call.attributes["error.type"] == "tool_error"


def test_within_an_excluded_request_there_is_nothing(traced: MakeTraced) -> None:
    made = traced("*=0")
    with request(sampled=False) as (decision, within):
        decision.excluded = True
        with pytest.raises(ValueError, match="x"), Incoming("a", within=within):
            raise ValueError("x")
    assert [span.name for span in made.spans()] == []


@pytest.mark.parametrize("flags", ["01", "00"])
def test_somebody_else_makes_the_span(traced: MakeTraced, flags: str) -> None:
    made = traced("*=0")
    with Incoming("a", headers(flags), spanless=True) as work:
        assert trace_headers()["traceparent"].startswith(f"00-{TRACE}-")
        with made.tracer.start_as_current_span("theirs"):
            pass
        work.fail()
    # What is not recorded has no span of theirs, and is kept.
    assert [span.name for span in made.spans()] == (["theirs"] if flags == "01" else ["a"])
    assert (current_ids(), current_request.get()) == (None, None)


class TestWithinARequest:
    """Work that a request came by, both not recorded: what becomes of it is decided by both."""

    @staticmethod
    def call(made: Any, name: str) -> int:
        with made.tracer.start_as_current_span(name, kind=SpanKind.CLIENT) as call:
            return int(call.get_span_context().trace_flags)

    def test_what_ended_well_is_kept_with_the_request_that_fails(self, traced: MakeTraced) -> None:
        made = traced("*=0")
        with Incoming("request", kind=SpanKind.SERVER) as request:
            self.call(made, "before")
            with Incoming("tool", kind=SpanKind.SERVER, within=Surroundings.current()):
                self.call(made, "inside")
            assert made.spans() == []
            request.fail(ValueError("after all"))
        spans = {span.name: span for span in made.spans()}
        assert sorted(spans) == ["before", "inside", "request", "tool"]
        assert spans["tool"].parent.span_id == spans["request"].context.span_id
        assert spans["inside"].parent.span_id == spans["tool"].context.span_id
        assert spans["tool"].status.status_code is StatusCode.UNSET
        assert {span.attributes[REASON] for span in spans.values()} == {"error"}

    def test_both_end_well(self, traced: MakeTraced) -> None:
        made = traced("*=0")
        with (
            Incoming("request", kind=SpanKind.SERVER),
            Incoming("tool", kind=SpanKind.SERVER, within=Surroundings.current()),
        ):
            self.call(made, "inside")
        assert made.spans() == []

    def test_both_fail_and_each_is_kept_once(self, traced: MakeTraced) -> None:
        made = traced("*=0")
        with (
            Incoming("request", kind=SpanKind.SERVER),
            Incoming("tool", kind=SpanKind.SERVER, within=Surroundings.current()) as tool,
        ):
            self.call(made, "inside")
            tool.fail()
        assert sorted(span.name for span in made.spans()) == ["inside", "request", "tool"]

    def test_after_a_failure_of_the_request_calls_inside_go_out_sampled(self, traced: MakeTraced) -> None:
        made = traced("*=0")
        with Incoming("request", kind=SpanKind.SERVER) as request:
            request.fail()
            with Incoming("tool", kind=SpanKind.SERVER, within=Surroundings.current()):
                assert self.call(made, "inside") & 1
        assert sorted(span.name for span in made.spans()) == ["inside", "request", "tool"]

    def test_what_is_handed_on_after_a_failed_call_is_sampled(self, traced: MakeTraced) -> None:
        """A job that makes up for it is recorded by whoever runs it, below a request that is kept."""
        made = traced("*=0")
        with Incoming("request", kind=SpanKind.SERVER):
            assert not int(trace_headers()["traceparent"][-2:], 16) & 1
            with made.tracer.start_as_current_span("failed", kind=SpanKind.CLIENT) as call:
                call.set_status(StatusCode.ERROR)
            headers = trace_headers()
        assert int(headers["traceparent"][-2:], 16) & 1
        with Incoming("run job", headers):
            pass
        spans = {span.name: span for span in made.spans()}
        assert sorted(spans) == ["failed", "request", "run job"]
        assert spans["run job"].parent.span_id == spans["request"].context.span_id
        assert REASON not in spans["run job"].attributes

    def test_what_has_no_room_is_left_out_with_its_calls(self, traced: MakeTraced) -> None:
        made = traced("*=0")
        with Incoming("request", kind=SpanKind.SERVER) as request:
            for _ in range(MOST_CALLS - 1):
                self.call(made, "before")
            with Incoming("tool", kind=SpanKind.SERVER, within=Surroundings.current()):
                self.call(made, "inside")
            self.call(made, "after")
            with made.tracer.start_as_current_span("failed", kind=SpanKind.CLIENT) as call:
                call.set_status(StatusCode.ERROR)
            request.fail()
        names = Counter(span.name for span in made.spans())
        assert names == {"request": 1, "before": MOST_CALLS - 2, "after": 1, "failed": 1}
        assert (made.late_spans.incomplete, made.late_spans.calls_dropped) == (1, 3)

    def test_a_failed_call_takes_no_place_of_work_with_calls_of_its_own(self, traced: MakeTraced) -> None:
        made = traced("*=0")
        with Incoming("request", kind=SpanKind.SERVER) as request:
            with Incoming("tool", kind=SpanKind.SERVER, within=Surroundings.current()):
                for _ in range(MOST_CALLS - 1):
                    self.call(made, "inside")
            with made.tracer.start_as_current_span("failed", kind=SpanKind.CLIENT) as call:
                call.set_status(StatusCode.ERROR)
            request.fail()
        names = Counter(span.name for span in made.spans())
        assert names == {"request": 1, "tool": 1, "inside": MOST_CALLS - 1}
