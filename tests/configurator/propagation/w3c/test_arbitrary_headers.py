"""Whatever bytes arrive: no exception, no invalid header sent on, no memory kept."""

from __future__ import annotations

import gc
import random
import time
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.baggage import get_all
from opentelemetry.context import Context
from opentelemetry.instrumentation.asgi import asgi_getter
from opentelemetry.trace import get_current_span
from raw_context import with_remote

from tracebaton_configurator.propagation.w3c.headers import read_context
from tracebaton_configurator.propagation.w3c.propagator import (
    StrictBaggagePropagator,
    StrictTraceContextPropagator,
)
from tracebaton_configurator.propagation.w3c.traceparent import format_traceparent, parse_traceparent
from tracebaton_configurator.propagation.w3c.tracestate import parse_tracestate

# Upstream's getter decodes what is not UTF-8 as Python source, which warns of what it finds.
pytestmark = pytest.mark.filterwarnings("ignore:.*invalid (octal )?escape sequence:DeprecationWarning")

PROPAGATORS = (StrictTraceContextPropagator(), StrictBaggagePropagator())
NAMES = [b"traceparent", b"tracestate", b"baggage", b"TraceParent", b"TRACESTATE"]
PARENT = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
SEEDS = [
    PARENT,
    b"cc" + PARENT[2:] + b"-later",
    b"ot=th:8;rv:0123456789abcd,foo@=1",
    b",".join(b"k%d=%d" % (number, number) for number in range(40)),
    b"user=alice;p=1,b=%C3%A9%ff,c",
    b"=,=;==%%00",
    b" \t, ,\t",
    b"\xff\\",
    b"\xc3\xa9\x00\x0b\x85\xa0\n\r",
    b"a" * 300 + b"=" + b"x" * 300,
    b"",
]
Headers = list[tuple[bytes, bytes]]


def handle(headers: Headers) -> None:
    """What becomes of these headers in a service that calls another, both ways: as the gate and as upstream reads."""
    remote = read_context(headers)
    contexts = [with_remote(Context(), remote)] if remote else []
    context = Context()
    for propagator in PROPAGATORS:
        context = propagator.extract({"headers": headers}, context, asgi_getter)
    for read in (*contexts, context):
        sent: dict[str, str] = {}
        for propagator in PROPAGATORS:
            propagator.inject(sent, read)
        check(sent, read)


def check(sent: dict[str, str], context: Context) -> None:
    span = get_current_span(context).get_span_context()
    assert ("traceparent" in sent) is span.is_valid
    if span.is_valid:
        assert parse_traceparent(sent["traceparent"].encode("ascii")) == (span.trace_id, span.span_id, span.trace_flags)
    assert parse_tracestate([sent.get("tracestate", "").encode("ascii")]) == span.trace_state
    assert len(sent.get("baggage", "").encode("ascii")) <= 8192
    assert len(get_all(context)) <= 180


tokens = st.sampled_from([*SEEDS, b",", b"=", b";", b"-", b" ", b"@", b"%", b"\x00", b"\xff"]) | st.binary(max_size=40)
values = st.builds(b"".join, st.lists(tokens, max_size=8))
headers = st.lists(st.tuples(st.sampled_from(NAMES) | st.binary(max_size=12), values), max_size=8)


@settings(max_examples=300, deadline=None)
@given(headers)
def test_any_headers(sent: Headers) -> None:
    handle(sent)


@settings(max_examples=300, deadline=None)
@given(st.integers(1, 2**128 - 1), st.integers(1, 2**64 - 1), st.integers(0, 3))
def test_any_ids(trace_id: int, span_id: int, flags: int) -> None:
    assert parse_traceparent(format_traceparent(trace_id, span_id, flags).encode()) == (trace_id, span_id, flags)


@settings(max_examples=300, deadline=None)
@given(st.lists(values, max_size=5))
def test_any_tracestate_is_stable(sent: list[bytes]) -> None:
    state = parse_tracestate(sent)
    assert parse_tracestate([state.to_header().encode("ascii")]) == state


def test_a_hundred_thousand_requests() -> None:
    """All different, within ten seconds of CPU, making them included."""
    chance = random.Random(1)
    started = time.process_time()
    for _ in range(100_000):
        remote = read_context(hostile(chance))
        if remote is not None:
            with_remote(Context(), remote)
    assert time.process_time() - started < 10


def test_nothing_is_kept() -> None:
    chance = random.Random(2)
    for _ in range(1_000):
        handle(hostile(chance))
    gc.collect()
    tracemalloc.start()
    try:
        for _ in range(5_000):
            handle(hostile(chance))
        gc.collect()
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 200_000


@pytest.mark.parametrize("seed", SEEDS[:-1])
@pytest.mark.parametrize("repeated", [1, 1000])
def test_huge_headers_are_not_copied(seed: bytes, repeated: int) -> None:
    """Ten megabytes in one header or in a thousand cost less than one while they are read."""
    value = seed * (10_000_000 // len(seed) // repeated)
    many = [(name, value) for name in (b"tracestate", b"baggage") for _ in range(repeated)]
    sent = [(b"traceparent", PARENT), *many]
    tracemalloc.start()
    try:
        remote = read_context(sent)
        assert remote is not None
        with_remote(Context(), remote)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1_000_000


def hostile(chance: random.Random) -> Headers:
    """Up to six headers, mostly of the three names, mutated from SEEDS; some very long."""
    return [(chance.choice(NAMES), mutated(chance)) for _ in range(chance.randrange(1, 7))]


def mutated(chance: random.Random) -> bytes:
    value = bytearray(chance.choice(SEEDS))
    for _ in range(chance.randrange(4)):
        at = chance.randrange(len(value) + 1)
        value[at : at + chance.randrange(3)] = chance.choice(SEEDS) if chance.random() < 0.2 else chance.randbytes(1)
    return bytes(value) * (chance.choice([1, 50, 2000]) if chance.random() < 0.05 else 1)
