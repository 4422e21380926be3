"""Whose trace is continued and whether it is recorded: callers who are trusted, callers who are not, and roots."""

from __future__ import annotations

import asyncio
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

import pytest
from fastapi import FastAPI, WebSocket
from opentelemetry import baggage, propagate, trace
from opentelemetry.context import Context
from opentelemetry.propagators import textmap
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, Sampler, TraceIdRatioBased
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context
from rawasgi import Answer, http_scope, send, traceparent, websocket_scope

from tracebaton_configurator.propagation.w3c import propagator
from tracebaton_configurator.sampling.threshold import randomness_of, threshold_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Behind

    MakeBehind = Callable[..., Behind]

TRACE, PARENT = 0xABCDEF, 0x1234
VENDOR = (b"tracestate", b"vendor=value")
INSIDE = [ip_network("10.0.0.0/8")]


def seeing_app() -> tuple[FastAPI, list[SpanContext]]:
    app, seen = FastAPI(), list[SpanContext]()

    @app.get("/")
    async def endpoint() -> dict[str, Any]:
        seen.append(trace.get_current_span().get_span_context())
        return dict(baggage.get_all())

    @app.websocket("/ws")
    async def socket(websocket: WebSocket) -> None:
        seen.append(trace.get_current_span().get_span_context())
        await websocket.accept()
        await websocket.close()

    return app, seen


# The ways of a recorded request: the gate's own, upstream's middleware, and upstream's for a WebSocket.
WAYS = ("http", "http with event spans", "websocket")


def ask(made: Behind, *headers: tuple[bytes, bytes], way: str = "http", **changes: Any) -> tuple[SpanContext, Answer]:
    app, seen = seeing_app()
    made.put_on(app, exclude_spans=() if way == "http with event spans" else ("send", "receive"))
    if way == "websocket":
        scope = websocket_scope("/ws", headers, **changes)
        answer = asyncio.run(send(app, scope, incoming=[{"type": "websocket.connect"}]))
    else:
        answer = asyncio.run(send(app, http_scope(headers=headers, **changes)))
    assert answer.error is None
    return seen[0], answer


def servers(made: Behind) -> list[Any]:
    return [span for span in made.spans if span.kind.name == "SERVER"]


@pytest.mark.parametrize("way", WAYS)
class TestTrustedCallers:
    def test_one_that_records_is_followed(self, behind: MakeBehind, way: str) -> None:
        made = behind("*=0")
        seen, _ = ask(made, traceparent(TRACE, PARENT, 1), VENDOR, way=way)
        (span,) = servers(made)
        assert (seen.trace_id, seen.trace_flags.sampled) == (TRACE, True)
        assert seen.trace_state.to_header() == "vendor=value"
        assert (span.parent.span_id, span.parent.is_remote) == (PARENT, True)

    def test_one_that_does_not_record_is_followed(self, behind: MakeBehind, way: str) -> None:
        made = behind("*=1")
        seen, _ = ask(made, traceparent(TRACE, PARENT, 0), VENDOR, way=way)
        assert (seen.trace_id, seen.trace_flags.sampled) == (TRACE, False)
        assert seen.trace_state.to_header() == "vendor=value"
        assert made.spans == []

    def test_a_root_that_is_recorded_says_with_which_probability(self, behind: MakeBehind, way: str) -> None:
        made = behind("*=1")
        seen, _ = ask(made, way=way)
        assert seen.trace_state.to_header() == "ot=th:0"
        assert servers(made)[0].parent is None


class Rolls(Sampler):
    """Records every other root that it is asked about."""

    def __init__(self) -> None:
        self.asked = 0

    def should_sample(self, parent_context: Any, trace_id: int, name: str, *rest: Any, **others: Any) -> Any:
        self.asked += 1
        return (ALWAYS_ON if self.asked % 2 else ALWAYS_OFF).should_sample(parent_context, trace_id, name)

    def get_description(self) -> str:
        return "Rolls"


