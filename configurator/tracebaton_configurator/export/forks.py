"""What a fork must not cut in two, which are imports, and what begins anew in its child.

A module that one thread is importing while another forks stays half imported in the child for ever: whoever wants it
there waits for a thread that the child does not have. So delivery imports what it needs late under a lock that a fork
waits for: some 50 ms, and where an import takes for ever a second and no longer.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING
from weakref import WeakMethod

from tracebaton_configurator.patching import os_threads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_SECONDS = 1.0

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


# Looked up when it is called: a child that forks has a lock of its own.
os.register_at_fork(before=lambda: _lock.acquire(_SECONDS), after_in_parent=_release, after_in_child=_renew)
