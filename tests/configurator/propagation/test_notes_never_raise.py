"""What goes wrong with a note is ours alone: the call is the application's, as it is without."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from opentelemetry.trace import NoOpTracer, SpanKind
from unsampled_calls import Unsampled

from tracebaton_configurator.propagation import bodies, http_clients, redis_calls

if TYPE_CHECKING:
    from collections.abc import Callable

COMMAND, PIPELINE = redis_calls._FACTORIES[:2]


class NoTextError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


class NoText:
    def __str__(self) -> str:
        raise RuntimeError("no text")


class Unreadable:
    @property
    def command_stack(self) -> Any:
        raise RuntimeError("not now")


def fail(*_: object) -> None:
    raise NoTextError


def execute(factory: Any, call: Callable[..., Any], tracer: Any, instance: object, *args: object) -> Any:
    """As upstream's wrapper, which does nothing there, with `redis-calls` above it."""
    _, begin, through = factory

    def upstream(*_: Any) -> Any:
        return lambda call, _, args, kwargs: call(*args, **kwargs)

    return redis_calls._noting(upstream, begin, through)(tracer)(call, instance, args, {})


def test_a_pipeline_that_cannot_be_read(traced: Callable[..., Any]) -> None:
    made = traced("*=0")
    with Unsampled(made.late_spans).entered():
        assert execute(PIPELINE, lambda: "done", made.tracer, Unreadable()) == "done"


def test_a_command_without_a_text(traced: Callable[..., Any]) -> None:
    made, odd = traced("*=0"), NoText()
    with Unsampled(made.late_spans).entered():
        assert execute(COMMAND, lambda one: one, made.tracer, object(), odd) is odd


@pytest.mark.parametrize("factory", [COMMAND, PIPELINE])
def test_a_tracer_that_is_not_the_sdks(
    traced: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, factory: Any
) -> None:
    """It gives no ids, so nothing is noted; and nothing is wrong."""
    reported: list[object] = []
    monkeypatch.setattr(redis_calls, "report_error", lambda *told: reported.append(told))
    made = traced("*=0")
    request = Unsampled(made.late_spans)
    with request.entered():
        assert execute(factory, lambda *_: "done", NoOpTracer(), object(), "GET") == "done"
        with pytest.raises(NoTextError):
            execute(factory, fail, NoOpTracer(), object(), "GET")
    assert request.decision.calls is None
    assert reported == []


def test_an_exception_of_redis_without_a_text(traced: Callable[..., Any]) -> None:
    made = traced("*=0")
    request = Unsampled(made.late_spans)
    with request.entered(), pytest.raises(NoTextError):
        execute(COMMAND, fail, made.tracer, object(), "GET")
    assert request.decision.call_failed


def test_an_exception_that_a_note_is_to_record(traced: Callable[..., Any]) -> None:
    made = traced("*=0")
    with Unsampled(made.late_spans).entered():
        made.tracer.start_span("call", kind=SpanKind.CLIENT).record_exception(NoTextError())


def test_an_answer_of_httpx_that_lacks_something(traced: Callable[..., Any]) -> None:
    made = traced("*=0")
    request = Unsampled(made.late_spans)
    with request.entered():
        note = made.tracer.start_span("GET", kind=SpanKind.CLIENT)
        http_clients._answered(httpx.Request("GET", "http://a/"), SimpleNamespace(status_code=500), note)
    assert note.ended
    assert request.decision.call_failed


def test_a_signal_that_cannot_be_held(traced: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> None:
        raise RuntimeError("no handler")

    monkeypatch.setattr(http_clients, "hold_signal", refuse)
    made = traced("*=1")
    span = made.tracer.start_span("GET", kind=SpanKind.CLIENT)
    assert bodies.hold(span)
    body = bodies.Body(span)
    span.end()
    for piece in (b"1", b"22", b"333"):
        body.add(piece)
    body.done()
    (kept,) = made.spans()
    assert kept.attributes["http.response.body.size"] == 6
