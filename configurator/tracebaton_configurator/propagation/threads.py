"""The context of a request goes along into the threads that it starts and into what it gives to an executor.

Upstream's instrumentation for threads does so for every thread, those included that a library starts once, for good,
in the middle of some request: an executor's workers, a client that sends in the background. These get no context here.
It also puts frames of its own into every traceback. Where it is installed, it goes first, and this declines.

What a thread runs is its own affair: its context variables stay, and so do its tracebacks.
Checked with CPython 3.10 to 3.14 (Lib/threading.py, Lib/concurrent/futures/thread.py).
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from contextvars import Context, Token, copy_context
from functools import cache, update_wrapper
from typing import TYPE_CHECKING, Any, NamedTuple

from opentelemetry import context as context_api
from opentelemetry.trace import INVALID_SPAN, get_current_span

from tracebaton_configurator.logs import ids
from tracebaton_configurator.logs.ids import OwnRequest, current_request, is_detached, remember_ids
from tracebaton_configurator.names import SERVER_MODULES
from tracebaton_configurator.patching import on_import, registry
from tracebaton_configurator.patching.around import Around

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType, ModuleType

    from opentelemetry.context import Context as OpenTelemetryContext

_NAMES = ("threads", "executors")
_undo: list[Callable[[], object]] = []
_left_to_upstream: set[str] = set()


class _Carried(NamedTuple):
    """What a thread takes over of a request."""

    request: OwnRequest
    context: OpenTelemetryContext

    def attach(self) -> tuple[Token[Any], Token[Any]]:
        return current_request.set(self.request), context_api.attach(self.context)


def _detach(tokens: tuple[Token[Any], Token[Any]]) -> None:
    context_api.detach(tokens[1])
    current_request.reset(tokens[0])


def install(detach_after: float) -> None:
    """Patch `threading` and `concurrent.futures.thread` as soon as they are imported; `detach_after` is seconds."""
    ids.detach_after = detach_after
    _left_to_upstream.clear()
    _replace_on_import("threads", "threading", _replace_start)
    _replace_on_import("executors", "concurrent.futures.thread", _replace_work_item)


def _replace_on_import(name: str, module: str, replace: Callable[[ModuleType], object]) -> None:
    def come(imported: ModuleType) -> None:
        if name not in _left_to_upstream:
            registry.apply(name, lambda: replace(imported))

    on_import.after(module, come)


def around() -> dict[str, Around]:
    """For upstream's instrumentation for threads."""
    return {"threading": Around(before=_leave_to_upstream)}


def _leave_to_upstream() -> None:
    while _undo:
        _undo.pop()()
    _left_to_upstream.update(_NAMES)
    for name in _NAMES:
        registry.withdraw(name, "opentelemetry-instrumentation-threading is installed")


def _of_request() -> _Carried | None:
    """What belongs to the request that this runs in; None outside any."""
    request = current_request.get()
    if request is None or is_detached(request):
        return None
    context = context_api.get_current()
    return None if get_current_span(context) is INVALID_SPAN else _Carried(request, context)


def _replace_start(threading: ModuleType) -> bool:
    thread_class: Any = threading.Thread
    start = thread_class.start
    if not hasattr(thread_class, "_bootstrap_inner"):
        return False

    def start_in_context(self: Any) -> None:
        try:
            carried = _of_request()
            is_a_librarys = carried is not None and _is_a_librarys(self, sys._getframe(1))  # noqa: SLF001
        except Exception:  # noqa: BLE001 (the thread is started all the same)
            carried = None
        if carried is None:
            start(self)
        elif is_a_librarys:
            # Greenlets, and threads of a free-threaded Python, take over the context of who starts them.
            copy_context().run(_start_clean, start, self)
        else:
            _start_in(carried, start, self)

    registry.put(thread_class, "start", update_wrapper(start_in_context, start))
    _undo.append(lambda: _put_back(thread_class, "start", start_in_context, start))
    return True


