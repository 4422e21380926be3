"""The strict propagators, and how they come to stand where upstream's stood."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import baggage, propagate
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context, attach, detach
from opentelemetry.instrumentation.asgi import asgi_getter
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.propagators.textmap import Getter, Setter, TextMapPropagator
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    TraceFlags,
    TraceState,
    get_current_span,
    set_span_in_context,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from raw_context import with_remote

from tracebaton_configurator.propagation.w3c.headers import read_context
from tracebaton_configurator.propagation.w3c.propagator import (
    StrictBaggagePropagator,
    StrictTraceContextPropagator,
    install,
    refuse_callers,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
TRACE = StrictTraceContextPropagator()
BAGGAGE = StrictBaggagePropagator()


class Stub(Getter[Any], Setter[Any]):
    """Returns, or raises, what the carrier has for a key; cannot be written to."""

    def get(self, carrier: Any, key: str) -> Any:
        value = carrier.get(key)
        if isinstance(value, Exception):
            raise value
        return value

    def keys(self, carrier: Any) -> list[str]:
        return list(carrier)

    def set(self, carrier: Any, key: str, value: str) -> None:
        raise TypeError


def span_of(context: Context) -> SpanContext:
    return get_current_span(context).get_span_context()


def injected(propagator: TextMapPropagator, context: Context) -> dict[str, str]:
    carrier: dict[str, str] = {}
    propagator.inject(carrier, context)
    return carrier


class TestTraceContext:
    def test_what_is_extracted_is_injected(self) -> None:
        carrier = {"traceparent": PARENT, "tracestate": "foo@=1,bar=2"}
        context = TRACE.extract(carrier)
        assert span_of(context).is_remote
        assert injected(TRACE, context) == carrier

    def test_the_fields_are_upstreams(self) -> None:
        assert TRACE.fields == TraceContextTextMapPropagator().fields
        assert BAGGAGE.fields == W3CBaggagePropagator().fields

    @pytest.mark.parametrize(
        "parent", [None, [], "", ["garbage"], [PARENT, PARENT], [None], 5, ["\ud800"], ValueError()]
    )
    def test_without_a_parent_the_context_is_what_it_was(self, parent: Any) -> None:
        given = Context({"key": "value"})
        assert TRACE.extract({"traceparent": parent, "tracestate": ["a=1"]}, given, Stub()) is given

    def test_without_a_context_it_starts_from_an_empty_one(self) -> None:
        """As upstream's: a request is not a child of what happens to be current where it is read."""
        token = attach(Context({"key": "value"}))
        try:
            assert TRACE.extract({}) == {}
            assert BAGGAGE.extract({}) == {"key": "value"}
        finally:
            detach(token)

    @pytest.mark.parametrize("parent", [PARENT, PARENT.encode(), [PARENT], (PARENT,), [PARENT.encode()]])
    def test_a_getter_may_return_text_or_bytes_one_or_many(self, parent: Any) -> None:
        assert span_of(TRACE.extract({"traceparent": parent}, None, Stub())).is_valid

    @pytest.mark.parametrize("state", [5, [None], ["a=\ud800"], ["a=é"], ["a=✓"], ["a=\xff"], ValueError()])
    def test_a_wrong_tracestate_does_not_cost_the_parent(self, state: Any) -> None:
        span = span_of(TRACE.extract({"traceparent": [PARENT], "tracestate": state}, None, Stub()))
        assert (span.is_valid, len(span.trace_state)) == (True, 0)

    def test_an_invalid_span_is_not_injected(self) -> None:
        for ids in ((0, 0), (1, 0), (0, 1), (2**128, 1)):
            span = SpanContext(*ids, is_remote=False, trace_flags=TraceFlags(1))
            assert injected(TRACE, set_span_in_context(NonRecordingSpan(span), Context())) == {}

    def test_a_state_of_upstreams_kind_is_injected(self) -> None:
        span = SpanContext(1, 1, is_remote=False, trace_state=TraceState([("a", "1")]))
        assert injected(TRACE, set_span_in_context(NonRecordingSpan(span), Context()))["tracestate"] == "a=1"

    def test_a_carrier_that_cannot_be_written_to_is_left_alone(self) -> None:
        TRACE.inject({}, TRACE.extract({"traceparent": PARENT}), Stub())
        BAGGAGE.inject({}, baggage.set_baggage("a", 1, Context()), Stub())


class TestBaggage:
    def test_what_is_extracted_is_injected(self) -> None:
        context = BAGGAGE.extract({"baggage": ["a=1", "b=2"]}, Context())
        assert dict(baggage.get_all(context)) == {"a": "1", "b": "2"}
        assert injected(BAGGAGE, context) == {"baggage": "a=1,b=2"}

    def test_it_is_added_to_what_is_there(self) -> None:
        context = BAGGAGE.extract({"baggage": "a=1"}, baggage.set_baggage("b", 2, Context()))
        assert dict(baggage.get_all(context)) == {"b": 2, "a": "1"}

    def test_nothing_is_injected_for_nothing(self) -> None:
        assert injected(BAGGAGE, Context()) == {}

    @pytest.mark.parametrize("value", [None, 5, [None], ["\ud800=1"], ValueError()])
    def test_what_cannot_be_read_is_left(self, value: Any) -> None:
        assert BAGGAGE.extract({"baggage": value}, Context(), Stub()) == {}


