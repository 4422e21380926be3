"""Threads, locks and waits of the operating system, whatever the application has made of those names.

gevent and eventlet replace what `threading`, `time`, `select` and `os` offer by what switches between greenlets, at a
moment of the application's choice. What runs beside the application cannot live on half of each: a lock made before
that, waited for by a "thread" that is a greenlet by then, stops every greenlet for good. So whatever of this package
waits, waits with these, in threads that no greenlet is part of. Sockets come from `_socket`, which neither replaces.

Nothing here is listed by `threading`, as nothing here is the application's.

Checked with gevent 24.2 to 26.9 (`gevent.monkey.get_original`) and eventlet 0.36 to 0.41 (`eventlet.patcher.original`).
"""

from __future__ import annotations

import sys
from contextlib import suppress
from importlib import import_module
from time import monotonic

TYPE_CHECKING = False  # any Python that starts a thread imports this module
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def concurrency_model() -> str | None:
    """Who has replaced threads by greenlets so far: `gevent`, `eventlet`, or nobody."""
    patcher = sys.modules.get("eventlet.patcher")
    if patcher is not None and patcher.is_monkey_patched("thread"):
        return "eventlet"
    monkey = sys.modules.get("gevent.monkey")
    if monkey is not None and monkey.is_module_patched("threading"):
        return "gevent"
    return None


_PATCHERS = ("gevent.monkey", "eventlet.patcher")


def before_patching(prepare: Callable[[], object]) -> None:
    """Call `prepare`, once, before gevent or eventlet can replace anything: when the application imports one of them.

    For imports that a thread would do later: one that is under way while `get_ident` is replaced never ends, since
    importlib's locks know their owner by it. It is called at once where one of the two is there already.
    """
    if any(name in sys.modules for name in _PATCHERS):
        prepare()
    else:
        sys.meta_path.insert(0, _Watch(prepare))


class _Watch:
    """A finder that leaves when it has seen what it waits for, and lets the others find it.

    Whoever looks for a module holds the lock of all imports; whoever executes it holds that of this module only. So
    `prepare`, which may wait for an import in another thread, comes with the execution.
    """

    def __init__(self, prepare: Callable[[], object]) -> None:
        self._prepare = prepare

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name not in _PATCHERS:
            return None
        with suppress(ValueError):  # another thread was quicker
            sys.meta_path.remove(self)
        for finder in tuple(sys.meta_path):
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                self._prepare_before(spec.loader)
                return spec
        return None

    def _prepare_before(self, loader: Any) -> None:
        execute = getattr(loader, "exec_module", None)

        def prepare_and_execute(module: Any) -> None:
            with suppress(AttributeError):  # a second thread
                del loader.exec_module
            with suppress(Exception):  # whoever needs what is missing says so
                self._prepare()
            execute(module)  # type: ignore[misc]

        with suppress(AttributeError):  # a loader of another kind
            loader.exec_module = prepare_and_execute


def _original(module: str, name: str) -> Any:
    """What a function of the standard library was before anybody replaced it."""
    patcher = sys.modules.get("eventlet.patcher")
    if patcher is not None and getattr(patcher, "already_patched", None):
        return getattr(patcher.original(module), name)
    monkey = sys.modules.get("gevent.monkey")
    if monkey is not None:
        return monkey.get_original(module, name)
    return getattr(import_module(module), name)


_start: Callable[[Callable[[], None], tuple[()]], int] = _original("_thread", "start_new_thread")
allocate_lock: Callable[[], Any] = _original("_thread", "allocate_lock")
get_ident: Callable[[], int] = _original("_thread", "get_ident")
"""Of the operating system's thread, not of the greenlet."""
get_native_id: Callable[[], int] = _original("_thread", "get_native_id")
"""As the kernel counts threads; on Linux, the main thread's is the process id."""
sleep: Callable[[float], None] = _original("time", "sleep")
poll: Callable[[], Any] = _original("select", "poll")
_write: Callable[[int, bytes], int] = _original("os", "write")

# eventlet takes them out of `select`; they are the same on every system (POSIX names them, their values are Linux's).
POLLIN, POLLOUT = 1, 4
# A pipe that polls as writable takes so much without waiting (POSIX, PIPE_BUF is at least 512; Linux has 4096).
_PIPE_BUF = 4096


class Latch:
    """Opened once, and waited for by any number of threads, signal handlers among them.

    `threading.Event` holds a lock while it is waited for: a handler that interrupts the wait in order to wait, too,
    would never come back.
    """

    __slots__ = ("_lock", "is_open")

    def __init__(self) -> None:
        self.is_open = False
        self._lock = allocate_lock()
        self._lock.acquire()

    def open(self) -> None:
        self.is_open = True
        with suppress(RuntimeError):  # it was open
            self._lock.release()

    def wait(self, seconds: float) -> bool:
        """Whether it is open, after so many seconds at most."""
        if not self.is_open and self._lock.acquire(timeout=max(0.0, seconds)):
            self.open()
        return self.is_open


class Thread:
    """A thread of the operating system's that does not keep the process alive. What `run` raises is `run`'s affair."""

    def __init__(self, run: Callable[[], object]) -> None:
        self._run = run
        self._ended = Latch()

    @classmethod
    def start(cls, run: Callable[[], object]) -> Thread:
        """Unlike `threading.Thread.start`, this waits for nobody. Raises RuntimeError where no thread can be started.

        From Python 3.12 on that is so as soon as the interpreter begins to end.
        """
        made = cls(run)
        _start(made._main, ())
        return made

    def join(self, seconds: float) -> bool:
        """Whether it has ended, after so many seconds at most."""
        return self._ended.wait(seconds)

    def is_alive(self) -> bool:
        return not self._ended.is_open

    def _main(self) -> None:
        try:
            self._run()
        finally:
            self._ended.open()


class RLock:
    """A lock that its thread may take again. eventlet replaces the standard library's in whoever holds one."""

    def __init__(self) -> None:
        self._lock = allocate_lock()
        self._owner = 0
        self._depth = 0

    @property
    def is_mine(self) -> bool:
        return self._owner == get_ident()

    def acquire(self, timeout: float = -1) -> bool:
        """As `threading.RLock.acquire`; -1 waits for ever."""
        me = get_ident()
        if self._owner != me:
            if not self._lock.acquire(timeout=timeout):
                return False
            self._owner = me
        self._depth += 1
        return True

    def release(self) -> None:
        """Raises RuntimeError where this thread does not hold it."""
        if self._owner != get_ident():
            raise RuntimeError("this thread does not hold the lock")
        self._depth -= 1
        if not self._depth:
            self._owner = 0
            self._lock.release()

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


def write(descriptor: int, data: bytes, seconds: float) -> bool:
    """Write past every stream and its lock; whether all of it was taken within the time. Raises OSError."""
    end = monotonic() + seconds
    waiting = poll()
    waiting.register(descriptor, POLLOUT)
    while data:
        if not waiting.poll(max(0.0, end - monotonic()) * 1000):
            return False
        with suppress(BlockingIOError):
            data = data[_write(descriptor, data[:_PIPE_BUF]) :]
    return True
