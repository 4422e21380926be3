"""Handlers that go on to work on what `self.format` gives them keep the shape of what they write."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Log

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
SPAN = trace.NonRecordingSpan(
    trace.SpanContext(int(TRACE_ID, 16), 0xB7AD6B7169203331, is_remote=False, trace_flags=trace.TraceFlags(1))
)
TEXTS = [None, "%(message)s", "%(levelname)s %(message)s", '{"m": "%(message)s"}']


class StructuredLogHandler(logging.StreamHandler):  # type: ignore[type-arg]
    """As google-cloud-logging 3 does (google/cloud/logging_v2/handlers/structured_log.py, handlers.py)."""

    def format(self, record: logging.LogRecord) -> str:
        payload: dict[str, Any] = {}
        message = super().format(record)
        try:
            made = json.loads(message)
            if isinstance(made, dict):
                payload.update(made)
            else:
                payload["message"] = message
        except ValueError:
            payload["message"] = message
        payload["severity"] = record.levelname
        return json.dumps(payload)

    def emit(self, record: logging.LogRecord) -> None:
        super().emit(record)


class ColouredFormat(logging.StreamHandler):  # type: ignore[type-arg]
    def format(self, record: logging.LogRecord) -> str:
        return f"\x1b[31m{super().format(record)}\x1b[0m"


class ColouredEmit(logging.StreamHandler):  # type: ignore[type-arg]
    def emit(self, record: logging.LogRecord) -> None:
        self.stream.write(f"\x1b[31m{self.format(record)}\x1b[0m{self.terminator}")
        self.flush()


class Prefixed(logging.StreamHandler):  # type: ignore[type-arg]
    def emit(self, record: logging.LogRecord) -> None:
        text = self.format(record)
        self.stream.write("".join(f"| {line}\n" for line in text.splitlines()))


class ColouredWrapper(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return f"\x1b[31m{super().format(record)}\x1b[0m"


def printed(log: Log, handler: logging.Handler, text: str | None) -> str:
    log.stream.seek(0)
    log.stream.truncate()
    if not handler.formatter:
        handler.setFormatter(logging.Formatter(text) if text else None)
    log.logger.handlers = [handler]
    with trace.use_span(SPAN):
        log.logger.info("hello", extra={"room": 7})
    return log.stream.getvalue()


def without_ids(text: str) -> Any:
    fields = json.loads(text)
    return {name: value for name, value in fields.items() if name not in ("trace_id", "span_id", "trace_flags")}


@pytest.mark.parametrize("mode", ["json", "inject"])
@pytest.mark.parametrize("text", TEXTS)
def test_googles(log: Log, install: Callable[[str], None], text: str | None, mode: str) -> None:
    plain = printed(log, StructuredLogHandler(log.stream), text)
    install(mode)
    traced = printed(log, StructuredLogHandler(log.stream), text)
    assert without_ids(traced) == json.loads(plain)


@pytest.mark.parametrize("mode", ["json", "inject"])
@pytest.mark.parametrize("text", TEXTS[:3])
@pytest.mark.parametrize("kind", [ColouredEmit, Prefixed])
def test_those_that_write(log: Log, install: Callable[[str], None], kind: Any, text: str | None, mode: str) -> None:
    plain = printed(log, kind(log.stream), text)
    install(mode)
    assert printed(log, kind(log.stream), text) == plain


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("kind", [ColouredFormat, ColouredWrapper])
def test_coloured_text_is_a_line_without_colours(
    log: Log, install: Callable[[str], None], kind: Any, text: str | None
) -> None:
    install("json")
    handler = kind(log.stream) if kind is ColouredFormat else logging.StreamHandler(log.stream)
    if kind is ColouredWrapper:
        handler.setFormatter(kind(text))
    fields = json.loads(printed(log, handler, text))
    assert fields["trace_id"] == TRACE_ID
    assert fields.get("m") == "hello" or fields["message"].endswith("hello")
    assert ("m" in fields) == (text == TEXTS[3])
    assert "\\u001b" not in json.dumps(fields)


@pytest.mark.parametrize("kind", [ColouredFormat, ColouredWrapper])
def test_coloured_text_keeps_its_look_otherwise(log: Log, install: Callable[[str], None], kind: Any) -> None:
    install("inject")
    handler = kind(log.stream) if kind is ColouredFormat else logging.StreamHandler(log.stream)
    if kind is ColouredWrapper:
        handler.setFormatter(kind("%(message)s"))
    assert printed(log, handler, "%(message)s") == "\x1b[31mhello\x1b[0m\n"
