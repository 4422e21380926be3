r"""huey: the trace context stands in front of a task's message, in the pickle, as a string that is taken off again.

A message is a tuple of a fixed length, and neither its arguments nor anything else in it is free. But a pickle is a
program: with `X....traceparent\0` first, any worker reads a string, drops it and goes on to the message (opcodes
BINUNICODE and POP of protocol 1). So nothing goes along with a serializer of the application's own that is no pickle.
Checked with huey 2.5.1 and 3.5.4; what signs or compresses does so with the pickle.
"""

from __future__ import annotations

import json
import struct
import sys
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass
from functools import update_wrapper
from pickle import BINUNICODE, POP
from typing import TYPE_CHECKING, Any

from tracebaton_configurator.patching.registry import put
from tracebaton_configurator.propagation.job_queues import between_runs, headers_for, headers_in, run_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tracebaton_configurator.propagation.incoming import Incoming

# An attribute of a task object: with which headers it was added.
_HEADERS = "_tracebaton_headers"
# By the id of the task object: a task may ask for itself, and copy what it gets.
_runs: dict[int, _HueyRun] = {}
_FAILED = ("error", "timeout")
_LENGTH = struct.Struct("<I")
_START = 1 + _LENGTH.size
# Those of the task that is being written or read in this thread or greenlet.
_headers: ContextVar[dict[str, str] | None] = ContextVar("tracebaton-huey-headers", default=None)


@dataclass
class _HueyRun:
    work: Incoming
    has_begun: bool = False


def replace(api: Any) -> bool:
    serializer_class: Any = sys.modules["huey.serializer"].Serializer
    huey_class, consumer = api.Huey, sys.modules["huey.consumer"]
    methods = ("execute", "_emit", "serialize_task", "deserialize_task")
    if not all(hasattr(huey_class, name) for name in methods):
        return False
    for loops in (vars(consumer)["Worker"], vars(consumer)["Scheduler"]):
        put(loops, "loop", _without_spans(loops.loop))
    put(serializer_class, "_serialize", _serialize(serializer_class._serialize))  # noqa: SLF001
    put(serializer_class, "_deserialize", _deserialize(serializer_class._deserialize))  # noqa: SLF001
    put(huey_class, "serialize_task", _serialize_task(huey_class.serialize_task))
    put(huey_class, "deserialize_task", _deserialize_task(huey_class.deserialize_task))
    put(huey_class, "_emit", _noting(huey_class._emit))  # noqa: SLF001
    put(huey_class, "execute", _traced(huey_class.execute))
    return True


def _serialize_task(serialize: Callable[..., bytes]) -> Callable[..., bytes]:
    def serialize_task(self: Any, task: Any, *args: Any, **kwargs: Any) -> bytes:
        # One that comes again, or at its time, belongs to what it did.
        headers = vars(task).get(_HEADERS)
        token = _headers.set(headers_for("huey") if headers is None else headers)
        try:
            return serialize(self, task, *args, **kwargs)
        finally:
            _headers.reset(token)

    return update_wrapper(serialize_task, serialize)


def _deserialize_task(deserialize: Callable[..., Any]) -> Callable[..., Any]:
    def deserialize_task(self: Any, data: bytes, *args: Any, **kwargs: Any) -> Any:
        found: dict[str, str] = {}
        token = _headers.set(found)
        try:
            task = deserialize(self, data, *args, **kwargs)
        finally:
            _headers.reset(token)
        with suppress(Exception):
            setattr(task, _HEADERS, found)
        return task

    return update_wrapper(deserialize_task, deserialize)


def _serialize(serialize: Callable[..., bytes]) -> Callable[..., bytes]:
    def serialize_with_headers(self: Any, data: Any) -> bytes:
        pickled = serialize(self, data)
        headers = _headers.get()
        if not headers:
            return pickled
        text = json.dumps(headers).encode()
        return BINUNICODE + _LENGTH.pack(len(text)) + text + POP + pickled

    return update_wrapper(serialize_with_headers, serialize)


def _deserialize(deserialize: Callable[..., Any]) -> Callable[..., Any]:
    def deserialize_with_headers(self: Any, data: Any) -> Any:
        found = _headers.get()
        if found is not None and data[:1] == BINUNICODE:
            with suppress(Exception):
                end = _START + _LENGTH.unpack(data[1:_START])[0]
                if data[end : end + 1] == POP:
                    found.update(headers_in(json.loads(data[_START:end])))
        return deserialize(self, data)

    return update_wrapper(deserialize_with_headers, deserialize)


def _without_spans(loop: Callable[..., Any]) -> Callable[..., Any]:
    def loop_without_spans(self: Any, *args: Any, **kwargs: Any) -> Any:
        with between_runs("huey"):
            return loop(self, *args, **kwargs)

    return update_wrapper(loop_without_spans, loop)


def _traced(execute: Callable[..., Any]) -> Callable[..., Any]:
    def execute_traced(self: Any, task: Any, *args: Any, **kwargs: Any) -> Any:
        work = None if self.immediate else _run_of(self, task)
        if work is None:
            return execute(self, task, *args, **kwargs)
        run = _runs[id(task)] = _HueyRun(work)
        try:
            with work:
                done = execute(self, task, *args, **kwargs)
                if not run.has_begun:  # revoked, expired, or put off
                    work.discard()
                return done
        finally:
            _runs.pop(id(task), None)

    return update_wrapper(execute_traced, execute)


def _noting(emit: Callable[..., Any]) -> Callable[..., Any]:
    def emit_and_note(self: Any, signal: Any, task: Any, *args: Any, **kwargs: Any) -> Any:
        with suppress(Exception):
            run = _runs.get(id(task))
            if run is not None and signal == "executing":
                run.has_begun = True
            elif run is not None and signal in _FAILED:
                run.work.fail(sys.exc_info()[1])  # it is told where the exception is being handled
        return emit(self, signal, task, *args, **kwargs)

    return update_wrapper(emit_and_note, emit)


def _run_of(huey: Any, task: Any) -> Incoming | None:
    with suppress(Exception):
        function = f"{type(task).__module__}.{type(task).__name__}"
        return run_of("huey", huey.name, vars(task).get(_HEADERS), message_id=task.id, function=function)
    return None
