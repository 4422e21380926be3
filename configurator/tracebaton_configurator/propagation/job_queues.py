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

from contextlib import contextmanager
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

from opentelemetry import context as context_api
from opentelemetry import propagate

from tracebaton_configurator.patching import on_import, registry
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
    "dramatiq": ("dramatiq.worker",),
    "huey": ("huey.api",),
    "rq": ("rq.worker",),
}
_OTHERS = {
    "arq": "opentelemetry.instrumentation.arq",
    "dramatiq": "opentelemetry_instrumentor_dramatiq",
    "rq": "opentelemetry_instrumentation_rq",
}
_left_to_others: set[str] = set()


def install() -> None:
    """Patch each library as soon as it is imported."""
    for name, module in _OTHERS.items():
        on_import.after(module, partial(_leave, name))
    for name, modules in _MODULES.items():
        for module in modules:
            on_import.after(module, partial(_come, name))


def _come(name: str, module: ModuleType) -> None:
    if name not in _left_to_others:
        ours: Any = import_module(f"tracebaton_configurator.propagation.job_{name}")
        registry.apply(name, lambda: ours.replace(module))


def _leave(name: str, instrumentation: ModuleType) -> None:
    _left_to_others.add(name)
    registry.withdraw(name, f"{instrumentation.__name__} is installed")


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


def headers_in(values: Mapping[Any, Any]) -> dict[str, str]:
    """Those among `values`, whose names and values may be bytes."""
    headers = {}
    for name in propagate.get_global_textmap().fields:
        value = values.get(name, values.get(name.encode()))
        if isinstance(value, bytes):
            value = value.decode("latin-1")
        if isinstance(value, str):
            headers[name] = value
    return headers


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

    The names are those of the semantic conventions for messaging: https://opentelemetry.io/docs/specs/semconv/messaging/
    """
    if name in _left_to_others:
        return None
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
