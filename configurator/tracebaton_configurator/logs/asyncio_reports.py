"""What an event loop says of a task, a future or a callback is said with the ids of that.

asyncio reports "Task exception was never retrieved", a pending task that is destroyed and a callback that failed when
it comes to it: in the context of whoever runs then, or of nobody. Its own handler logs, and so may the application's;
both are called by `call_exception_handler`, which is called in the trace context of what is reported, and in no other
variables of it. Checked with CPython 3.10 to 3.14 (Lib/asyncio/base_events.py) and uvloop 0.19 to 0.23.
"""

from __future__ import annotations

import gc
from contextvars import Context
from functools import update_wrapper
from typing import TYPE_CHECKING, Any

from opentelemetry import context as context_api

from tracebaton_configurator.logs.ids import current_request, remembered_ids, with_ids
from tracebaton_configurator.patching.registry import apply_on_import

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

_KEYS = ("task", "future", "handle")
_NOTHING = (None, context_api.Context())


def install() -> Callable[[], None]:
    """Patch the loops of asyncio and uvloop as soon as they are imported. Returns what undoes it."""
    undo: list[Callable[[], object]] = []

    def patch(loop_class: Any) -> None:
        is_own = "call_exception_handler" in vars(loop_class)
        original = loop_class.call_exception_handler
        ours = _in_trace_context(original)
        loop_class.call_exception_handler = ours
        undo.append(lambda: _put_back(loop_class, ours, original if is_own else None))

    def patch_uvloop(uvloop: ModuleType) -> bool:
        if "call_exception_handler" in vars(uvloop.Loop):
            return False
        patch(uvloop.Loop)
        return True

    apply_on_import("asyncio", "asyncio.base_events", lambda module: patch(module.BaseEventLoop))
    apply_on_import("uvloop", "uvloop", patch_uvloop)

    def uninstall() -> None:
        while undo:
            undo.pop()()

    return uninstall


def _put_back(loop_class: Any, ours: object, original: object) -> None:
    """`original` is None where the class has inherited it."""
    if loop_class.call_exception_handler is not ours:
        return
    if original is None:
        del loop_class.call_exception_handler
    else:
        loop_class.call_exception_handler = original


def _in_trace_context(original: Callable[[Any, Any], object]) -> Callable[[Any, Any], object]:
    def call_exception_handler(self: Any, context: Any) -> object:
        try:
            found = _trace_context_of(context)
        except Exception:  # noqa: BLE001 (an odd object: nobody knows whose it is)
            found = _NOTHING
        if found is None:
            return original(self, context)
        request = current_request.set(found[0])
        token = context_api.attach(found[1])
        try:
            return original(self, context)
        finally:
            context_api.detach(token)
            current_request.reset(request)

    return update_wrapper(call_exception_handler, original)


def _trace_context_of(report: dict[str, Any]) -> tuple[Any, context_api.Context] | None:
    """The trace context of what is reported, the empty one where that is unknown; None where it is of no such thing."""
    thing = next((report[key] for key in _KEYS if report.get(key) is not None), None)
    if thing is None:
        return None
    variables = _variables_of(thing)
    if variables is not None:
        # A copy, as the original may be in use.
        found: tuple[Any, context_api.Context] = variables.copy().run(_here)
        return found
    if not hasattr(thing, "add_done_callback"):
        return None
    # A future does not know where it was made; its exception may know where it was raised.
    return None, with_ids(remembered_ids(report.get("exception")))


def _here() -> tuple[Any, context_api.Context]:
    return current_request.get(), context_api.get_current()


def _variables_of(thing: Any) -> Context | None:
    """The context that a task or a handle runs in. Before 3.12, and in uvloop, no method tells; they do refer to it."""
    if hasattr(thing, "get_context"):
        found = thing.get_context()
    else:
        found = next((one for one in gc.get_referents(thing) if isinstance(one, Context)), None)
    return found if isinstance(found, Context) else None
