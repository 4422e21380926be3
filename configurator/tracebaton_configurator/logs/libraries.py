"""Logging libraries beside the standard one: each is served from the moment at which the application imports it.

What serves a library is imported with it, so that an application which uses none pays for none.
"""

from __future__ import annotations

import sys
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING

from tracebaton_configurator.patching import on_import
from tracebaton_configurator.patching.registry import apply

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable
    from types import ModuleType

    from tracebaton_configurator.logs.formatter import JsonLines

_SERVED_BY = {
    "daphne.access": "tracebaton_configurator.logs.for_daphne",
    "eliot": "tracebaton_configurator.logs.for_eliot",
    "logbook": "tracebaton_configurator.logs.for_logbook",
    "structlog": "tracebaton_configurator.logs.for_structlog",
    "loguru": "tracebaton_configurator.logs.for_loguru",
    "rich.logging": "tracebaton_configurator.logs.for_rich",
}
# Written in C, and without a hook that all records pass.
_NOT_SERVED = ("picologging",)
_json_lines: JsonLines | None = None
_on = False
_waiting: set[str] = set()
_undo: dict[str, Callable[[], None]] = {}


def install(json_lines: JsonLines | None) -> None:
    """Serve the libraries that are imported, and the others when they are. `json_lines`: None in mode `inject`."""
    global _json_lines, _on
    uninstall()
    _json_lines, _on = json_lines, True
    for library in _SERVED_BY.keys() - _waiting:
        _waiting.add(library)
        on_import.after(library, partial(_serve, library))


def uninstall() -> None:
    """Put back what `install` has patched; a library imported later stays as it is."""
    global _on  # noqa: PLW0603 (see above)
    _on = False
    for library in list(_undo):
        _undo.pop(library)()
        _waiting.discard(library)


def without_ids() -> list[str]:
    """The libraries that the application has imported and whose lines have no ids."""
    return [name for name in _NOT_SERVED if name in sys.modules]


def line_of(formatter: logging.Formatter | None, record: logging.LogRecord, json_lines: JsonLines) -> str | None:
    """The JSON line for a record that only one of these libraries knows how to read; None for any other."""
    if "structlog" not in _undo:
        return None
    from tracebaton_configurator.logs.for_structlog import line_of_record

    try:
        return line_of_record(formatter, record, json_lines)
    except Exception as error:
        if type(error).__name__ == "DropEvent":  # structlog's, by which a processor says that no line is wanted
            raise
        return json_lines.format_broken(record, error, is_known=False)


def _serve(library: str, _: ModuleType) -> None:
    """Called in the middle of the application's `import`, which must not fail because of this."""
    _waiting.discard(library)

    def replace() -> None:
        _undo[library] = import_module(_SERVED_BY[library]).install(_json_lines)

    if _on:
        apply(library.partition(".")[0], replace)
