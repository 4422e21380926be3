"""rich's handler writes the JSON line in mode `json`, and keeps its own look in mode `inject`."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace
from rich.console import Console
from rich.highlighter import NullHighlighter, RegexHighlighter
from rich.logging import RichHandler
from rich.text import Text

from tracebaton_configurator.logs import standard

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Log

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
SPAN = trace.NonRecordingSpan(
    trace.SpanContext(int(TRACE_ID, 16), 0xB7AD6B7169203331, is_remote=False, trace_flags=trace.TraceFlags(1))
)
SECRET = "hunter2"  # noqa: S105


def hidden(text: str) -> str:
    return text.replace(SECRET, "***")


def say(log: Log, handler: logging.Handler, text: str | None = "%(message)s") -> str:
    if handler.formatter is None and text:
        handler.setFormatter(logging.Formatter(text))
    log.logger.handlers = [handler]
    with trace.use_span(SPAN):
        try:
            raise ValueError("no")
        except ValueError:
            log.logger.exception("the password is %s %s", SECRET, "and more " * 30, extra={"room": 7})
    return log.stream.getvalue()


def rich(log: Log, kind: Any = RichHandler, **options: Any) -> Any:
    return kind(console=Console(file=log.stream, width=80), show_time=False, **options)


@pytest.mark.parametrize("text", [None, "%(message)s", "%(name)s %(message)s"])
@pytest.mark.parametrize("options", [{}, {"rich_tracebacks": True}, {"highlighter": NullHighlighter()}])
def test_json(log: Log, install: Callable[[str], None], text: str | None, options: dict[str, Any]) -> None:
    install("json")
    say(log, rich(log, **options), text)
    (line,) = log.objects
    assert line["message"].startswith("the password is hunter2")
    assert (line["trace_id"], line["level"], line["room"]) == (TRACE_ID, "ERROR", 7)
    assert line["exc_info"].endswith("ValueError: no")


def test_inject_keeps_its_look(log: Log, install: Callable[[str], None]) -> None:
    plain = say(log, rich(log))
    log.stream.seek(0)
    log.stream.truncate()
    install("inject")
    assert say(log, rich(log)) == plain


def test_what_is_no_log_stays(log: Log, install: Callable[[str], None], monkeypatch: pytest.MonkeyPatch) -> None:
    plain = say(log, rich(log))
    log.stream.seek(0)
    log.stream.truncate()
    install("json")
    monkeypatch.setattr(standard, "is_standard", lambda _: False)
    assert say(log, rich(log)) == plain


class Redacting(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return hidden(super().format(record))


class Rendering(RichHandler):
    def render_message(self, record: logging.LogRecord, message: str) -> Any:
        return Text(hidden(message))


class Formatting(RichHandler):
    def format(self, record: logging.LogRecord) -> str:
        return hidden(super().format(record))


class Emitting(RichHandler):
    def emit(self, record: logging.LogRecord) -> None:
        record.msg, record.args = hidden(record.getMessage()), None
        super().emit(record)


class Highlighting(RegexHighlighter):
    def highlight(self, text: Text) -> None:
        text.plain = hidden(text.plain)


class Printing(Console):
    def print(self, *objects: Any, **options: Any) -> None:
        with self.capture() as capture:
            super().print(*objects, **options)
        self.file.write(hidden(capture.get()))


def printing_otherwise(log: Log) -> RichHandler:
    return RichHandler(console=Printing(file=log.stream, width=80))


def printing_replaced(log: Log) -> RichHandler:
    handler = rich(log)
    original = handler.console.print

    def printed(*objects: Any) -> None:
        with handler.console.capture() as capture:
            original(*objects)
        log.stream.write(hidden(capture.get()))

    handler.console.print = printed
    return handler  # type: ignore[no-any-return]


def formatted(log: Log) -> RichHandler:
    handler = rich(log)
    handler.setFormatter(Redacting("%(message)s"))
    return handler  # type: ignore[no-any-return]


HIDING: dict[str, Callable[[Log], logging.Handler]] = {
    "formatter": formatted,
    "render_message": lambda log: rich(log, Rendering),
    "format": lambda log: rich(log, Formatting),
    "emit": lambda log: rich(log, Emitting),
    "highlighter": lambda log: rich(log, highlighter=Highlighting()),
    "console": printing_otherwise,
    "print": printing_replaced,
}


@pytest.mark.parametrize("mode", ["json", "inject"])
@pytest.mark.parametrize("name", HIDING)
def test_what_is_hidden_stays_hidden(log: Log, install: Callable[[str], None], name: str, mode: str) -> None:
    install(mode)
    text = say(log, HIDING[name](log))
    assert "***" in text
    assert SECRET not in text.replace("the password is %s", "")


def test_a_handler_format_replaced_later(log: Log, install: Callable[[str], None], monkeypatch: Any) -> None:
    install("json")
    original = logging.Handler.format
    monkeypatch.setattr(logging.Handler, "format", lambda self, record: hidden(original(self, record)))
    text = say(log, rich(log))
    assert SECRET not in text
    assert "***" in text
