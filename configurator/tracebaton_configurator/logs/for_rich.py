"""Rich's handler for `logging`, which FastMCP puts on the root logger: in mode `json` it writes the JSON line.

What is printed otherwise is a table of several lines, as wide as a terminal. Where a subclass, a highlighter or a
console of the application's own has a say in the text, or the console prints to no log, all of it stays as it is.

Checked with rich 13.0 to 15.0 (rich/logging.py, rich/console.py).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tracebaton_configurator.logs import hook, standard
from tracebaton_configurator.logs.captured import is_captured
from tracebaton_configurator.logs.stock import comes_from
from tracebaton_configurator.logs.values import encodable
from tracebaton_configurator.logs.writing import passes_on

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable

    from tracebaton_configurator.logs.formatter import JsonLines

_OF_HANDLER = ("render", "render_message", "get_level_text", "handle")
_OF_CONSOLE = ("print", "render_lines", "file")


def install(json_lines: JsonLines | None) -> Callable[[], None]:
    """Patch rich, which is imported. Returns what undoes it. Raises where names that this needs are missing."""
    handler, console = import_module("rich.logging").RichHandler, import_module("rich.console").Console
    original = handler.emit
    if json_lines is None or not comes_from(handler, "emit"):
        return lambda: None
    known = {name: getattr(handler, name) for name in _OF_HANDLER}

    def prints_all(self: Any) -> bool:
        kind, own, printing = type(self), self.__dict__, self.console
        return (
            all(getattr(kind, name) is method and name not in own for name, method in known.items())
            and not {"emit", "format"} & own.keys()
            and type(printing) is console
            and comes_from(console, "print")
            and not any(name in printing.__dict__ for name in _OF_CONSOLE)
            and not (printing.quiet or printing.record or printing._buffer_index or printing._render_hooks)  # noqa: SLF001
        )

    def emit(self: Any, record: logging.LogRecord) -> None:
        try:
            line = None
            stream = self.console.file
            if prints_all(self) and _highlights_only(self, record) and _is_log(stream):
                line = hook.line_of_handler(self, record, json_lines, tells=comes_from(type(self), "handleError"))
            if line is not None:
                stream.write(encodable(line.rstrip(), stream) + "\n")
                stream.flush()
                return
        except RecursionError:
            raise
        except Exception:  # noqa: BLE001 (as every handler of the standard library does)
            self.handleError(record)
            return
        original(self, record)

    handler.emit = emit

    def undo() -> None:
        if handler.emit is emit:
            handler.emit = original

    return undo


def _highlights_only(handler: Any, record: logging.LogRecord) -> bool:
    """Whether what colours the text is rich's own: another one may take something out of it."""
    highlighter = getattr(record, "highlighter", handler.highlighter)
    if highlighter is None:
        return True
    kind = type(highlighter)
    made_by = {getattr(kind, name).__globals__["__name__"] for name in ("__call__", "highlight")}
    return {kind.__module__, *made_by} == {"rich.highlighter"} and "highlight" not in highlighter.__dict__


def _is_log(stream: Any) -> bool:
    return standard.is_standard(stream) and not is_captured(stream) and passes_on(stream)
