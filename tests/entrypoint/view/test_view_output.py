"""tracebaton.view.output"""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

import pytest

from tracebaton.view.json_output import JsonSpans, to_json
from tracebaton.view.output import TreeOutput
from tracebaton.view.spans import Link, SpanEvent
from tracebaton.view.store import TraceStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from tracebaton.view.spans import Span

    MakeSpan = Callable[..., Span]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def tree_of(span: Span, stream: io.TextIOBase) -> None:
    output = TreeOutput(TraceStore(), stream)  # type: ignore[arg-type]
    output.add([span])
    output.finish([])


@pytest.fixture(autouse=True)
def _terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "40")


class TestTree:
    def test_pipe(self, make_span: MakeSpan) -> None:
        """Into a pipe go plain lines that are never broken or cut."""
        stream = io.StringIO()
        tree_of(make_span(name="n" * 5000, status="ERROR", status_message="m m " * 1000 + "end"), stream)
        lines = stream.getvalue().splitlines()
        assert "\x1b" not in stream.getvalue()
        assert len(lines) == 3
        assert "n" * 5000 in lines[1]
        assert lines[1].endswith("end")
        assert lines[2] == ""

    def test_terminal(self, make_span: MakeSpan) -> None:
        """A terminal gets colour, and long lines whole."""
        stream = Terminal()
        tree_of(make_span(name="word " * 100, status="ERROR", status_message="boom"), stream)
        assert "\x1b[31m  boom\x1b[0m" in stream.getvalue()
        assert len(stream.getvalue().splitlines()) == 3

    def test_narrow_encoding(self, make_span: MakeSpan) -> None:
        """A stdout that is not UTF-8 is no reason to fail."""
        stream = io.TextIOWrapper(io.BytesIO(), encoding="latin-1", errors="strict")
        tree_of(make_span(name="é ✓"), stream)
        assert "`-- agent-a  é \\u2713  " in stream.buffer.getvalue().decode("latin-1")  # type: ignore[attr-defined]


class TestJson:
    def test_keys(self, make_span: MakeSpan) -> None:
        """One object a span with these keys, which scripts rely on."""
        span = make_span(
            2,
            1,
            events=(SpanEvent("e", 5, {"a": [1]}),),
            links=(Link("t", "s", "x=y", {}),),
            trace_state="ot=th:8",
            flags=1,
        )
        line = to_json(span)
        assert "\n" not in line
        assert json.loads(line) == {
            "trace_id": f"{1:032x}",
            "span_id": f"{2:016x}",
            "parent_span_id": f"{1:016x}",
            "name": "span 2",
            "kind": "INTERNAL",
            "service": "agent-a",
            "start_ns": 2_000_000,
            "end_ns": 3_000_000,
            "duration_ms": 1.0,
            "status": "UNSET",
            "status_message": "",
            "attributes": {},
            "resource": {},
            "scope": {"name": "demo", "version": "1"},
            "events": [{"name": "e", "time_ns": 5, "attributes": {"a": [1]}}],
            "links": [{"trace_id": "t", "span_id": "s", "trace_state": "x=y", "attributes": {}}],
            "trace_state": "ot=th:8",
            "flags": 1,
        }

    def test_at_once(self, make_span: MakeSpan) -> None:
        """Spans are written and flushed as they arrive."""
        raw = io.BytesIO()
        output = JsonSpans(io.TextIOWrapper(raw, encoding="utf-8", write_through=False))
        output.add([make_span(1), make_span(2, name="a\nb\u2028")])
        names = [json.loads(line)["name"] for line in raw.getvalue().decode().splitlines()]
        assert names == ["span 1", "a\nb\u2028"]
