"""dramatiq: the trace context stands among a message's options, which every worker takes and hands on.

Checked with dramatiq 1.17.0 and 2.2.1: every broker says `emit_before("enqueue", message, ...)` of what it is about to
encode, and every worker process runs messages by `WorkerThread.process_message`.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from contextvars import ContextVar
from functools import update_wrapper
from typing import TYPE_CHECKING, Any

from opentelemetry import propagate

from tracebaton_configurator.patching.registry import put
from tracebaton_configurator.propagation.job_queues import between_runs, headers_for, headers_in, run_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tracebaton_configurator.propagation.incoming import Incoming

# With these, an actor or a rate limiter asks for the message to come again later.
_LATER = ("RateLimitExceeded", "Retry")
_run: ContextVar[tuple[Incoming, str] | None] = ContextVar("tracebaton-dramatiq-run", default=None)
# The options of the message that is being sent, and what they were: it is the application's, which may send it again.
_sent: ContextVar[tuple[dict[str, Any], dict[str, Any]] | None] = ContextVar("tracebaton-dramatiq-sent", default=None)


def replace(worker: Any) -> None:
    broker_class: Any = sys.modules["dramatiq.broker"].Broker
    thread_class, consumer_class = vars(worker)["_WorkerThread"], vars(worker)["_ConsumerThread"]
    emit_before, emit_after = broker_class.emit_before, broker_class.emit_after
    process: Callable[..., Any] = thread_class.process_message
    consume: Callable[..., Any] = consumer_class.run

    def emit_before_with_trace(self: Any, signal: str, *args: Any, **kwargs: Any) -> Any:
        result = emit_before(self, signal, *args, **kwargs)
        if signal == "enqueue" and args:
            with suppress(Exception):
                _add_headers(args[0])
        return result

    def emit_after_and_note(self: Any, signal: str, *args: Any, **kwargs: Any) -> Any:
        if signal == "enqueue":
            _take_out()
        run = _run.get()
        if signal == "process_message" and run is not None:
            with suppress(Exception):
                _note(run[0], kwargs.get("exception"))
        return emit_after(self, signal, *args, **kwargs)

    def process_traced(self: Any, message: Any, *args: Any, **kwargs: Any) -> Any:
        run = _run_of(message)
        if run is None:
            return process(self, message, *args, **kwargs)
        token = _run.set((run, message.message_id))
        try:
            with run:
                return process(self, message, *args, **kwargs)
        finally:
            _run.reset(token)

    def consume_without_spans(self: Any) -> Any:
        with between_runs("dramatiq"):
            return consume(self)

    put(broker_class, "emit_before", update_wrapper(emit_before_with_trace, emit_before))
    put(broker_class, "emit_after", update_wrapper(emit_after_and_note, emit_after))
    put(consumer_class, "run", update_wrapper(consume_without_spans, consume))
    put(thread_class, "process_message", update_wrapper(process_traced, process))


def _add_headers(message: Any) -> None:
    """A message that is on its way already, tried again or held back until its time, belongs to what it did."""
    _take_out()  # of one that could not be sent
    run = _run.get()
    if run is None or run[1] != message.message_id:
        headers = headers_for("dramatiq")
        _sent.set((message.options, dict(message.options)))
        message.options.update(headers)


def _take_out() -> None:
    sent = _sent.get()
    if sent is not None:
        _sent.set(None)
        options, before = sent
        for name in propagate.get_global_textmap().fields:
            if name in before:
                options[name] = before[name]
            else:
                options.pop(name, None)


def _note(run: Incoming, error: BaseException | None) -> None:
    if error is None or type(error).__name__ in _LATER:
        return
    run.fail(error)
    if type(error).__name__ == "TimeLimitExceeded":  # no Exception, as it is to interrupt whatever the actor does
        run.attributes["error.type"] = "TimeLimitExceeded"
        run.fail()


def _run_of(message: Any) -> Incoming | None:
    with suppress(Exception):
        return run_of(
            "dramatiq",
            message.queue_name,
            headers_in(message.options),
            message_id=message.message_id,
            function=message.actor_name,
        )
    return None
