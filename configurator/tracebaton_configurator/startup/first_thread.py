"""Only the main thread can register a handler for SIGTERM, and it may do nothing but wait once others are started.

So it registers the handler when it starts the first of them. Until a thread has a span to lose, SIGTERM keeps its
default action (see `export.sigterm`); a Python without threads pays nothing.
"""

from __future__ import annotations

from functools import update_wrapper

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

NAME = "first-thread"
replaced = False


def watch(threading: ModuleType) -> None:
    """Replace `Thread.start` until the main thread has called it."""
    global replaced  # noqa: PLW0603 (`bring_up` tells the registry, which is not imported for this)
    start = threading.Thread.start
    before = [start]

    def start_first(thread: Any) -> None:
        if before and threading.current_thread() is threading.main_thread():
            before.clear()
            if threading.Thread.start is first:
                threading.Thread.start = start
            _register()
        start(thread)

    first = update_wrapper(start_first, start)
    threading.Thread.start = first
    replaced = True


def _register() -> None:
    try:
        from tracebaton_configurator.export.sigterm import sigterm

        sigterm.prepare()
    except Exception:  # noqa: BLE001, S110 (the application's thread must start; at worst, spans are lost by SIGTERM)
        pass
