"""The trace context goes along to processes of the same program that `multiprocessing` starts, and to their pools.

* A process that a request spawns, itself or by the fork server, gets it in its preparation data.
* The worker of a pool lives long and serves many requests: it belongs to none of them, and each item of work carries
  the context of who submitted it, until its result is sent back.
* A forked child has it by its memory; what is set right here is that its request will not be answered there.

Processes without these patches take no notice: what they get is picklable and calls what it called.

Imports nothing of OpenTelemetry: each Python below the launcher that uses these modules has this, traced or not.
Checked with CPython 3.10 to 3.14: spawn.py, pool.py and process.py of Lib/multiprocessing, and process.py of
Lib/concurrent/futures.
"""

from __future__ import annotations

from functools import partial, update_wrapper
from typing import TYPE_CHECKING, Any

from tracebaton_configurator.patching.frames import hide
from tracebaton_configurator.patching.registry import apply_on_import, put

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_KEY = "_tracebaton_headers"
_POOLS = ("concurrent.futures.process", "multiprocessing.pool")
handed: dict[str, str] | None = None
"""What this process was given when it was started."""
_installed = _start_patched = False


class Tracing:
    """What these patches ask of tracing; as it is before that is up."""

    headers: Callable[[], dict[str, str]] = dict
    """What the work that is going on hands on."""
    clean: Callable[..., Any] = staticmethod(lambda function, *arguments: function(*arguments))
    """Calls a function outside any request."""
    take_up: Callable[[Mapping[str, str]], object] | None = None
    """Has the process belong to whoever gave it these headers."""
    enter: Callable[[Mapping[str, str]], object] = staticmethod(lambda _: None)
    """Has what runs in this thread belong to whoever gave these headers, until it is called again."""
    come_up: Callable[[], object] = staticmethod(lambda: None)


TRACING = Tracing()


def install(come_up: Callable[[], object]) -> None:
    """Patch the modules as soon as they are imported. `come_up` is called when there is a context to take up."""
    global _installed  # noqa: PLW0603 (once a process, whoever calls)
    TRACING.come_up = come_up
    if _installed:
        return
    _installed = True
    apply_on_import("spawned-processes", "multiprocessing.spawn", _patch_spawn)
    apply_on_import("process-pools", "multiprocessing.pool", _patch_pool)
    apply_on_import("process-pools", "concurrent.futures.process", _patch_executor)


def _patch_spawn(spawn: Any) -> None:
    get, prepare = spawn.get_preparation_data, spawn.prepare

    def get_with_context(name: str) -> Any:
        try:
            data = get(name)
        except BaseException as error:
            hide(error)
            raise
        headers = TRACING.headers()
        if headers:
            data[_KEY] = headers
        return data

    def prepare_in_context(data: Any) -> None:
        global handed  # noqa: PLW0603 (see there)
        headers = data.pop(_KEY, None)
        if headers:
            handed = headers
            if TRACING.take_up is not None:
                TRACING.take_up(headers)
        try:
            prepare(data)
        except BaseException as error:
            hide(error)
            raise
        if headers:
            TRACING.come_up()

    put(spawn, "get_preparation_data", update_wrapper(get_with_context, get))
    put(spawn, "prepare", update_wrapper(prepare_in_context, prepare))


def _patch_start() -> None:
    """Workers of pools start outside any request, by whatever means."""
    from multiprocessing import process

    global _start_patched  # noqa: PLW0603 (there are two kinds of pools)
    if _start_patched:
        return
    _start_patched = True
    start = process.BaseProcess.start

    def start_in_context(self: Any) -> None:
        if getattr(getattr(self, "_target", None), "__module__", None) in _POOLS:
            TRACING.clean(start, self)
            return
        try:
            start(self)
        except BaseException as error:
            hide(error)
            raise

    put(process.BaseProcess, "start", update_wrapper(start_in_context, start))


class _Arguments(dict):  # type: ignore[type-arg]
    """Those of an item of work, on their way from who submits it to the message that is sent to a worker."""

    headers: Mapping[str, str]


