"""SIGTERM: caught while there is something to lose, and left to its default action otherwise.

A Python handler runs when the interpreter comes to it, which a C call that holds the GIL can put off for as long as it
likes; the default action ends the process at once. So it stays in place while no span waits, and returns as soon as
none waits any more: then a process dies of SIGTERM as it did before, whatever it is doing.

Two things are needed for that, and Python's `signal.signal` does both at once and from the main thread only: the Python
function, which is registered when tracing starts or the first thread does, and the action of the operating system,
which `PyOS_setsig` of CPython's stable ABI switches from any thread. The application is not to notice: to it, the
default action stands where this handler does, whether it asks, replaces it or puts it back.

What stays as it is for every handler written in Python: a signal that comes while the main thread is on its way into a
wait, or, up to CPython 3.12, in the very moment in which another thread lets go of the GIL, is noticed only when the
main thread comes back from what it does next, or by a second one (`COMPUTE_EVAL_BREAKER` in Python/ceval_gil.c).
"""

from __future__ import annotations

import os
import signal
import sys
from _signal import SIG_DFL, getsignal  # type: ignore[import-not-found]
from _signal import signal as set_handler
from functools import update_wrapper

from tracebaton_configurator.patching import os_threads

TYPE_CHECKING = False  # any Python that starts a thread imports this module
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import Any

    Handler = Callable[[int, FrameType | None], None]

_NUMBER = signal.SIGTERM
_DEFAULT = 0  # SIG_DFL, as an address


class _Sigterm:
    """The one of this process.

    There is no lock: spans end in signal handlers, too. Who finds something to lose says so first and catches the
    signal then; who lets go of it looks again afterwards. So whatever the order, it is caught while somebody needs it.
    """

    def __init__(self) -> None:
        self._handler: Handler | None = None
        self._holders: set[object] = set()
        self._for_good = False
        self._address: int | None = None
        """Of CPython's own handler, which calls the Python function."""
        self._get_action: Callable[[int], int | None] | None = None
        self._set_action: Callable[[int, int], int | None] | None = None
        self._is_ready = False
        self._is_hidden = False
        # As an object that is the same each time it is asked for.
        self._registered: Handler = self._on_signal

    def handle(self, handler: Handler) -> None:
        """Have `handler` called for a SIGTERM that comes while something is held."""
        from tracebaton_configurator.patching import registry

        self._handler = handler
        self._get_ready()
        registry.apply("sigterm", self._hide)
        self.register()

    def prepare(self) -> None:
        """Register in the main thread what `handle`, called in another one, could not; the action stays the default."""
        self._get_ready()
        if self._set_action is not None:
            self._hide()
            self.register()

    def hold(self, holder: object) -> None:
        """`holder` has something to lose; once more does no harm. From any thread, and from a signal handler."""
        self._holders.add(holder)
        self._catch()

    def hold_for_good(self) -> None:
        """There is always something to lose from now on, in forked children, too."""
        self._for_good = True
        self._catch()

    def let_go(self, holder: object) -> None:
        """`holder` has nothing to lose any more."""
        self._holders.discard(holder)
        self._leave_unless_held()

    def begin_anew(self) -> None:
        """In a forked child, nothing is held yet."""
        self._holders = set()
        self._leave_unless_held()

    def register(self) -> None:
        """Stand where the default action does, as far as Python knows; only the main thread may do that.

        A process that handles SIGTERM already, or ignores it, keeps doing so; it then ends in a way that is seen
        elsewhere. The kernel keeps PID 1 from dying of a signal that it does not handle: for it, nothing changes.
        """
        if not self._is_ready or not _in_main_thread() or os.getpid() == 1:
            return
        if getsignal(_NUMBER) != signal.SIG_DFL or self._action() not in (_DEFAULT, None):
            return
        try:
            set_handler(_NUMBER, self._registered)
        except ValueError:  # a subinterpreter
            return
        self._address = self._action()
        self._leave_unless_held()

    def is_ours(self, handler: object) -> bool:
        return handler is self._registered

    def default(self) -> None:
        """Have the next one end the process, as it would have without this."""
        if self.is_ours(getsignal(_NUMBER)):
            if self._set_action is not None:
                self._set_action(_NUMBER, _DEFAULT)
            elif _in_main_thread():
                set_handler(_NUMBER, SIG_DFL)

    def _get_ready(self) -> None:
        if not self._is_ready:
            self._get_action, self._set_action = _actions()
            self._is_ready = True

    def _hide(self) -> None:
        if not self._is_hidden:
            self._is_hidden = True
            _hide(self)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._handler is not None:
            self._handler(number, frame)
        else:
            self.default()
            os.kill(os.getpid(), number)

    def _catch(self) -> None:
        if not self.is_ours(getsignal(_NUMBER)):
            self.register()
        elif self._set_action is not None and self._address is not None and self._action() == _DEFAULT:
            self._set_action(_NUMBER, self._address)

    def _leave_unless_held(self) -> None:
        if self._holders or self._for_good:
            return
        # What somebody else has set below Python, such as `faulthandler`, stays.
        if self._set_action is not None and self._address is not None and self._action() == self._address:
            self.default()
            if self._holders or self._for_good:
                self._catch()

    def _action(self) -> int | None:
        """The address that the operating system calls; None where that cannot be known."""
        return None if self._get_action is None else self._get_action(_NUMBER) or _DEFAULT


def _in_main_thread() -> bool:
    """Of the operating system: gevent and eventlet give the name to greenlets."""
    if sys.platform == "linux":
        return os_threads.get_native_id() == os.getpid()
    import threading

    return threading.current_thread() is threading.main_thread()


def _actions() -> tuple[Callable[[int], int | None] | None, Callable[[int, int], int | None] | None]:
    """`PyOS_getsig` and `PyOS_setsig`; None where there is no `ctypes`, and SIGTERM is then caught all the time."""
    try:
        import ctypes

        # Of our own: another user of `ctypes.pythonapi` may have given these functions other types.
        python = ctypes.PyDLL(None)
        get_action, set_action = python.PyOS_getsig, python.PyOS_setsig
        get_action.argtypes, get_action.restype = [ctypes.c_int], ctypes.c_void_p
        set_action.argtypes, set_action.restype = [ctypes.c_int, ctypes.c_void_p], ctypes.c_void_p
    except Exception:  # noqa: BLE001 (left out by a distribution, or forbidden by its security policy)
        return None, None
    return get_action, set_action


def _hide(sigterm: _Sigterm) -> None:
    """Show the application the default action where our handler stands, and stand there again when it puts it back."""
    get_shown, set_shown = signal.getsignal, signal.signal

    def get_and_hide(signalnum: Any) -> Any:
        handler = get_shown(signalnum)
        return signal.SIG_DFL if sigterm.is_ours(handler) else handler

    def set_and_hide(signalnum: Any, handler: Any) -> Any:
        before = set_shown(signalnum, handler)
        if signalnum == _NUMBER and handler == signal.SIG_DFL:
            sigterm.register()
        return signal.SIG_DFL if sigterm.is_ours(before) else before

    signal.getsignal = update_wrapper(get_and_hide, get_shown)
    signal.signal = update_wrapper(set_and_hide, set_shown)


sigterm = _Sigterm()