@pytest.mark.parametrize("way", WAYS)
def test_a_root_is_decided_once(behind: MakeBehind, way: str) -> None:
    made = behind(Rolls())
    ask(made, way=way)
    assert made.fast_path.root_sampler._sampler.asked == 1  # type: ignore[union-attr]
    assert len(servers(made)) == 1


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("flags", [0, 1])
class TestStrangers:
    """A caller outside the trusted networks is linked, not continued, and its flag is not obeyed."""

    def test_an_untrusted_caller_is_linked(self, behind: MakeBehind, flags: int, way: str) -> None:
        made = behind("*=1", trust=INSIDE)
        seen, _ = ask(made, traceparent(TRACE, PARENT, flags), VENDOR, way=way, client=("192.0.2.7", 5))
        (span,) = servers(made)
        assert seen.trace_id not in (0, TRACE)
        assert seen.trace_state.to_header() == "ot=th:0"
        assert span.parent is None
        assert [(link.context.trace_id, link.context.span_id) for link in span.links] == [(TRACE, PARENT)]

    def test_it_cannot_force_a_recording(self, behind: MakeBehind, flags: int, way: str) -> None:
        made = behind("*=0", trust=INSIDE)
        seen, _ = ask(made, traceparent(TRACE, PARENT, flags), VENDOR, way=way, client=("192.0.2.7", 5))
        assert seen.trace_id not in (0, TRACE)
        assert (seen.trace_flags.sampled, seen.trace_state.to_header()) == (False, "")
        assert made.spans == []

    def test_a_trusted_one_is_followed(self, behind: MakeBehind, flags: int, way: str) -> None:
        made = behind("*=0", trust=INSIDE)
        seen, _ = ask(made, traceparent(TRACE, PARENT, flags), way=way, client=("10.1.2.3", 5))
        assert (seen.trace_id, seen.trace_flags.sampled) == (TRACE, bool(flags))

    def test_nobody_is_trusted_without_an_address(self, behind: MakeBehind, flags: int, way: str) -> None:
        made = behind("*=0", trust=INSIDE)
        seen, _ = ask(made, traceparent(TRACE, PARENT, flags), way=way, client=None)
        assert seen.trace_id != TRACE


def test_an_error_of_an_untrusted_caller_is_kept_with_a_link(behind: MakeBehind) -> None:
    made, app = behind("*=0", trust=False), FastAPI()

    @app.get("/")
    async def endpoint() -> None:
        raise ValueError

    asyncio.run(send(made.put_on(app), http_scope(headers=[traceparent(TRACE, PARENT, 1)])))
    assert made.only.parent is None
    assert [link.context.trace_id for link in made.only.links] == [TRACE]


class TestStandardSamplers:
    @pytest.mark.parametrize("flags", [0, 1])
    def test_one_that_follows_no_parent_decides_itself(self, behind: MakeBehind, flags: int) -> None:
        for sampler, recorded in ((ALWAYS_ON, True), (ALWAYS_OFF, False)):
            made = behind(sampler, follows_parents=False)
            seen, _ = ask(made, traceparent(TRACE, PARENT, flags))
            assert (seen.trace_id, seen.trace_flags.sampled) == (TRACE, recorded)
            assert [span.parent.span_id for span in made.spans] == [PARENT] * recorded

    def test_one_that_follows_parents_does(self, behind: MakeBehind) -> None:
        for flags in (0, 1):
            made = behind(ALWAYS_OFF if flags else ALWAYS_ON)
            seen, _ = ask(made, traceparent(TRACE, PARENT, flags))
            assert seen.trace_flags.sampled == bool(flags)

    @pytest.mark.parametrize("sampler", [ALWAYS_ON, ALWAYS_OFF, TraceIdRatioBased(1.0)], ids=Sampler.get_description)
    def test_the_callers_trace_state_goes_on(self, behind: MakeBehind, sampler: Sampler) -> None:
        made = behind(sampler, follows_parents=False)
        seen, _ = ask(made, traceparent(TRACE, PARENT, 1), VENDOR)
        assert seen.trace_state.to_header() == "vendor=value"

    def test_a_ratio_looks_at_the_trace_id(self, behind: MakeBehind) -> None:
        made = behind(TraceIdRatioBased(0.5), follows_parents=False)
        low, _ = ask(made, traceparent(1, PARENT, 0))
        high, _ = ask(made, traceparent((1 << 128) - 1, PARENT, 1))
        assert (low.trace_flags.sampled, high.trace_flags.sampled) == (True, False)


