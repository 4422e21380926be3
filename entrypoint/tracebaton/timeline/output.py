"""The two ways `tracebaton timeline` prints: rows for people, or a JSON object for each line."""

from __future__ import annotations

import json
import os
from io import TextIOWrapper
from typing import TYPE_CHECKING, TextIO

from tracebaton.timeline.record import decode
from tracebaton.timeline.timestamps import to_text
from tracebaton_configurator.logs.printable import escaped_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tracebaton.timeline.merge import Match
    from tracebaton.timeline.record import Record

__all__ = ["JsonTimeline", "TextOutput"]

_LONGEST_MESSAGE = 8000
_MOST_LINES_BELOW = 300
_WIDEST_SERVICE = 24
_DEEPEST = 10  # a hop below is not indented further
_NO_TIME = "(no time)"
_STYLES = {"bold": "1", "bold red": "1;31", "red": "31", "yellow": "33", "dim": "2", "cyan": "36"}
_MARGIN = " " * 6  # of lines below a row; below the message itself there is no room for a traceback


class TextOutput:
    """A row a line: time, offset, service, level, and, indented by hop, the message; below it what has more lines.

    An error has a `!` in front, and is red where there is colour. What a line brings along cannot drive the terminal:
    control characters and the like are escaped.
    """

    def __init__(self, stream: TextIO) -> None:
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
        self._write = stream.write
        self._has_colour = _takes_colour(stream)
        self._guide = "│ " if stream.encoding.lower().startswith("utf") else "| "
        self._date = ""
        self._service_width = 0

    def begin(self, summary: str, matches: Sequence[Match]) -> None:
        first = matches[0]
        if first.time_ns is not None:
            self._date = to_text(first.time_ns)[:10]
        for match in matches:
            self._widen(match.service)
        parts = (self._paint(first.trace_id, "bold"), self._date and f"{self._date} UTC", summary)
        self._write(f"trace {'  '.join(filter(None, parts))}\n\n")

    def line(self, match: Match, depth: int, offset_ns: int | None) -> None:
        record = match.record()
        self._widen(match.service)
        time = self._time(match)
        offset = "" if offset_ns is None else _offset(offset_ns)
        service = f"{escaped_text(match.service):<{self._service_width}}"
        level = f"{escaped_text(record.level[:12]):<8}"
        indent = "  " * min(depth, _DEEPEST)
        style = _style(record)
        first, *rest = _lines(record) or [""]
        mark = "! " if record.is_error else "  "
        margin = _MARGIN + indent
        self._write(
            f"{self._paint(mark + time, style or 'dim')}  {offset:>11}  {self._paint(service, 'cyan')}  "
            f"{self._paint(level, style)} {indent}{self._paint(first, style)}".rstrip()
            + "\n"
        )
        style_below = "red" if record.is_error else style
        for below in rest:
            self._write(f"{margin}{self._paint(self._guide, 'dim')}{self._paint(below, style_below)}\n")

    def _widen(self, service: str) -> None:
        self._service_width = max(self._service_width, min(len(escaped_text(service)), _WIDEST_SERVICE))

    def _paint(self, text: str, style: str) -> str:
        return f"\x1b[{_STYLES[style]}m{text}\x1b[0m" if self._has_colour and style and text else text

    def _time(self, match: Match) -> str:
        if match.time_ns is None:
            return f"{_NO_TIME:<15}"
        date, _, time = to_text(match.time_ns).rstrip("Z").partition("T")
        if date != self._date:
            self._date = date
            self._write(f"  {self._paint(date + ' UTC', 'dim')}\n")
        return time


class JsonTimeline:
    """A JSON object a line, in ASCII; `original` is the line's own object, or its text where it is none."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def begin(self, summary: str, matches: Sequence[Match]) -> None:
        """Prints nothing: the summary would be no line."""

    def line(self, match: Match, depth: int, offset_ns: int | None) -> None:
        record = match.record()
        fields = {
            "time": None if match.time_ns is None else to_text(match.time_ns),
            "offset_ms": None if offset_ns is None else round(offset_ns / 1e6, 6),
            "service": match.service,
            "level": record.level,
            "logger": record.logger,
            "message": record.message,
            "exception": record.exception or None,
            "error": record.is_error,
            "hop": depth,
            "trace_id": match.trace_id,
            "span_id": match.span_id or None,
            "parent_span_id": match.parent_id or None,
            "source": match.source,
            "line_number": match.number,
            "original": record.original,
        }
        try:
            text = json.dumps(fields, allow_nan=False)
        except (ValueError, RecursionError):  # 1e999, which JSON allows, has become infinite
            text = json.dumps({**fields, "original": decode(match.line)})
        self._stream.write(text + "\n")


def _lines(record: Record) -> list[str]:
    """The message and the exception as lines that can be printed, bounded; what is cut says so."""
    message = record.message
    if len(message) > _LONGEST_MESSAGE:
        cut = len(message) - _LONGEST_MESSAGE
        message = f"{message[:_LONGEST_MESSAGE]}... ({cut} more characters; --json has all)"
    below = record.exception.splitlines()
    lines = [*message.replace("\r\n", "\n").split("\n"), *below]
    if len(lines) > _MOST_LINES_BELOW:
        half = _MOST_LINES_BELOW // 2
        note = f"... {len(lines) - 2 * half} lines left out; --json has all ..."
        lines = [*lines[:half], note, *lines[-half:]]
    return [escaped_text(line.rstrip().expandtabs(4)[:_LONGEST_MESSAGE]) for line in lines]


def _style(record: Record) -> str:
    if record.is_error:
        return "bold red"
    if record.level in {"WARNING", "WARN"}:
        return "yellow"
    return "dim" if record.level in {"DEBUG", "TRACE"} else ""


def _offset(ns: int) -> str:
    if abs(ns) < 10_000_000_000:
        return f"{ns / 1e6:+.1f} ms"
    return f"{ns / 1e9:+.3f} s"


def _takes_colour(stream: TextIO) -> bool:
    # rich, which would say so too, takes longer to import than a short file to read.
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return stream.isatty() or bool(os.environ.get("FORCE_COLOR"))