def _start_clean(start: Callable[[Any], None], thread: Any) -> None:
    current_request.set(None)
    context_api.attach(context_api.Context())
    start(thread)


def _start_in(carried: _Carried, start: Callable[[Any], None], thread: Any) -> None:
    """Start it with what `Thread._bootstrap_inner` runs in that context: no frame of this is in a traceback.

    When `start` returns, the thread has found what it is to run.
    """
    bootstrap = thread._bootstrap_inner  # noqa: SLF001

    def bootstrap_in_context() -> None:
        tokens = carried.attach()
        try:
            bootstrap()
        finally:
            _detach(tokens)

    with suppress(Exception):  # a class that refuses attributes: the thread starts without
        # Since 3.14, `run` is called in a context of its own.
        if getattr(thread, "_context", thread) is None and not getattr(sys.flags, "thread_inherit_context", False):
            own = Context()
            own.run(carried.attach)
            thread._context = own  # noqa: SLF001
        thread._bootstrap_inner = bootstrap_in_context  # noqa: SLF001
    try:
        start(thread)
    finally:
        thread.__dict__.pop("_bootstrap_inner", None)


def _is_a_librarys(thread: Any, frame: FrameType | None) -> bool:
    """Whether it is a library, Python's own among them, that starts the thread, and not the application.

    Its own `start` and wrappers of that are passed over: they are called so, and the thread is their first argument.
    """
    while frame is not None:
        code = frame.f_code
        # Whoever reads `f_locals` keeps them alive, before Python 3.13.
        named = "start" in code.co_name and code.co_argcount
        if not named or frame.f_locals.get(code.co_varnames[0]) is not thread:
            break
        frame = frame.f_back
    if frame is None:
        return True
    path = frame.f_code.co_filename
    if "/site-packages/" not in path and "/dist-packages/" not in path:
        return path.startswith(_STANDARD_LIBRARY)
    return str(frame.f_globals.get("__name__")).partition(".")[0] not in _applications()


_STANDARD_LIBRARY = f"{os.path.dirname(os.__file__)}/"  # noqa: PTH120


@cache
def _applications() -> frozenset[str]:
    """The packages that the command line names: an application may be installed beside its libraries."""
    words = (str(word).partition(":")[0].partition(".")[0] for word in (*sys.orig_argv, *getattr(sys, "argv", ())))
    return frozenset(word for word in words if word.isidentifier()) - {*SERVER_MODULES, "fastapi"}


def _replace_work_item(module: ModuleType) -> bool:
    item_class: Any = vars(module)["_WorkItem"]
    if "__slots__" in vars(item_class):  # where nothing could be put
        return False
    make, run = item_class.__init__, item_class.run

    def make_with_context(self: Any, *args: Any, **kwargs: Any) -> None:
        make(self, *args, **kwargs)
        with suppress(Exception):
            carried = _of_request()
            if carried is not None:
                self._tracebaton_carried = carried

    def run_in_context(self: Any, *args: Any) -> None:
        carried = self.__dict__.pop("_tracebaton_carried", None)
        if carried is None:
            run(self, *args)
            return
        tokens = carried.attach()
        try:
            run(self, *args)
        finally:
            _note_where_it_failed(getattr(self, "future", None))
            _detach(tokens)
            del self  # or an exception, which has this frame, would be part of a circle

    registry.put(item_class, "__init__", update_wrapper(make_with_context, make))
    registry.put(item_class, "run", update_wrapper(run_in_context, run))
    _undo.append(lambda: _put_back(item_class, "__init__", make_with_context, make))
    _undo.append(lambda: _put_back(item_class, "run", run_in_context, run))
    return True


def _note_where_it_failed(future: Any) -> None:
    """For what asyncio says of a future that nobody has asked for its exception."""
    with suppress(Exception):
        error = future.exception(0)
        if error is not None:
            remember_ids(error)


def _put_back(owner: Any, name: str, ours: object, original: object) -> None:
    """Unless somebody has replaced it since."""
    if getattr(owner, name) is ours:
        setattr(owner, name, original)
