"""The sinks of loguru that hand on a record, to a function or to the standard library: they hand on the ids with it.

`for_loguru` says which methods these replace, and the versions they were checked with.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from tracebaton_configurator.logs import loguru_functions, standard
from tracebaton_configurator.logs.events import RESERVED, lacking
from tracebaton_configurator.logs.ids import Ids
from tracebaton_configurator.logs.shown import Made, shown_fields
from tracebaton_configurator.logs.stock import ONLY_THE_MESSAGE, TEXT, what_it_prints
from tracebaton_configurator.logs.writing import methods_of, passes_on

if TYPE_CHECKING:
    from collections.abc import Callable

    from tracebaton_configurator.logs.formatter import JsonLines


def ids_on(record: dict[str, Any]) -> dict[str, str]:
    """The ids that `Handler.emit` has found, as patched."""
    return {name: record[name] for name in Ids._fields if name in record}


def writing_to_function(write: Callable[..., None]) -> Callable[..., None]:
    """`write` of a sink that calls a function: its record has the ids among `extra`, which such functions make JSON of.

    The text has been made by then, and no other sink sees this record.
    """

    def write_with_ids(self: Any, message: Any) -> None:
        with suppress(Exception):
            record = message.record
            extra = record["extra"]
            message.record = {**record, "extra": {**extra, **lacking(extra, ids_on(record))}}
        write(self, message)

    return write_with_ids


def writing_to_logging(write: Callable[..., None], json_lines: JsonLines | None) -> Callable[..., None]:
    """`write` of a sink that is a `logging.Handler`, which gets a LogRecord that passes no logger."""

    class WithIds:
        """Stands in for the handler, and passes the record on."""

        def __init__(self, handler: logging.Handler, record: dict[str, Any], *, is_made_by_function: bool) -> None:
            self._handler = handler
            self._record = record
            self._is_made_by_function = is_made_by_function

        def handle(self, record: logging.LogRecord) -> Any:
            with suppress(Exception):
                record.__dict__.update(ids_on(self._record))
                record.msg = Made(record.msg)
                if json_lines is not None and _writes_text(self._handler):
                    _split(record, self._record, is_made_by_function=self._is_made_by_function)
            return self._handler.handle(record)

    class Sink:
        """Stands in for the sink, of which `write` needs nothing else."""

        def __init__(self, handler: Any) -> None:
            self._handler = handler

    def write_with_ids(self: Any, message: Any) -> None:
        sink = self
        with suppress(Exception):
            sink = Sink(WithIds(self._handler, message.record, is_made_by_function=self in loguru_functions.sinks))
        write(sink, message)

    return write_with_ids


def _split(record: logging.LogRecord, made_of: dict[str, Any], *, is_made_by_function: bool) -> None:
    """Give the parts of loguru's text fields of their own, as far as it shows them: its format may hide something."""
    text, message, extra = record.getMessage(), made_of["message"], made_of["extra"]
    before, found, behind = text.partition(message)
    kept = shown_fields(before + behind, extra) if is_made_by_function else extra
    if not found or len(kept) < len(extra):
        return
    record.msg = message
    if record.exc_info:
        record.exc_info, record.exc_text = None, behind.strip() or None
    if RESERVED.isdisjoint(extra):
        del record.__dict__["extra"]
        record.__dict__.update({**extra, **lacking(extra, ids_on(made_of))})


def _writes_text(handler: logging.Handler) -> bool:
    """Whether the hook in `logging` is going to make a JSON line of what is on the record, which nobody else sees."""
    if not isinstance(handler, logging.StreamHandler) or handler.filters or not methods_of(handler)[0]:
        return False
    if type(handler).format is not logging.Handler.format or "format" in handler.__dict__:
        return False
    if not standard.is_standard(handler.stream) or not passes_on(handler.stream):
        return False
    formatter = handler.formatter or logging._defaultFormatter  # type: ignore[attr-defined]  # noqa: SLF001
    return what_it_prints(formatter) in (TEXT, ONLY_THE_MESSAGE)
