"""Log correlation for structlog: the last processor of a chain, the one that renders, is called through ours.

Where the wrapped logger is one of structlog's own, which print, `BoundLoggerBase._process_event` is the one place that
every bound logger passes, whenever it was made and however it is cached. Where structlog hands on to the standard
library, the hook in `logging` does the rest, and asks here about records that carry an event dict.

A renderer gets the event dict as it was going to: what a processor before it has taken out stays out.

Checked with structlog 24.1, 25.5 and 26.1 (structlog/_base.py, structlog/stdlib.py).
"""

from __future__ import annotations

import logging
import sys
from copy import copy
from importlib import import_module
from types import FunctionType
from typing import TYPE_CHECKING, Any

from tracebaton_configurator.logs import field_names, standard
from tracebaton_configurator.logs.captured import is_captured
from tracebaton_configurator.logs.event_dict import is_plain, read
from tracebaton_configurator.logs.events import (
    Event,
    lacking,
    line_of_event,
    missing_ids,
    object_with_ids,
    without_colours,
)
from tracebaton_configurator.logs.ids import Ids
from tracebaton_configurator.logs.stock import UNKNOWN, is_as_defined, what_it_prints
from tracebaton_configurator.logs.values import encodable
from tracebaton_configurator.logs.writing import passes_on

if TYPE_CHECKING:
    from collections.abc import Callable

    from tracebaton_configurator.logs.formatter import JsonLines


def install(json_lines: JsonLines | None) -> Callable[[], None]:
    """Patch structlog, which is imported. Returns what undoes it. Raises where names that this needs are missing."""
    base = import_module("structlog._base").BoundLoggerBase
    output, processors = import_module("structlog._output"), import_module("structlog.processors")
    printing = (output.PrintLogger, output.WriteLogger, output.BytesLogger)
    original = base._process_event  # noqa: SLF001 (this is what gets patched)

    def ending_in_ours(bound: Any) -> Any:
        """The bound logger, with our renderer around its own."""
        try:
            stream = getattr(bound._logger, "_file", None)  # noqa: SLF001
            if is_captured(stream):
                return bound
            *before, renderer = bound._processors  # noqa: SLF001
            prints = type(bound._logger) in printing and standard.is_standard(stream) and passes_on(stream)  # noqa: SLF001
            ours = _Renderer(renderer, json_lines if prints else None)
            ours.stream = stream
            ours.timestamps = any(type(one).__name__ in _STAMPS for one in before)
            ours.takes_ids = type(renderer) is processors.JSONRenderer
            return base(bound._logger, [*before, ours], bound._context)  # noqa: SLF001
        except Exception:  # noqa: BLE001 (no processors, a wrapper class of another kind: it logs as without us)
            return bound

    def process_event(self: Any, method_name: str, event: Any, event_kw: Any) -> Any:
        return original(ending_in_ours(self), method_name, event, event_kw)

    # structlog finds the line that logged by walking up to the first module that is not called `structlog...`.
    disguise = {"__name__": "structlog._base", "__builtins__": __builtins__}
    patched = FunctionType(process_event.__code__, disguise, "_process_event", None, process_event.__closure__)
    base._process_event = patched  # noqa: SLF001

    def undo() -> None:
        if base._process_event is patched:  # noqa: SLF001
            base._process_event = original  # noqa: SLF001

    return undo


_STAMPS = ("TimeStamper", "MaybeTimeStamper")
# Formats under which a formatter's text is its renderer's, and nothing else.
_MESSAGE_ONLY = ("%(message)s", "{message}", "$message", "${message}")


def line_of_record(formatter: logging.Formatter | None, record: logging.LogRecord, json_lines: JsonLines) -> str | None:
    """The JSON line for a record that holds an event dict, or whose formatter makes one; None for any other.

    Raises what the application's own processors raise.
    """
    stdlib = sys.modules.get("structlog.stdlib")
    kind = getattr(stdlib, "ProcessorFormatter", None)
    if kind is None:
        return None
    if isinstance(formatter, kind):
        if not is_as_defined(formatter, kind) or not getattr(formatter, "processors", None):
            return None
        *before, renderer = formatter.processors
        ours = _Renderer(renderer, json_lines, record)
        ours.timestamps = True  # by the chain in front of `wrap_for_formatter`, which is not to be seen from here
        tapped: Any = copy(formatter)
        if formatter._fmt in _MESSAGE_ONLY and not (formatter.keep_exc_info or formatter.keep_stack_info):  # noqa: SLF001
            tapped.processors = [*before, ours]
        text = tapped.format(record)
        return object_with_ids(text, ours.ids_of({}), one_line=True) or ours.line_of_text(text, record.levelname)
    if type(formatter) is logging.Formatter and what_it_prints(formatter) != UNKNOWN:
        wrapped = isinstance(record.msg, dict) and "_logger" in record.__dict__ and "_name" in record.__dict__
        if wrapped and not (getattr(formatter, "_fmt", None) or "").startswith("{"):
            ours = _Renderer(None, json_lines, record)
            ours.timestamps = True
            return ours.line_of_dict(record.levelname, record.msg)  # type: ignore[arg-type]
    return None