def _patch_executor(process: Any) -> None:
    """`concurrent.futures.ProcessPoolExecutor`: `_CallItem` is what a worker is sent, `_ResultItem` what it answers."""
    work_init, call_init = process._WorkItem.__init__, process._CallItem.__init__  # noqa: SLF001
    result_init = process._ResultItem.__init__  # noqa: SLF001
    if hasattr(process._CallItem, "__slots__") or "__setstate__" in vars(process._CallItem):  # noqa: SLF001
        raise TypeError("_CallItem is not as it was")

    _patch_start()

    def make_work(self: Any, *args: Any, **kwargs: Any) -> None:
        work_init(self, *args, **kwargs)
        headers = TRACING.headers()
        if headers and type(self.kwargs) is dict:
            self.kwargs = _Arguments(self.kwargs)
            self.kwargs.headers = headers

    def make_call(self: Any, *args: Any, **kwargs: Any) -> None:
        call_init(self, *args, **kwargs)
        if type(self.kwargs) is _Arguments:
            setattr(self, _KEY, self.kwargs.headers)
            self.kwargs = dict(self.kwargs)

    def receive(self: Any, state: dict[str, Any]) -> None:
        _enter(state.pop(_KEY, None))
        vars(self).update(state)

    def make_result(self: Any, *args: Any, **kwargs: Any) -> None:
        result_init(self, *args, **kwargs)
        _enter(None)

    put(process._WorkItem, "__init__", update_wrapper(make_work, work_init))  # noqa: SLF001
    put(process._CallItem, "__init__", update_wrapper(make_call, call_init))  # noqa: SLF001
    put(process._CallItem, "__setstate__", receive)  # noqa: SLF001
    put(process._ResultItem, "__init__", update_wrapper(make_result, result_init))  # noqa: SLF001


def _enter(headers: Any) -> None:
    if headers:
        TRACING.come_up()
    TRACING.enter(headers or {})


def _patch_pool(pool: Any) -> None:
    """`multiprocessing.Pool`, and `ThreadPool`: a function is given on as a `partial` of it, which has the headers."""
    for name in ("apply_async", "_map_async", "imap", "imap_unordered"):
        original = getattr(pool.Pool, name)
        put(pool.Pool, name, update_wrapper(_with_context(original), original))
    work = pool.worker
    _patch_start()

    def worker(inqueue: Any, outqueue: Any, *args: Any, **kwargs: Any) -> Any:
        return work(_Items(inqueue), _Results(outqueue), *args, **kwargs)

    put(pool, "worker", update_wrapper(worker, work))


class _Carrying(partial):  # type: ignore[type-arg]
    """A worker gets a `partial` that has the headers: multiprocessing's own way of sending one leaves attributes out
    (Lib/multiprocessing/reduction.py).
    """

    def __reduce__(self) -> tuple[Any, ...]:
        reduced: Any = super().__reduce__()
        return (partial, *reduced[1:])


def _with_context(original: Callable[..., Any]) -> Callable[..., Any]:
    def submit(self: Any, func: Any, *args: Any, **kwargs: Any) -> Any:
        headers = TRACING.headers()
        if headers and callable(func):
            func = _Carrying(func)
            setattr(func, _KEY, headers)
        try:
            return original(self, func, *args, **kwargs)
        except BaseException as error:
            hide(error)
            raise

    return submit


class _Queue:
    """A worker's, which looks like the one that it stands for."""

    def __init__(self, queue: Any) -> None:
        self._queue = queue

    def __getattr__(self, name: str) -> Any:
        return getattr(self._queue, name)


class _Items(_Queue):
    def get(self) -> Any:
        task = self._queue.get()
        _enter(_headers_of(task))
        return task


class _Results(_Queue):
    def put(self, result: Any) -> None:
        self._queue.put(result)
        _enter(None)


def _headers_of(task: Any) -> Any:
    """`(job, i, func, args, kwds)`: `map` gives the function to one of its own, as the first of the first argument."""
    try:
        _, _, func, args, _ = task
        found = getattr(func, _KEY, None)
        if found is None and args and isinstance(args[0], tuple):
            found = getattr(args[0][0], _KEY, None)
    except Exception:  # noqa: BLE001 (the sentinel, or what is not known here)
        return None
    return found
