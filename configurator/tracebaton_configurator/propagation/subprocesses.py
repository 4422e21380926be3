"""What a request starts as a program gets the trace context in its environment: TRACEPARENT, TRACESTATE and BAGGAGE.

https://opentelemetry.io/docs/specs/otel/context/env-carriers/

This process's own environment is never changed. What it has inherited itself goes on untouched where there is nothing
to say; what the application has put there by itself stays in any case.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from opentelemetry import propagate

from tracebaton_configurator.logs.diagnostics import report_error
from tracebaton_configurator.patching import child_environment
from tracebaton_configurator.propagation.incoming import trace_headers
from tracebaton_configurator.sampling.caller import known_caller

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_BAGGAGE = "BAGGAGE"


def headers_in(environ: Mapping[str, str]) -> dict[str, str]:
    """What the parent has handed on in this process's environment, by the names of headers."""
    return {name: environ[_variable(name)] for name in _fields() if environ.get(_variable(name))}


def install(environ: Mapping[str, str], more: Callable[[bool], Mapping[str, str]]) -> None:
    """Hand the trace context on, from now on. `environ` is the process's own.

    `more` is asked what else to give to a program, which is started within a trace, or outside any.
    """
    inherited = {_variable(name): environ.get(_variable(name)) for name in _fields()}

    def hand_on(given: Any) -> Any:
        try:
            found = environ if given is None else given
            values = {os.fsdecode(name): value for name, value in found.items()}
            headers = {_variable(name): value for name, value in trace_headers().items()}
            own = {name for name in inherited if values.get(name) not in (None, inherited[name])}
            caller = known_caller()
            if own - {_BAGGAGE}:
                replaced = {}
            elif headers:
                replaced = {**dict.fromkeys(inherited), **headers}
            elif caller is not None and caller.was_left():
                replaced = dict.fromkeys(inherited)  # it has left the call, and so have its children
            else:
                replaced = {}
            replaced = {name: value for name, value in replaced.items() if name not in own}
            replaced.update(more(bool(headers)))
            if not replaced:
                return given
            kept = {name: value for name, value in found.items() if os.fsdecode(name) not in replaced}
        except Exception as error:  # noqa: BLE001 (an environment of another type is for `Popen` to judge)
            if given is None or isinstance(given, dict):
                report_error("The trace context could not be handed on to a program", error)
            return given
        return {**kept, **{name: value for name, value in replaced.items() if value is not None}}

    child_environment.change("subprocesses", hand_on)


def _fields() -> list[str]:
    return sorted(propagate.get_global_textmap().fields)


def _variable(header: str) -> str:
    """The specification's name for it."""
    return "".join(letter if letter.isalnum() else "_" for letter in header.upper())
