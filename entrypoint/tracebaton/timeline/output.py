"""The two ways `tracebaton timeline` prints: rows for people, or a JSON object for each line."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Protocol, TextIO

from tracebaton.timeline.match import decode
from tracebaton.timeline.timestamps import to_text
from tracebaton_configurator.logs.printable import escaped_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from tracebaton.timeline.match import Match
    from tracebaton.timeline.record import Record

__all__ = ["JsonOutput", "Output", "TextOutput"]

_LONGEST_MESSAGE = 8000
_MOST_LINES_BELOW = 300
_WIDEST_SERVICE = 24
_DEEPEST = 10  # a hop below is not indented further
_NO_TIME = "(no time)"
_MARGIN = " " * 6  # of lines below a row; below the message itself there is no room for a traceback


class Output(Protocol):
    """Every method may raise OSError, BrokenPipeError among them."""

    def begin(self, trace_id: str, summary: str, first: Match) -> None: ...

    def line(self, match: Match, depth: int) -> None: ...

    def flush(self) -> None: ...


class TextOutput:
    """A row a line: time, offset, service, level, and, indented by hop, the message; below it what has more lines.

    An error has a `!` in front, and is red where there is colour. What a line brings along cannot drive the terminal:
    control characters and the like are escaped.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._encoding = stream.encoding or "utf-8"
        self._paint = _painter(stream)
        self._guide = "│ " if _can_show("│", self._encoding) else "| "
        self._first_ns: int | None = None
        self._date = ""
        self._service_width = 0

    def begin(self, trace_id: str, summary: str, first: Match) -> None:
        date = to_text(first.time_ns)[:10] if first.time_ns is not None else ""
        dated = f"  {date} UTC" if date else ""
        self._date = date
        self._write(f"trace {self._paint(trace_id, 'bold')}{dated}{'  ' + summary if summary else ''}\n\n")

    def widen(self, service: str) -> None:
        """Make the column of services wide enough for this one."""
        self._service_width = max(self._service_width, min(len(escaped_text(service)), _WIDEST_SERVICE))

    def line(self, match: Match, depth: int) -> None:
        record = match.record()
        self.widen(match.service)
        if self._first_ns is None:
            self._first_ns = match.time_ns
        time, offset = self._time(match), ""
        if match.time_ns is not None and self._first_ns is not None:
            offset = _offset(match.time_ns - self._first_ns)
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

    def flush(self) -> None:
        self._stream.flush()

    def _time(self, match: Match) -> str:
        if match.time_ns is None:
            return f"{_NO_TIME:<15}"
        date, _, time = to_text(match.time_ns).rstrip("Z").partition("T")
        if date != self._date:
            self._date = date
            self._write(f"  {self._paint(date + ' UTC', 'dim')}\n")
        return time

    def _write(self, text: str) -> None:
        self._stream.write(text.encode(self._encoding, "backslashreplace").decode(self._encoding))


class JsonOutput:
    """A JSON object a line, in ASCII; `original` is the line's own object, or its text where it is none."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._first_ns: int | None = None

    def begin(self, trace_id: str, summary: str, first: Match) -> None:
        """Prints nothing: the summary would be no line."""

    def line(self, match: Match, depth: int) -> None:
        record = match.record()
        if self._first_ns is None:
            self._first_ns = match.time_ns
        offset = None
        if match.time_ns is not None and self._first_ns is not None:
            offset = round((match.time_ns - self._first_ns) / 1e6, 6)
        fields = {
            "time": to_text(match.time_ns) if match.time_ns is not None else None,
            "offset_ms": offset,
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

    def flush(self) -> None:
        self._stream.flush()


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


def _painter(stream: TextIO) -> Callable[[str, str], str]:
    """Return what puts a style around text: nothing, unless rich finds that the stream takes colour."""
    forced = any(os.environ.get(name) for name in ("FORCE_COLOR", "TTY_COMPATIBLE"))
    if not (forced or stream.isatty()):
        return lambda text, _style: text  # rich takes longer to import than a short file to read
    from rich.console import COLOR_SYSTEMS, Console
    from rich.style import Style

    console = Console(file=stream)
    system = COLOR_SYSTEMS.get(console.color_system or "")
    styles = {name: Style.parse(name) for name in ("bold", "bold red", "red", "yellow", "dim", "cyan")}
    if console.no_color:
        styles = {name: style.without_color for name, style in styles.items()}

    def paint(text: str, style: str) -> str:
        return styles[style].render(text, color_system=system) if style and text else text

    return paint


def _can_show(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True
