"""Log correlation for loguru: what a handler writes passes `Handler.emit`, in the thread and at the moment of logging.

The original `emit` runs, on a stand-in for the handler that differs in how the record becomes text. So whatever it does
besides, filters, queues and locks, stays as upstream has it. Text for streams and files is what mode `json` turns into
JSON lines; a sink that is a function, a coroutine or a handler of the standard library gets the text it got before,
and the ids in the record that comes with it.

What `logger.opt(raw=True)` writes goes out as it is: it is not a line, but part of one or many.

Checked with loguru 0.6.0, 0.7.0 and 0.7.3 (loguru/_handler.py, loguru/_simple_sinks.py).
"""

from __future__ import annotations

import json
import logging
import re
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

from tracebaton_configurator.logs import field_names, format_fields, loguru_functions, standard
from tracebaton_configurator.logs.captured import is_captured
from tracebaton_configurator.logs.events import (
    Event,
    lacking,
    line_of_event,
    missing_ids,
    object_with_ids,
    without_colours,
)
from tracebaton_configurator.logs.logged_errors import note_logged
from tracebaton_configurator.logs.loguru_sinks import ids_on, writing_to_function, writing_to_logging
from tracebaton_configurator.logs.shown import shown_fields
from tracebaton_configurator.logs.values import encodable
from tracebaton_configurator.logs.writing import passes_on

if TYPE_CHECKING:
    from collections.abc import Callable

    from tracebaton_configurator.logs.formatter import JsonLines

# Stands between an application's text and the traceback in it; loguru's formatter carries it through.
_BREAK = "\x1e"
# A format that begins like this may make a JSON object, by hand or out of a field: its text has to be looked at.
_OPENINGS = ("{{", "{extra", "{message")
# The message as it is: padded, but not cut, converted or looked into.
_WHOLE_MESSAGE = re.compile(r"(?<!\{)\{message(?::[<>^]?\d*s?)?\}")


def install(json_lines: JsonLines | None) -> Callable[[], None]:
    """Patch loguru, which is imported. Returns what undoes it. Raises where names that this needs are missing."""
    handler, sinks = import_module("loguru._handler").Handler, import_module("loguru._simple_sinks")
    in_lines = (sinks.StreamSink, import_module("loguru._file_sink").FileSink)
    emit, serialize = handler.emit, handler._serialize_record  # noqa: SLF001 (these are what gets patched)

    def emit_with_ids(
        self: Any, record: dict[str, Any], level_id: Any, from_decorator: Any, is_raw: Any, colored_message: Any
    ) -> None:
        stand_in = self
        if record["level"].no >= logging.ERROR and record["exception"]:
            note_logged(record["exception"], record["name"])
        stream = getattr(self._sink, "_stream", None) or getattr(self._sink, "_file", None)
        if is_captured(stream):
            emit(self, record, level_id, from_decorator, is_raw, colored_message)
            return
        with suppress(Exception):
            ids = _put_ids(record)
            if self._is_formatter_dynamic and isinstance(self._sink, sinks.StandardSink):
                loguru_functions.sinks.add(self._sink)
            if self._serialize:
                stand_in = _StandIn(self, lambda text, of: _appended(serialize(text, of), ids)) if ids else self
            elif not is_raw and json_lines is not None and isinstance(self._sink, in_lines) and _is_log(stream):
                stand_in = _writing_json(self, json_lines, ids, stream)
            elif not is_raw and ids and (self._is_formatter_dynamic or _may_be_json(_text_format(self))):
                stand_in = _StandIn(self, lambda text, _: _spliced(text, ids))
        emit(stand_in, record, level_id, from_decorator, is_raw, colored_message)

    function, coroutine, standard = sinks.CallableSink, sinks.AsyncSink, sinks.StandardSink
    patches: list[tuple[Any, str, Any, Any]] = [
        (handler, "emit", emit, emit_with_ids),
        (function, "write", function.write, writing_to_function(function.write)),
        (coroutine, "write", coroutine.write, writing_to_function(coroutine.write)),
        (standard, "write", standard.write, writing_to_logging(standard.write, json_lines)),
    ]
    for owner, name, _, patched in patches:
        setattr(owner, name, patched)
    _hide_from_stack_walks()

    def undo() -> None:
        for owner, name, original, patched in patches:
            if getattr(owner, name) is patched:
                setattr(owner, name, original)

    return undo


def _is_log(stream: Any) -> bool:
    return standard.is_standard(stream) and passes_on(stream)


def _put_ids(record: dict[str, Any]) -> dict[str, str]:
    """Put the ids on the record, beside `extra`, which formats may show; return those that are there.

    All handlers get the same record: the first one does it.
    """
    if "trace_id" not in record:
        exception = record["exception"]
        ids = missing_ids({}, exception.value if exception else None)
        if ids and lacking(record["extra"], ids):
            record.update(ids)
    return ids_on(record)


class _StandIn:
    """A handler whose text goes through `serialize_record`; everything else is asked of the handler, live."""

    def __init__(self, handler: Any, serialize_record: Callable[[str, dict[str, Any]], str]) -> None:
        self._handler = handler
        self._serialize = True
        self._serialize_record = serialize_record

    def __getattr__(self, name: str) -> Any:
        return getattr(self._handler, name)


