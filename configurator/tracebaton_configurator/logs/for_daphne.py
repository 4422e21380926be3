"""daphne writes its access log past `logging`, as text, while the request is being answered.

Checked with daphne 4.1 to 4.2 (daphne/access.py).
"""

from __future__ import annotations

import logging
from importlib import import_module
from io import StringIO
from typing import TYPE_CHECKING, Any

from tracebaton_configurator.logs.captured import is_captured
from tracebaton_configurator.logs.ids import current_ids
from tracebaton_configurator.logs.values import encodable
from tracebaton_configurator.logs.writing import passes_on

if TYPE_CHECKING:
    from collections.abc import Callable

    from tracebaton_configurator.logs.formatter import JsonLines

_STANDARD_STREAMS = (1, 2)


class _Taking:
    """What `write_entry` needs of its object; a subclass may need more, and is left alone then."""

    def __init__(self) -> None:
        self.stream = StringIO()


def install(json_lines: JsonLines | None) -> Callable[[], None]:
    """Patch daphne, which is imported. Returns what undoes it. In mode `inject` there is no place for ids."""
    generator: Any = import_module("daphne.access").AccessLogGenerator
    write_entry = generator.write_entry
    if json_lines is None:
        return lambda: None

    def write_object(self: Any, *args: Any, **kwargs: Any) -> None:
        line = ""
        try:
            if type(self) is generator and _is_ours(self.stream):
                taking = _Taking()
                write_entry(taking, *args, **kwargs)
                line = _line(json_lines, taking.stream.getvalue().rstrip())
        except Exception:  # noqa: BLE001 (daphne itself says what is wrong with what it was given)
            line = ""
        if line:
            self.stream.write(f"{encodable(line, self.stream)}\n")
        else:
            write_entry(self, *args, **kwargs)

    generator.write_entry = write_object

    def undo() -> None:
        if generator.write_entry is write_object:
            generator.write_entry = write_entry

    return undo


def _is_ours(stream: Any) -> bool:
    """Whether it leads to the container's log, unaltered."""
    return stream.fileno() in _STANDARD_STREAMS and passes_on(stream) and not is_captured(stream)


def _line(json_lines: JsonLines, text: str) -> str:
    record = logging.LogRecord("daphne.access", logging.INFO, "", 0, text, None, None)
    ids = current_ids()
    if ids is not None:
        record.__dict__.update(ids._asdict())
    return json_lines.format(record)
