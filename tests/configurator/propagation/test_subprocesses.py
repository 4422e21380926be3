"""What a program is given of the trace in whose midst it is started."""

from __future__ import annotations

import os
from time import monotonic
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import baggage, context, trace

from tracebaton_configurator.logs import ids
from tracebaton_configurator.patching import child_environment
from tracebaton_configurator.propagation import subprocesses
from tracebaton_configurator.sampling import caller
from tracebaton_configurator.sampling.sampler import WhileOff

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

OLD = f"00-{'1' * 32}-{'2' * 16}-01"
OURS = f"00-{5:032x}-{6:016x}-00"
NEW = f"00-{'3' * 32}-{'4' * 16}-01"


@pytest.fixture
def given(traced: Callable[..., Any]) -> Iterator[Callable[..., Any]]:
    """What a program is given for `env`, where `environ` is this process's own environment."""
    traced()

    def give(env: Any, environ: Mapping[str, str], **more: Any) -> Any:
        subprocesses.install(environ, lambda *_: more)
        with trace.use_span(trace.NonRecordingSpan(trace.SpanContext(5, 6, is_remote=False))):
            return child_environment._changes["subprocesses"](env)

    yield give
    child_environment._changes.pop("subprocesses", None)


@pytest.mark.parametrize(
    ("env", "environ", "expected"),
    [
        (None, {"A": "1"}, {"A": "1", "TRACEPARENT": OURS}),
        ({"A": "1"}, {"B": "2"}, {"A": "1", "TRACEPARENT": OURS}),
        ({}, {"B": "2"}, {"TRACEPARENT": OURS}),
        # What was inherited is another's: none of it stays with ours.
        (None, {"TRACEPARENT": OLD, "TRACESTATE": "a=b", "BAGGAGE": "c=d"}, {"TRACEPARENT": OURS}),
        ({"TRACEPARENT": OLD, "TRACESTATE": "a=b"}, {"TRACEPARENT": OLD, "TRACESTATE": "a=b"}, {"TRACEPARENT": OURS}),
        # What the application has put there stays.
        ({"TRACEPARENT": NEW}, {"TRACEPARENT": OLD}, {"TRACEPARENT": NEW}),
        ({"TRACEPARENT": NEW, "TRACESTATE": "a=b"}, {}, {"TRACEPARENT": NEW, "TRACESTATE": "a=b"}),
        ({"BAGGAGE": "own=1"}, {}, {"BAGGAGE": "own=1", "TRACEPARENT": OURS}),
        ({b"TRACEPARENT": OLD.encode(), b"A": b"1"}, {}, {b"TRACEPARENT": OLD.encode(), b"A": b"1"}),
        ({b"A": b"1"}, {}, {b"A": b"1", "TRACEPARENT": OURS}),
        ({b"TRACEPARENT": OLD.encode()}, {"TRACEPARENT": OLD}, {"TRACEPARENT": OURS}),
        # An environment of another type is for `Popen` to judge.
        (7, {}, 7),
        ([("A", "1")], {}, [("A", "1")]),
    ],
)
def test_its_environment(given: Callable[..., Any], env: Any, environ: dict[str, str], expected: Any) -> None:
    before = dict(env) if isinstance(env, dict) else env
    environ_before = dict(environ)
    assert given(env, environ) == expected
    assert env == before
    assert environ == environ_before


def test_what_else_it_is_told(given: Callable[..., Any]) -> None:
    assert given(None, {}, WORD="said") == {"TRACEPARENT": OURS, "WORD": "said"}


def test_baggage(given: Callable[..., Any]) -> None:
    token = context.attach(baggage.set_baggage("tenant", "a"))
    try:
        assert given(None, {}) == {"TRACEPARENT": OURS, "BAGGAGE": "tenant=a"}
    finally:
        context.detach(token)


def test_outside_any_trace_it_is_what_it_would_be(traced: Callable[..., Any]) -> None:
    traced()
    subprocesses.install({"TRACEPARENT": OLD}, lambda *_: {})
    change = child_environment._changes.pop("subprocesses")
    env = {"A": "1", "TRACEPARENT": "nonsense"}
    assert change(env) is env
    assert change(None) is None


def test_what_the_parent_has_handed_on(traced: Callable[..., Any]) -> None:
    traced()
    environ = {"TRACEPARENT": OLD, "TRACESTATE": "", "BAGGAGE": "a=b", "traceparent": NEW}
    assert subprocesses.headers_in(environ) == {"traceparent": OLD, "baggage": "a=b"}


def test_what_native_code_has_set_is_inherited(given: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """As without tracing: `os.environ` knows nothing of it."""
    monkeypatch.setenv("GONE", "1")
    os.unsetenv("GONE")
    os.putenv("ONLY_C_KNOWS", "1")
    try:
        found = given(None, os.environ)
    finally:
        os.unsetenv("ONLY_C_KNOWS")
    assert (found["ONLY_C_KNOWS"], found["TRACEPARENT"], "GONE" in found) == ("1", OURS, False)
    assert found.keys() >= os.environ.keys() - {"GONE"}


def test_a_program_of_the_callers_keeps_the_services_name(
    traced: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container whose environment has a trace context: what its start script starts is the service itself."""
    traced()
    monkeypatch.setattr(caller, "_caller", None)
    monkeypatch.setattr(ids, "of_process", ids.of_process)
    of_container = trace.SpanContext(5, 6, is_remote=True, trace_flags=trace.TraceFlags(1))
    off = WhileOff(SimpleNamespace(off=False))  # type: ignore[arg-type]
    caller.use(caller.Caller(of_container, context.Context(), off, trusted=True, answered=monotonic()))
    asked: list[bool] = []
    subprocesses.install({}, lambda is_traced: asked.append(is_traced) or {})  # type: ignore[func-returns-value]
    try:
        assert child_environment._changes["subprocesses"]({})["TRACEPARENT"].startswith(f"00-{5:032x}")
    finally:
        child_environment._changes.pop("subprocesses", None)
    assert asked == [False]
