"""A2A (`a2a-sdk`): calls over HTTP are connected as they are, by the HTTP client's headers. Beyond that:

* The SDK's own spans, some 40 to 80 a call, are left out, unless its variable OTEL_INSTRUMENTATION_A2A_SDK_ENABLED is
  set. Functions that an application decorates with the SDK's `trace_function` keep theirs.
* An answer is HTTP 200 whatever became of the call. So a request is kept as a failed one, here at the agent where it
  happened, when its handler raises, its task ends as `failed`, or the dispatcher answers by an error of JSON-RPC; also
  while it streams.

* From 1.0 on the messages of a task are run in the context of the first of them; here each is run in its own, as the
  SDK does by itself in 1.3.

Checked with a2a-sdk 0.3.0, 1.0.0 and 1.3.0.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from contextvars import Context, copy_context
from functools import partial, update_wrapper
from inspect import isasyncgenfunction, iscoroutinefunction, unwrap
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from tracebaton_configurator.patching import registry
from tracebaton_configurator.sampling.late_spans import mark_failed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from types import ModuleType

_HANDLERS = "a2a.server.request_handlers.default_request_handler"
_DISPATCHERS = {
    "a2a.server.apps.jsonrpc.jsonrpc_app": "JSONRPCApplication",  # 0.3
    "a2a.server.routes.jsonrpc_dispatcher": "JsonRpcDispatcher",
}


def install(*, own_spans: bool) -> None:
    """`own_spans`: whether the SDK's own variable says what becomes of its spans."""
    if not own_spans:
        registry.apply_on_import("a2a-spans", "a2a.utils.telemetry", _leave_out_spans)
    for module in (_HANDLERS, f"{_HANDLERS}_v2"):
        registry.apply_on_import("a2a", module, _watch_handlers)
    registry.apply_on_import("a2a-tasks", "a2a.server.agent_execution.active_task", _run_in_context_of_sender)
    for module, name in _DISPATCHERS.items():
        registry.apply_on_import("a2a", module, partial(_watch_errors, name))


def _leave_out_spans(telemetry: ModuleType) -> None:
    trace_function = telemetry.trace_function

    def trace_function_of_others(func: Any = None, **options: Any) -> Any:
        if func is None:
            return partial(trace_function_of_others, **options)
        if str(getattr(func, "__module__", "")).startswith("a2a."):
            return func
        return trace_function(func, **options)

    registry.put(telemetry, "trace_function", update_wrapper(trace_function_of_others, trace_function))


def _watch_handlers(module: ModuleType) -> bool:
    """Every class that the module defines which handles requests: its methods are named `on_...`."""
    handlers = [
        one for one in vars(module).values() if getattr(one, "__module__", "") == module.__name__ and _handles(one)
    ]
    for handler in handlers:
        for name, method in [*vars(handler).items()]:
            if name.startswith("on_"):
                registry.put(handler, name, _watched(method, has_task="message_send" in name))
    return bool(handlers)


def _handles(one: object) -> bool:
    return isinstance(one, type) and "on_message_send" in vars(one) and "on_message_send_stream" in vars(one)


def _watched(method: Callable[..., Any], *, has_task: bool) -> Callable[..., Any]:
    async def call(*args: Any, **kwargs: Any) -> Any:
        try:
            result = await method(*args, **kwargs)
        except Exception as error:
            mark_failed(error)
            raise
        if has_task:
            _look_at(result)
        return result

    async def stream(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        events = method(*args, **kwargs)
        try:
            async for event in events:
                if has_task:
                    _look_at(event)
                yield event
        except Exception as error:
            mark_failed(error)
            raise
        finally:
            if hasattr(events, "aclose"):
                await events.aclose()

    original = unwrap(method)
    if isasyncgenfunction(original):
        return update_wrapper(stream, method)
    return update_wrapper(call, method) if iscoroutinefunction(original) else method


def _look_at(event: Any) -> None:
    """A task, or an update of its status, that says `failed`; anything else."""
    with suppress(Exception):
        states = sys.modules["a2a.types"].TaskState
        failed = getattr(states, "failed", None) or states.TASK_STATE_FAILED
        if event.status.state == failed:
            mark_failed()


def _watch_errors(name: str, module: ModuleType) -> None:
    """What no handler gets to see: a method that there is not, a body that cannot be read."""
    dispatcher = getattr(module, name)
    answer = dispatcher._generate_error_response  # noqa: SLF001

    def answer_and_note(self: Any, request_id: Any, error: Any) -> Any:
        mark_failed(error if isinstance(error, Exception) else None)
        return answer(self, request_id, error)

    registry.put(dispatcher, "_generate_error_response", update_wrapper(answer_and_note, answer))


def _run_in_context_of_sender(module: ModuleType) -> None:
    if hasattr(module, "contextvars"):
        return  # the SDK does so itself
    active_task: Any = module.ActiveTask
    init, enqueue = active_task.__init__, active_task.enqueue_request
    contexts: WeakKeyDictionary[Any, Context] = WeakKeyDictionary()

    def init_with_contexts(self: Any, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        self._agent_executor = _Executor(self._agent_executor, contexts)

    async def enqueue_and_remember(self: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
        with suppress(TypeError):
            contexts[request] = copy_context()
        return await enqueue(self, request, *args, **kwargs)

    registry.put(active_task, "__init__", update_wrapper(init_with_contexts, init))
    registry.put(active_task, "enqueue_request", update_wrapper(enqueue_and_remember, enqueue))


class _Executor:
    """The application's executor, which runs each message in a task of its own, as the SDK does since 1.3."""

    def __init__(self, executor: Any, contexts: WeakKeyDictionary[Any, Context]) -> None:
        self._executor = executor
        self._contexts = contexts

    def __getattr__(self, name: str) -> Any:
        return getattr(self._executor, name)

    async def execute(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        running = self._executor.execute(request, *args, **kwargs)
        context = self._contexts.get(request)
        return await (running if context is None else context.run(asyncio.ensure_future, running))