class TestRules:
    def test_a_share_is_what_the_trace_id_says(self, behind: MakeBehind) -> None:
        """Consistent with every other service that samples by the same threshold."""
        made = behind("*=25%")
        app, seen = seeing_app()
        made.put_on(app)

        async def many() -> None:
            for _ in range(400):
                await send(app, http_scope())

        asyncio.run(many())
        threshold = threshold_of(0.25)
        assert [one.trace_flags.sampled for one in seen] == [randomness_of(one.trace_id) >= threshold for one in seen]
        assert {one.trace_state.to_header() for one in seen if one.trace_flags.sampled} == {"ot=th:c"}
        assert {one.trace_state.to_header() for one in seen if not one.trace_flags.sampled} == {""}
        assert 50 < len(made.spans) < 150

    def test_endpoints_are_counted_by_their_route(self, behind: MakeBehind) -> None:
        """All paths of a route share one counter, from the first on."""
        made, app = behind("*=3/s+0%"), FastAPI()

        @app.get("/agents/{name}")
        async def agent(name: str) -> None:
            """Nothing to do."""

        @app.get("/other/{name}")
        async def other(name: str) -> None:
            """Nothing to do."""

        made.put_on(app)

        async def many() -> None:
            for number in range(40):
                await send(app, http_scope(path=f"/agents/a{number}"))
                await send(app, http_scope(path=f"/other/a{number}"))

        asyncio.run(many())
        # A second may have begun in between.
        assert 3 <= made.names.count("GET /agents/{name}") <= 6
        assert 3 <= made.names.count("GET /other/{name}") <= 6


class Single(textmap.TextMapPropagator):
    """`x-single: TRACE-SPAN-FLAG`, in the manner of B3's single header."""

    def extract(self, carrier: Any, context: Context | None = None, getter: Any = textmap.default_getter) -> Context:
        context = Context() if context is None else context
        found = getter.get(carrier, "x-single")
        if not found:
            return context
        trace_id, span_id, flag = found[0].split("-")
        span = SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(int(flag)))
        return set_span_in_context(NonRecordingSpan(span), context)

    def inject(self, carrier: Any, context: Context | None = None, setter: Any = textmap.default_setter) -> None:
        span = trace.get_current_span(context).get_span_context()
        setter.set(carrier, "x-single", f"{span.trace_id:x}-{span.span_id:x}-{span.trace_flags & 1}")

    @property
    def fields(self) -> set[str]:
        return {"x-single"}


def use(*parts: textmap.TextMapPropagator) -> None:
    """As `OTEL_PROPAGATORS` sets them up, and then this project."""
    propagate.set_global_textmap(CompositePropagator(list(parts)))
    propagator.install()


class TestOtherPropagators:
    @pytest.mark.parametrize("way", WAYS)
    @pytest.mark.parametrize("flag", [0, 1])
    def test_another_format_is_read(self, behind: MakeBehind, flag: int, way: str) -> None:
        use(Single())
        made = behind("*=0" if flag else "*=1")
        headers = (b"x-single", f"{TRACE:x}-{PARENT:x}-{flag}".encode()), traceparent(77, 77, 1 - flag)
        seen, _ = ask(made, *headers, way=way)
        assert (seen.trace_id, seen.trace_flags.sampled) == (TRACE, bool(flag))
        assert [span.parent.span_id for span in servers(made)] == [PARENT] * flag

    def test_an_untrusted_caller_is_not_followed(self, behind: MakeBehind) -> None:
        use(Single())
        made = behind("*=1", trust=False)
        seen, _ = ask(made, (b"x-single", f"{TRACE:x}-{PARENT:x}-0".encode()))
        assert seen.trace_id != TRACE
        assert [link.context.trace_id for link in made.only.links] == [TRACE]

    def test_one_that_raises_costs_the_trace_and_not_the_request(self, behind: MakeBehind) -> None:
        use(Single())
        made = behind("*=1")
        seen, answer = ask(made, (b"x-single", b"nonsense"))
        assert answer.status == 200
        assert seen.is_valid

    @pytest.mark.parametrize("way", WAYS)
    @pytest.mark.parametrize("rules", ["*=0", "*=1"])
    def test_none_at_all(self, behind: MakeBehind, rules: str, way: str) -> None:
        """`OTEL_PROPAGATORS=none`: upstream's middleware fails every request with it."""
        use()
        made = behind(rules)
        seen, _ = ask(made, traceparent(TRACE, PARENT, 1), way=way)
        assert seen.trace_id not in (0, TRACE)
        assert len(servers(made)) == (rules == "*=1")