class _Renderer:
    """Stands in a chain where its last processor stood, and calls that unless its text is not wanted.

    `json_lines`: None keeps text as it is. `record`: that of the standard library has its own ids, level and moment.
    """

    __slots__ = ("_json_lines", "_record", "_renderer", "stream", "takes_ids", "timestamps")

    def __init__(self, renderer: Any, json_lines: JsonLines | None, record: logging.LogRecord | None = None) -> None:
        self._renderer = renderer
        self._json_lines = json_lines
        self._record = record
        self.stream: Any = None  # of a logger that prints
        self.takes_ids = False  # whether the renderer writes whatever is in the event dict as JSON
        self.timestamps = False  # whether a `timestamp` is that of the line

    def __call__(self, logger: Any, method_name: str, event_dict: Any) -> Any:
        known = event_dict if isinstance(event_dict, dict) else {}
        try:
            if self._json_lines is not None and known and is_plain(self._renderer):
                return encodable(self.line_of_dict(method_name, known, logger), self.stream)
            event_ids = self.ids_of(known)
        except Exception:  # noqa: BLE001 (the line is worth more than its ids)
            return self._renderer(logger, method_name, event_dict)
        text: Any = None
        if self.takes_ids and known:
            try:
                shown_ids = field_names.current.ids(event_ids)
                text = self._renderer(logger, method_name, {**known, **shown_ids})
            except Exception:  # noqa: BLE001 (a serializer that takes the fields it knows, no others)
                shown_ids, text = {}, None
            if _is_one_line_with(shown_ids, text):
                return text
        if text is None:
            text = self._renderer(logger, method_name, event_dict)
        return self._finish(text, method_name, event_ids)

    def _finish(self, made: Any, method_name: str, ids: dict[str, str]) -> Any:
        """What the renderer made, with the ids if it is JSON; as JSON if it is text and text is not wanted."""
        if self._record is not None or not (ids or self._json_lines):
            return made
        try:
            if isinstance(made, str):
                return self._finish_text(made, method_name, ids)
            if isinstance(made, (bytes, bytearray)):
                return type(made)(self._finish_text(made.decode(), method_name, ids).encode())
        except Exception:  # noqa: BLE001, S110 (see above)
            pass
        return made  # what the standard library is to be called with, for instance

    def _finish_text(self, text: str, method_name: str, ids: dict[str, str]) -> str:
        line = object_with_ids(text, ids, one_line=self._json_lines is not None)
        if line is not None:
            return line
        return text if self._json_lines is None else encodable(self.line_of_text(text, method_name, ids), self.stream)

    def line_of_text(self, text: str, method_name: str, ids: dict[str, str] | None = None) -> str:
        """All of a text that a renderer of the application's own has made, for it may be there to hide something."""
        assert self._json_lines is not None  # noqa: S101 (for mypy: nobody asks for JSON without)
        event, _ = read({"event": without_colours(text)}, method_name, None, self._record)
        return line_of_event(self._json_lines, event, {}, self.ids_of({}) if ids is None else ids)

    def line_of_dict(self, method_name: str, event_dict: dict[str, Any], logger: Any = None) -> str:
        """The line for an event dict as it reached the renderer."""
        assert self._json_lines is not None  # noqa: S101 (see above)
        event, fields = read(event_dict, method_name, logger, self._record, self._renderer, stamped=self.timestamps)
        return line_of_event(self._json_lines, event, fields, self.ids_of(event_dict, event))

    def ids_of(self, own: dict[str, Any], event: Event | None = None) -> dict[str, str]:
        """The ids that belong to these fields: those of the record, or else of this moment."""
        if self._record is None:
            exc_info = event.exc_info if event else own.get("exc_info")
            error = exc_info[1] if isinstance(exc_info, tuple) and len(exc_info) == 3 else exc_info
            return missing_ids(own, error if isinstance(error, BaseException) else None)
        ids = {name: value for name in Ids._fields if (value := self._record.__dict__.get(name)) is not None}
        return lacking(own, ids) if "trace_id" in ids else {}


def _is_one_line_with(ids: dict[str, str], text: Any) -> bool:
    if isinstance(text, str):
        return "\n" not in text and all(str(value) in text for value in ids.values())
    if isinstance(text, bytes):
        return b"\n" not in text and all(str(value).encode() in text for value in ids.values())
    return False
