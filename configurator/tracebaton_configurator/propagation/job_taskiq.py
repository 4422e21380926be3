"""taskiq: the trace context stands among a message's labels, as the library's own instrumentation puts it there.

That one is what is used where it can be imported: it needs psutil, which taskiq does not bring. A task that is retried
has the labels that it came with. What runs by a schedule is a trace of its own: a scheduled task is not sent by `kiq`
in the request that has scheduled it. Checked with taskiq 0.11.7 and 0.13.0.
"""

from __future__ import annotations

from contextlib import suppress
from contextvars import ContextVar
from copy import copy
from functools import update_wrapper
from typing import TYPE_CHECKING, Any

from tracebaton_configurator.patching.registry import put
from tracebaton_configurator.propagation.job_queues import between_runs, headers_for, headers_in, is_left, run_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tracebaton_configurator.propagation.incoming import Incoming

# The runs that have begun within one call of `Receiver.callback`: one, or none.
_runs: ContextVar[list[Incoming] | None] = ContextVar("tracebaton-taskiq-runs", default=None)


def replace(module: Any) -> bool:
    """Called for each of the modules."""
    if module.__name__ == "taskiq.kicker":
        put(module.AsyncKicker, "kiq", _with_trace(module.AsyncKicker.kiq))
        return True
    receiver = module.Receiver
    put(receiver, "callback", _ending(receiver.callback))
    put(receiver, "run_task", _traced(receiver.run_task))
    put(receiver, "prefetcher", _without_spans(receiver.prefetcher))
    return True


def _without_spans(prefetcher: Callable[..., Any]) -> Callable[..., Any]:
    async def prefetch_without_spans(*args: Any, **kwargs: Any) -> Any:
        with between_runs("taskiq"):
            return await prefetcher(*args, **kwargs)

    return update_wrapper(prefetch_without_spans, prefetcher)


def _with_trace(kiq: Callable[..., Any]) -> Callable[..., Any]:
    async def kiq_with_trace(self: Any, *args: Any, **kwargs: Any) -> Any:
        kicker = self
        with suppress(Exception):
            headers = {} if headers_in(self.labels) else headers_for("taskiq")
            if headers:
                kicker = copy(self)
                kicker.labels = {**self.labels, **headers}
        return await kiq(kicker, *args, **kwargs)

    return update_wrapper(kiq_with_trace, kiq)


def _ending(callback: Callable[..., Any]) -> Callable[..., Any]:
    """What a middleware does after the task, and the result that is stored, belong to the run."""

    async def callback_and_end(*args: Any, **kwargs: Any) -> Any:
        runs: list[Incoming] = []
        token = _runs.set(runs)
        try:
            return await callback(*args, **kwargs)
        finally:
            _runs.reset(token)
            for run in runs:
                run.end()

    return update_wrapper(callback_and_end, callback)


def _traced(run_task: Callable[..., Any]) -> Callable[..., Any]:
    async def run_traced(self: Any, target: Any, message: Any, *args: Any, **kwargs: Any) -> Any:
        runs = _runs.get()
        run = None if runs is None else _run_of(self.broker, message)
        if runs is None or run is None:
            return await run_task(self, target, message, *args, **kwargs)
        runs.append(run.__enter__())
        try:
            result = await run_task(self, target, message, *args, **kwargs)
            with suppress(Exception):
                # A run without a result is one that will be tried again, or has asked for that.
                if result.is_err and type(result.error).__name__ != "NoResultError":
                    run.fail(result.error)
            return result
        finally:
            if is_left("taskiq"):
                run.end()

    return update_wrapper(run_traced, run_task)


def _run_of(broker: Any, message: Any) -> Incoming | None:
    with suppress(Exception):
        destination = str(getattr(broker, "queue_name", None) or "taskiq")
        headers = headers_in(message.labels)
        return run_of("taskiq", destination, headers, message_id=message.task_id, function=message.task_name)
    return None
