"""celery: the trace context stands among a message's headers, as OpenTelemetry's instrumentation puts it there.

A task that is retried is published with the headers that it came with, so that all its runs have one parent; tasks of a
chain, and a chord's callback, are published by a run and belong to that. What runs eagerly runs where it is called.
A task that ends its process, or is ended with it (a hard time limit), leaves no span: the worker's main process, which
gets to know, is told no headers by the signal.
Checked with celery 5.4.0 and 5.7.0, whose signals are sent where a task is published and run, in a fork or not.
"""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from tracebaton_configurator.patching.registry import undo_with
from tracebaton_configurator.propagation.job_queues import headers_for, headers_in, run_of

if TYPE_CHECKING:
    from tracebaton_configurator.propagation.incoming import Incoming

# By the request of the task that runs, an object with attributes for the application to see.
_runs: WeakKeyDictionary[Any, Incoming] = WeakKeyDictionary()


def replace(signals: Any) -> None:
    for name, receiver in (
        ("before_task_publish", _publish),
        ("task_prerun", _begin),
        ("task_retry", _note_retry),
        ("task_failure", _note_failure),
        ("task_postrun", _end),
    ):
        sent: Any = getattr(signals, name)
        undo_with(partial(sent.disconnect, receiver))
        sent.connect(receiver, weak=False)


def begin_last() -> None:
    """Have runs begun when all others have been told of them; they are ended before these are."""
    prerun = sys.modules["celery.signals"].task_prerun
    if prerun.disconnect(_begin):
        prerun.connect(_begin, weak=False)


def _publish(headers: Any = None, **_: Any) -> None:
    if isinstance(headers, dict) and not headers_in(headers):
        headers.update(headers_for("celery"))


def _begin(task: Any = None, task_id: str = "", **_: Any) -> None:
    request = task.request
    if request.is_eager:
        return
    destination = str((request.delivery_info or {}).get("routing_key") or "celery")
    run = run_of("celery", destination, headers_in(vars(request)), message_id=task_id, function=task.name)
    if run is not None:
        _runs[request] = run.__enter__()


def _note_retry(request: Any = None, reason: Any = None, **_: Any) -> None:
    """A task that asks for it by itself, without an exception, has not failed."""
    run, error = _runs.get(request), getattr(reason, "exc", None)
    if run is not None and isinstance(error, BaseException):
        run.fail(error)


def _note_failure(sender: Any = None, exception: Any = None, **_: Any) -> None:
    """An exception that the task says it `throws` is none that celery calls an error."""
    run = _runs.get(sender.request)
    if run is not None and not isinstance(exception, tuple(sender.throws or ())):
        run.fail(exception)


def _end(task: Any = None, **_: Any) -> None:
    run = _runs.pop(task.request, None)
    if run is not None:
        run.end()
