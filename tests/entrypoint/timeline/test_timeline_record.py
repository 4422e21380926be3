"""tracebaton.timeline.record, with lines that loggers wrote."""

from __future__ import annotations

import io
import json
import logging
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracebaton.timeline.merge import Match
from tracebaton.timeline.record import Record, decode, read_line
from tracebaton_configurator.logs.formatter import JsonLines

_TRACE, _SPAN = "391a6620fcc50438d304c4fe040d323c", "1dc6ab5cab65132e"


def read(line: str) -> Record:
    record = read_line(line.encode())
    assert isinstance(record.original, dict), line
    return record


def read_ids(line: str) -> list[object]:
    return read(line).trace_ids


class TestLoggers:
    def test_tracebaton(self) -> None:
        """Our own form, ids and exception included."""
        record = logging.LogRecord("agent", logging.ERROR, "f.py", 1, "no %s", ("answer",), _exc_info())
        record.trace_id, record.span_id, record.trace_flags = _TRACE, _SPAN, "01"
        line = JsonLines("agent-a").format(record)
        got = read(line)
        assert read_ids(line) == [_TRACE]
        assert (got.service, got.level, got.logger, got.message, got.span_id) == (
            "agent-a",
            "ERROR",
            "agent",
            "no answer",
            _SPAN,
        )
        assert got.exception.endswith("ValueError: no")
        assert got.time_ns is not None
        assert abs(got.time_ns - record.created * 1e9) < 2000

    def test_loguru(self) -> None:
        """`serialize=True`, with the ids at the top or among the extras."""
        loguru = pytest.importorskip("loguru")
        out = io.StringIO()
        logger = loguru.logger
        handler = logger.add(out, serialize=True, filter=lambda record: record["extra"].get("trace_id") == _TRACE)
        try:
            raise ValueError("no")
        except ValueError:
            logger.bind(trace_id=_TRACE, span_id=_SPAN, service="agent-a").exception("failed")
        finally:
            logger.remove(handler)
        got = read(out.getvalue())
        assert read_ids(out.getvalue()) == [_TRACE]
        assert (got.service, got.level, got.message, got.span_id) == ("agent-a", "ERROR", "failed", _SPAN)
        assert got.exception.startswith("Traceback")
        assert got.exception.endswith("ValueError: no")
        assert got.time_ns is not None
        assert read_ids(json.dumps({**json.loads(out.getvalue()), "trace_id": "top"}))[0] == "top"

    def test_structlog(self) -> None:
        structlog = pytest.importorskip("structlog")
        out = io.StringIO()
        processors = [
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ]
        logger = structlog.wrap_logger(structlog.PrintLogger(out), processors=processors)
        logger.error("failed", trace_id=_TRACE, span_id=_SPAN, exc_info=_exc_info())
        got = read(out.getvalue())
        assert (got.level, got.message, got.span_id) == ("ERROR", "failed", _SPAN)
        assert got.exception.endswith("ValueError: no")
        assert got.time_ns is not None

    @pytest.mark.parametrize(
        ("fields", "expected"),
        [
            (
                {
                    "@timestamp": "2026-11-22T20:17:09Z",
                    "log.level": "error",
                    "message": "m",
                    "service": {"name": "s"},
                    "trace": {"id": _TRACE},
                    "span": {"id": _SPAN},
                    "error": {"stack_trace": "e"},
                },
                ("s", "ERROR", "", "m", "e", _SPAN),
            ),
            (
                {
                    "time": 1795378629013,
                    "severity": "WARNING",
                    "msg": "m",
                    "name": "n",
                    "service_name": "s",
                    "traceId": _TRACE,
                    "spanId": _SPAN,
                },
                ("s", "WARNING", "n", "m", "", _SPAN),
            ),
            (
                {
                    "asctime": "2026-11-22 20:17:09,013",
                    "levelname": "INFO",
                    "message": "m",
                    "otelTraceID": _TRACE,
                    "otelSpanID": _SPAN,
                    "otelServiceName": "s",
                },
                ("s", "INFO", "", "m", "", _SPAN),
            ),
            (
                {
                    "ts": 1795378629.5,
                    "level": 40,
                    "event": {"a": 1},
                    "trace_id": _TRACE,
                    "span_id": "0" * 16,
                    "context": {"service": "s"},
                },
                ("s", "ERROR", "", '{"a": 1}', "", ""),
            ),
            (
                {"t": 1795378629013000000, "trace_id": _TRACE, "turn": 3, "who": "x"},
                ("", "", "", "turn=3 who=x", "", ""),
            ),
        ],
    )
    def test_other_shapes(self, fields: dict[str, Any], expected: tuple[str, ...]) -> None:
        """ECS; pino-like; OpenTelemetry's names; anything else."""
        got = read(json.dumps(fields))
        assert read_ids(json.dumps(fields)) == [_TRACE]
        assert (got.service, got.level, got.logger, got.message, got.exception, got.span_id) == expected
        assert got.time_ns is not None
        assert got.time_ns // 1_000_000_000 == 1795378629

    def test_parent(self) -> None:
        assert read('{"trace_id": "x", "parent_span_id": "00F0"}').parent_id == "00f0"

    def test_after_something(self) -> None:
        """A JSON object that ends a line counts, whatever stands before it."""
        assert read('INFO:app:{"message": "m"}').message == "m"

    def test_text(self) -> None:
        got = read_line(b"2026-11-22 20:17:09,013 [WARNING] agent: an ERROR")
        assert (got.level, got.time_ns, got.message[-8:]) == ("WARNING", 1795378629013000000, "an ERROR")


_NAMES = st.sampled_from(
    [
        "trace_id",
        "time",
        "level",
        "message",
        "record",
        "extra",
        "service",
        "name",
        "exception",
        "text",
        "span_id",
        "log",
    ]
)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=5),
    max_leaves=12,
)


class TestAnything:
    @given(st.binary(max_size=300) | st.binary(max_size=100).map(lambda data: b'{"a":"' + data + b'"}'))
    def test_bytes(self, line: bytes) -> None:
        """Whatever the bytes are, reading them does not raise."""
        _match(line).record()

    @given(st.dictionaries(_NAMES, _JSON, max_size=8))
    def test_values(self, fields: dict[str, Any]) -> None:
        """Whatever stands under the usual names, each field of the record has its type."""
        record = _match(json.dumps(fields).encode()).record()
        texts = (
            record.service,
            record.level,
            record.logger,
            record.message,
            record.exception,
            record.span_id,
            record.parent_id,
        )
        assert all(isinstance(text, str) for text in texts)
        assert isinstance(record.time_ns, (int, type(None)))


def _match(line: bytes) -> Match:
    assert decode(line).encode("utf-8", "surrogateescape") == line
    return Match("", None, 0, "", 1, "", "", "", line)


def _exc_info() -> Any:
    try:
        raise ValueError("no")
    except ValueError:
        return sys.exc_info()
