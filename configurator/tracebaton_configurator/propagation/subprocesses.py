"""What a request starts as a program gets the trace context in its environment: TRACEPARENT, TRACESTATE and BAGGAGE.

https://opentelemetry.io/docs/specs/otel/context/env-carriers/

This process's own environment is never changed. What it has inherited itself goes on untouched where there is nothing
to say; what the application has put there by itself stays in any case.
"""

from __future__ import annotations

import os
from itertools import count
from typing import TYPE_CHECKING, Any

from opentelemetry import propagate

from tracebaton_configurator.logs.diagnostics import report_error
from tracebaton_configurator.patching import child_environment
from tracebaton_configurator.propagation.incoming import trace_headers
from tracebaton_configurator.sampling.caller import current_caller, known_caller

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_BAGGAGE = "BAGGAGE"


def headers_in(environ: Mapping[str, str]) -> dict[str, str]:
    """What the parent has handed on in this process's environment, by the names of headers."""
    return {name: environ[_variable(name)] for name in _fields() if environ.get(_variable(name))}


def install(environ: Mapping[str, str], more: Callable[[bool], Mapping[str, str]]) -> None:
    """Hand the trace context on, from now on. `environ` is the process's own.

    `more` is asked what else to give to a program, which is started within a trace that this process works for, or not.
    """
    inherited = {_variable(name): environ.get(_variable(name)) for name in _fields()}

    def hand_on(given: Any) -> Any:
        try:
            found = _own_environment(environ) if given is None else given
            values = {_text(name): _text(value) for name, value in found.items()}
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
            replaced.update(more(bool(headers) and current_caller() is None))
            if not replaced:
                return given
            kept = {name: value for name, value in found.items() if _text(name) not in replaced}
        except Exception as error:  # noqa: BLE001 (an environment of another type is for `Popen` to judge)
            if given is None or isinstance(given, dict):
                report_error("The trace context could not be handed on to a program", error)
            return given
        return {**kept, **{name: value for name, value in replaced.items() if value is not None}}

    child_environment.change("subprocesses", hand_on)


def _text(value: Any) -> Any:
    return os.fsdecode(value) if isinstance(value, bytes) else value


def _own_environment(environ: Mapping[str, str]) -> Mapping[str, str]:
    """As C has it, which is what a program inherits; `os.environ` does not know what native code has set or removed.

    `environ` where C's cannot be read.
    """
    if environ is not os.environ:
        return environ
    try:
        import ctypes

        entries = ctypes.POINTER(ctypes.c_char_p).in_dll(ctypes.CDLL(None), "environ")
        found: dict[str, str] = {}
        for place in count():
            entry = entries[place]
            if entry is None:
                return found
            name, separator, value = entry.partition(b"=")
            if separator:
                found.setdefault(os.fsdecode(name), os.fsdecode(value))
    except Exception:  # noqa: BLE001 (another C library)
        return environ
    return environ


def _fields() -> list[str]:
    return sorted(propagate.get_global_textmap().fields)


def _variable(header: str) -> str:
    """The specification's name for it."""
    return "".join(letter if letter.isalnum() else "_" for letter in header.upper())
