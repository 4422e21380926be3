"""Log correlation for logbook, by its own hook: a processor for the whole application puts the ids among the extras.

Formats show them as `{record.extra[trace_id]}`, and handlers that write all extras write them. Its lines stay its own.

Checked with logbook 1.10 (logbook/base.py).
"""

from __future__ import annotations

from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

from tracebaton_configurator.logs.events import missing_ids

if TYPE_CHECKING:
    from collections.abc import Callable

    from tracebaton_configurator.logs.formatter import JsonLines


def install(_: JsonLines | None) -> Callable[[], None]:
    """Push the processor. Returns what takes it off again."""
    processor = import_module("logbook.base").Processor(_put_ids)
    processor.push_application()

    def undo() -> None:
        with suppress(Exception):  # another one may lie on top by now
            processor.pop_application()

    return undo


def _put_ids(record: Any) -> None:
    with suppress(Exception):  # the line is worth more than its ids
        exception = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
        record.extra.update(missing_ids(dict(record.extra), exception))
