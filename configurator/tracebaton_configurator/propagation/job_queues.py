"""Job queues: what a request adds is a part of its trace wherever, and whenever, a worker runs it.

There is a module for each library, which is imported when the library is. In common they have this:

* The trace context goes into what the library sends, in a place that it and its older releases leave alone, so that
  workers and producers without this project do what they did.
* Each run has a CONSUMER span, a child of what added the job; a run that is retried has the same parent again. What
  runs by a schedule is a trace of its own, with a link to where it was added.
* A run has failed that ends with an exception, whether the library will try it again or not, but for those with which
  a job itself asks to be run again, and for a run that is cancelled or has to wait for its turn.
* What a worker asks its broker in between, without end and for nobody, has no spans.

Instrumentations for these libraries that others have published go first, and then this does nothing.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

from opentelemetry import context as context_api
from opentelemetry import propagate
from opentelemetry.trace import get_current_span

from tracebaton_configurator.patching import on_import, registry
from tracebaton_configurator.patching.around import Around
from tracebaton_configurator.propagation.incoming import Incoming, trace_headers
from tracebaton_configurator.sampling.upstream import SUPPRESS_INSTRUMENTATION

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import ModuleType

# The names of the patches, and the modules of the libraries that they are for.
_MODULES = {
    "apscheduler": (
        *("apscheduler.job", "apscheduler.schedulers.base", "apscheduler.executors.base"),
        "apscheduler.executors.base_py3",  # before 3.11
    ),
    "arq": ("arq.worker",),
    "celery": ("celery.signals",),
    "dramatiq": ("dramatiq.worker",),
    "faststream": ("faststream._internal.broker.broker", "faststream.broker.core.usecase"),
    "huey": ("huey.api",),
    "kombu": ("kombu.transport.redis",),
    "rq": ("rq.worker", "rq_scheduler.scheduler"),
    "taskiq": ("taskiq.kicker", "taskiq.receiver.receiver"),
}
_OTHERS = {
    "arq": "opentelemetry.instrumentation.arq",
    "celery": "opentelemetry.instrumentation.celery",
    "dramatiq": "opentelemetry_instrumentor_dramatiq",
    "rq": "opentelemetry_instrumentation_rq",
    "taskiq": "taskiq.middlewares.opentelemetry_middleware",  # its own, which needs psutil
}
# Of these, ours is entered within theirs and left before it.
_KEPT_BELOW = ("celery", "taskiq")
_left_to_others: set[str] = set()


def install() -> None:
    """Patch each library as soon as it is imported."""
    for name, module in _OTHERS.items():
        on_import.after(module, partial(_leave, name))
    for name, modules in _MODULES.items():
        for module in modules:
            on_import.after(module, partial(_come, name))


def _come(name: str, module: ModuleType) -> None:
    if name not in _left_to_others or name in _KEPT_BELOW:
        ours: Any = import_module(f"tracebaton_configurator.propagation.job_{name}")
        registry.apply(name, lambda: ours.replace(module))


def _leave(name: str, instrumentation: ModuleType) -> None:
    _left_to_others.add(name)
    registry.withdraw(name, f"{instrumentation.__name__} is installed")


def is_left(name: str) -> bool:
    """Whether somebody else traces that library."""
    return name in _left_to_others


def around() -> dict[str, Around]:
    """For OpenTelemetry's instrumentation of celery, which is told of each run as this is."""

    def go_last() -> None:
        ours: Any = import_module("tracebaton_configurator.propagation.job_celery")
        ours.begin_last()

    return {"celery": Around(after=go_last)}


def headers_for(name: str) -> dict[str, str]:
    """What goes into a job of that library, which is added now; nothing outside any request. Never raises."""
    return {} if name in _left_to_others else trace_headers()


@contextmanager
def between_runs(name: str) -> Iterator[None]:
    """Within this a worker of that library looks for work; what it runs then has a context of its own."""
    if name in _left_to_others:
        yield
        return
    token = context_api.attach(context_api.Context({SUPPRESS_INSTRUMENTATION: True}))
    try:
        yield
    finally:
        context_api.detach(token)


def headers_in(values: Mapping[Any, Any], *more: str) -> dict[str, str]:
    """Those among `values`, and `more`; names and values may be bytes."""
    headers = {}
    for name in (*propagate.get_global_textmap().fields, *more):
        value = values.get(name, values.get(name.encode()))
        if isinstance(value, bytes):
            value = value.decode("latin-1")
        if isinstance(value, str):
            headers[name] = value
    return headers


def instead_of_message(headers: Mapping[str, str]) -> Mapping[str, str]:
    """A run with these headers begins, perhaps in a Redis message that is followed, too: that one leaves no span.

    Returns its headers, or the message's where it has no trace context itself.
    """
    messages: Any = sys.modules.get("tracebaton_configurator.propagation.redis_messages_current")
    return headers if messages is None else messages.give_way(headers)


def run_of(
    name: str,
    destination: str,
    headers: Mapping[str, str] | None,
    *,
    message_id: str,
    function: str,
    span_name: str = "",
    follows: bool = True,
) -> Incoming | None:
    """One run of a job, to be entered; None where it is somebody else's to trace.

    Below an instrumentation that has not recorded it (`_KEPT_BELOW`) it is a run all the same, to be kept if it fails.

    The names are those of the semantic conventions for messaging: https://opentelemetry.io/docs/specs/semconv/messaging/
    """
    if name in _left_to_others:
        theirs = get_current_span().get_span_context()
        if name not in _KEPT_BELOW or not theirs.is_valid or theirs.trace_flags.sampled:
            return None
        headers = trace_headers()
    headers = instead_of_message(headers or {})
    return Incoming(
        span_name or f"process {destination}",
        headers,
        follows=follows,
        attributes={
            "messaging.system": name,
            "messaging.operation.name": "process",
            "messaging.operation.type": "process",
            "messaging.destination.name": destination,
            "messaging.message.id": message_id,
            "code.function.name": function,
        },
    )
