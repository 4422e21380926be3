"""What a fork must not cut in two, which are imports, and what begins anew in its child.

A module that one thread is importing while another forks stays half imported in the child for ever: whoever wants it
there waits for a thread that the child does not have. So delivery imports what it needs late under a lock that a fork
waits for: some 50 ms, and where an import takes for ever a second and no longer. What else of this package is imported
late, such as the notes of calls, takes no lock: a fork finds it among the imports that CPython has under way.
"""

from __future__ import annotations

import os
import sys
from _thread import get_ident
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from weakref import WeakMethod

from tracebaton_configurator.patching import os_threads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_SECONDS = 1.0
_LOOK_AGAIN = 0.001
_OURS = __name__.partition(".")[0]

_lock = os_threads.RLock()


@contextmanager
def importing() -> Iterator[None]:
    """Within this, nobody forks; not for anything that waits for the network."""
    with _lock:
        yield


def call_in_children(method: Callable[[], None]) -> None:
    """Have a bound method called in every forked child, as long as its object lives."""
    reference = WeakMethod(method)

    def call() -> None:
        bound = reference()
        if bound is not None:
            bound()

    os.register_at_fork(after_in_child=call)


def _renew() -> None:
    global _lock  # noqa: PLW0603 (a lock that was held at the fork cannot be let go of in the child)
    _lock = os_threads.RLock()


def _release() -> None:
    if _lock.is_mine:
        _lock.release()


def _wait() -> None:
    _lock.acquire(_SECONDS)
    if _is_importing_elsewhere():
        pause = os_threads.allocate_lock()  # a wait of the operating system's, whoever patches `time`
        pause.acquire()
        for _ in range(int(_SECONDS / _LOOK_AGAIN)):
            pause.acquire(timeout=_LOOK_AGAIN)
            if not _is_importing_elsewhere():
                break


def _is_importing_elsewhere() -> bool:
    """Whether another thread is importing a module of this package.

    By the locks of `importlib/_bootstrap.py`, whose names are the same in CPython 3.10 to 3.14; where they are not, by
    nothing.
    """
    locks: dict[str, Any] = getattr(sys.modules.get("_frozen_importlib"), "_module_locks", {})
    owners = (getattr(reference(), "owner", None) for name, reference in list(locks.items()) if name.startswith(_OURS))
    return any(owner is not None and owner != get_ident() for owner in owners)


os.register_at_fork(before=_wait, after_in_parent=_release, after_in_child=_renew)