class TestRawHeaders:
    def test_a_context_from_raw_headers_is_the_extracted_one(self) -> None:
        carrier = {"traceparent": PARENT, "tracestate": "a=1", "baggage": "x=1,y=%20z"}
        remote = read_context([(name.encode(), value.encode()) for name, value in carrier.items()])
        assert remote is not None
        context = with_remote(Context(), remote)
        extracted = BAGGAGE.extract(carrier, TRACE.extract(carrier))
        assert span_of(context) == span_of(extracted)
        assert baggage.get_all(context) == baggage.get_all(extracted)

    def test_a_header_on_which_upstreams_getter_raises_is_ignored(self) -> None:
        scope = {"headers": [(b"traceparent", b"\xff\\"), (b"tracestate", b"\xff\\"), (b"baggage", b"\xff\\x")]}
        with pytest.raises(UnicodeDecodeError):
            asgi_getter.get(scope, "traceparent")
        assert TRACE.extract(scope, None, asgi_getter) == {}
        assert BAGGAGE.extract(scope, Context(), asgi_getter) == {}


class Other(TextMapPropagator):
    def extract(self, carrier: Any, context: Any = None, getter: Any = None) -> Context:
        return Context()

    def inject(self, carrier: Any, context: Any = None, setter: Any = None) -> None: ...

    @property
    def fields(self) -> set[str]:
        return set()


class Changed(TraceContextTextMapPropagator):
    pass


class TestInstall:
    @pytest.fixture(autouse=True)
    def put_back(self) -> Iterator[None]:
        before = propagate.get_global_textmap()
        yield
        propagate.set_global_textmap(before)

    def installed(self, propagator: TextMapPropagator) -> tuple[tuple[str, ...], Any]:
        propagate.set_global_textmap(propagator)
        return install(), propagate.get_global_textmap()

    def test_upstreams_default(self) -> None:
        """Fails where upstream's default is no longer two such propagators in a composite."""
        code = "from tracebaton_configurator.propagation.w3c.propagator import install; print(*install(), *install())"
        environ = {name: value for name, value in os.environ.items() if name != "OTEL_PROPAGATORS"}
        printed = subprocess.check_output([sys.executable, "-c", code], env=environ, text=True)
        assert printed.split() == ["TraceContextTextMapPropagator", "W3CBaggagePropagator"]

    def test_a_single_propagator(self) -> None:
        replaced, now = self.installed(W3CBaggagePropagator())
        assert replaced == ("W3CBaggagePropagator",)
        assert [type(part) for part in now._propagators] == [StrictBaggagePropagator]

    def test_order_and_others_stay(self) -> None:
        other = Other()
        inner = CompositePropagator([other, TraceContextTextMapPropagator()])
        replaced, now = self.installed(CompositePropagator([W3CBaggagePropagator(), inner, other]))
        assert replaced == ("W3CBaggagePropagator", "TraceContextTextMapPropagator")
        first, second, third = now._propagators
        assert (type(first), third) == (StrictBaggagePropagator, other)
        assert [type(part) for part in second._propagators] == [Other, StrictTraceContextPropagator]

    @pytest.mark.parametrize(
        "propagator", [CompositePropagator([]), Other(), Changed(), CompositePropagator([Changed()])]
    )
    def test_what_is_not_upstreams_stays(self, propagator: TextMapPropagator) -> None:
        parts = propagator._propagators if isinstance(propagator, CompositePropagator) else [propagator]
        replaced, now = self.installed(propagator)
        assert (replaced, now._propagators) == ((), parts)

    def test_without_any_a_context_is_answered(self) -> None:
        """Upstream's composite answers None, and its ASGI middleware fails every request then."""
        _, now = self.installed(CompositePropagator([]))
        assert now.extract({}) == Context()

    def test_a_caller_can_be_refused(self) -> None:
        _, now = self.installed(TraceContextTextMapPropagator())
        carrier = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
        still = True
        end = refuse_callers(lambda: still)
        assert not get_current_span(now.extract(carrier)).get_span_context().is_valid
        still = False
        assert get_current_span(now.extract(carrier)).get_span_context().is_valid
        end()

    def test_a_composite_of_another_make_stays(self) -> None:
        composite = CompositePropagator([TraceContextTextMapPropagator()])
        del composite._propagators
        replaced, now = self.installed(composite)
        assert (replaced, now._propagators) == ((), [composite])