def _spliced(text: str, ids: dict[str, str]) -> str:
    """The text with the ids if it is a JSON object, or one that a traceback follows."""
    with suppress(Exception):  # the line is worth more than its ids
        line = object_with_ids(text, ids)
        if line is None and text.startswith("{"):
            head, end, rest = text.partition("\n")
            line = f"{object_with_ids(head, ids) or head}{end}{rest}"
        return line or text
    return text


def _appended(text: str, ids: dict[str, str]) -> str:
    """The object that loguru has made with `serialize=True`, of which the keys are known, with the ids."""
    body = text.rstrip()
    return (
        f"{body[:-1]}, {json.dumps(field_names.current.ids(ids))[1:]}{text[len(body) :]}"
        if body.endswith("}")
        else text
    )


def _writing_json(handler: Any, json_lines: JsonLines, ids: dict[str, str], stream: Any) -> Any:
    """A stand-in that renders the application's format only where it may be JSON, or is made by a function."""

    def from_record(exception: str, record: dict[str, Any]) -> str:
        line = _line(json_lines, record, ids, record["message"], exception)
        return encodable(_with_more(line, format_fields.of_loguru(written, record, json_lines)), stream)

    def from_text(text: str, record: dict[str, Any]) -> str:
        body, _, exception = without_colours(text).rpartition(_BREAK)
        exception = exception.strip()
        if handler._is_formatter_dynamic and exception not in body:  # noqa: SLF001
            exception = ""  # the function leaves it out, or has made something else of it
        whole = (body.replace(exception, "") if exception else body).rstrip()
        line = _as_json(whole, ids, exception)
        if line is not None:
            return line
        message, extra = record["message"], record["extra"]
        is_shown = message in whole and (exception or not record["exception"])
        if is_shown and not extra_was_read:
            return from_record(exception, record)
        # What made the text may be there to hide something: nothing is shown that is not in it.
        kept = shown_fields(whole.replace(message, "", 1), extra)
        if not is_shown or len(kept) < len(extra):
            message = whole
        line = _line(json_lines, {**record, "extra": kept}, ids, message, exception)
        return encodable(_with_more(line, format_fields.of_loguru(written, record, json_lines, whole)), stream)

    extra_was_read = False
    written = ""

    def make_format(record: dict[str, Any]) -> str:
        nonlocal extra_was_read, written
        made, extra_was_read = loguru_functions.call(handler._formatter, record)  # noqa: SLF001
        written = made.removesuffix("{exception}")
        return f"{made}{_BREAK}{{exception}}"

    if handler._is_formatter_dynamic:  # noqa: SLF001
        stand_in = _StandIn(handler, from_text)
        stand_in._formatter = make_format  # type: ignore[attr-defined]  # noqa: SLF001
        return stand_in
    text_format = _text_format(handler)
    written = text_format.removesuffix("{exception}")
    is_looked_at = _may_be_json(text_format) or _WHOLE_MESSAGE.search(text_format) is None
    stand_in = _StandIn(handler, from_text if is_looked_at else from_record)
    stand_in._colorize = False  # type: ignore[attr-defined]  # noqa: SLF001
    shown = f"{text_format.removesuffix('{exception}')}{_BREAK}" if is_looked_at else ""
    stand_in._decolorized_format = shown + "{exception}"  # type: ignore[attr-defined]  # noqa: SLF001
    return stand_in


def _text_format(handler: Any) -> str:
    """A format that is no function, without its colours."""
    text_format: str = handler._decolorized_format or handler._formatter.strip()  # noqa: SLF001
    return text_format


def _may_be_json(text_format: str) -> bool:
    return text_format.lstrip().startswith(_OPENINGS)


def _with_more(line: str, more: str) -> str:
    return f"{line[:-2]}{more}}}\n" if more else line


def _as_json(text: str, ids: dict[str, str], exception: str) -> str | None:
    """The application's own JSON object on one line, with the ids and what else belongs to it; None if it is text."""
    with suppress(Exception):
        line = object_with_ids(text, ids, one_line=True)
        if line is not None:
            if exception:
                line = f'{line[:-1]}{", " if len(line) > len("{}") else ""}"exc_info": {json.dumps(exception)}}}'
            return line + "\n"
    return None


def _line(json_lines: JsonLines, record: dict[str, Any], ids: dict[str, str], message: str, exception: str) -> str:
    event = Event(
        message,
        record["level"].name,
        record["name"] or "loguru",
        record["time"].timestamp(),
        exc_text=without_colours(exception).strip() or None,
    )
    extra = record["extra"]
    return line_of_event(json_lines, event, json_lines.extras.shown_fields(extra), lacking(extra, ids)) + "\n"


def _hide_from_stack_walks() -> None:
    """Let the hook's frame in `logging` look like one of that module.

    The handler by which loguru's README takes over the standard library's records skips the frames of `logging` to
    find the line that logged. It would stop at ours, and name that.
    """
    handle = logging.Logger.handle
    if handle.__module__.startswith("tracebaton_configurator."):
        handle.__code__ = handle.__code__.replace(co_filename=logging.__file__)
