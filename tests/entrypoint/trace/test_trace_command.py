"""tracebaton.trace, of a file; and the page's application over the same store."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import tempfile
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracebaton.cli import main
from tracebaton.page.app import page_app
from tracebaton.page.live import Live
from tracebaton.store.lines import LogLine
from tracebaton.store.reader import StoreReader
from tracebaton.store.writer import StoreWriter
from tracebaton.trace.report import report, report_lines
from tracebaton.view.access import Access
from tracebaton.view.payload import parse_saved
from tracebaton.view.spans import Span, SpanEvent, decode

if TYPE_CHECKING:
    from pathlib import Path


def a_span(trace: int, span: int, parent: int = 0, **values: Any) -> Span:
    start = (1_700_000_000 + trace) * 10**9
    known: dict[str, Any] = {
        "trace_id": f"{trace:032x}",
        "span_id": f"{span:016x}",
        "name": "GET /chat",
        "kind": "SERVER",
        "parent_span_id": f"{parent:016x}" if parent else "",
        "start_ns": start,
        "end_ns": start + 9_000_000,
        "service": "agent-a",
        "status": "UNSET",
        "status_message": "",
        "attributes": {"http.route": "/chat"},
        "resource": {"service.name": "agent-a"},
        "scope_name": "",
        "scope_version": "",
    }
    return Span(**{**known, **values})


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A good trace, and one in which the inner span failed and then the outer one, with an escape in its name."""
    writer = StoreWriter(str(tmp_path / "db"))
    failed = {"status": "ERROR", "status_message": "no model"}
    inner = a_span(
        2, 2, 1, **failed, service="backend", name="think\x1b[31m", kind="INTERNAL", end_ns=17 * 10**17 + 2 * 10**9 + 5
    )
    writer.add_spans([a_span(1, 1), a_span(2, 1, status="ERROR"), inner])
    writer.add_lines(
        [LogLine(f"{2:032x}", f"{2:016x}", 17 * 10**17 + 2 * 10**9, "backend", "ERROR", "app", "it broke")]
    )
    writer.close()
    return str(tmp_path / "db")


class TestCommand:
    def test_text(self, path: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["trace", "--last-error", "--db", path]) == 0
        out = capsys.readouterr().out
        assert "failed first: backend  INTERNAL  think" in out
        assert "it broke" in out
        assert "failed: agent-a SERVER GET /chat" in out
        assert "\x1b" not in out
        assert out.count("\n") < 60

    def test_json(self, path: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["trace", f"{2:032x}", "--json", "--db", path]) == 0
        found = json.loads(capsys.readouterr().out)
        assert found["failed_first"]["error"] == "no model"
        assert [span["service"] for span in found["path"]] == ["agent-a", "backend"]

    def test_not_there(self, path: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["trace", "abcdef", "--db", path]) == 1
        assert main(["trace", "--last", "--db", f"{path}-none"]) == 2
        assert capsys.readouterr().err.count("tracebaton trace: ") == 2


@pytest.mark.parametrize("behind_ms", [-500, 0, 500])
def test_what_failed_first_is_innermost_whatever_the_clocks_say(tmp_path: Path, behind_ms: int) -> None:
    writer = StoreWriter(str(tmp_path / "db"))
    start = 17 * 10**17 + behind_ms * 10**6
    inner = {"status": "ERROR", "service": "backend", "start_ns": start, "end_ns": start + 10**6}
    writer.add_spans([a_span(0, 1, status="ERROR"), a_span(0, 2, 1, **inner), a_span(0, 3, 2)])
    writer.close()
    reader = StoreReader(str(tmp_path / "db"))
    (summary,) = reader.traces({})["traces"]
    first = report(summary, reader.trace(summary["trace_id"]), None)["failed_first"]
    assert first["service"] == "backend"


SMALL = st.integers(1, 6)
SPANS = st.builds(
    a_span,
    trace=st.just(1),
    span=SMALL,
    parent=st.integers(0, 6),
    name=st.text(max_size=300),
    status=st.sampled_from(["ERROR", "UNSET", "OK"]),
    start_ns=st.integers(0, 2**63 - 1),
    kind=st.sampled_from(["SERVER", "CLIENT", "INTERNAL"]),
    attributes=st.dictionaries(st.sampled_from(["http.url", "error.type", "http.route"]), st.text(), max_size=3),
    events=st.lists(
        st.builds(SpanEvent, st.just("exception"), st.just(1), st.just({"exception.message": "a\nb\x1b"}))
    ).map(tuple),
)
LINES = st.builds(
    LogLine,
    trace_id=st.just(f"{1:032x}"),
    span_id=SMALL.map("{:016x}".format),
    time_ns=st.integers(0, 2**63 - 1),
    service=st.text(max_size=9),
    level=st.sampled_from(["ERROR", "INFO", ""]),
    logger=st.just(""),
    message=st.text(),
    exception=st.sampled_from(["", "line\n" * 100]),
)


@settings(max_examples=60)
@given(st.lists(SPANS, max_size=90), st.lists(SPANS, max_size=20), st.lists(LINES, max_size=30))
def test_any_trace_is_told_in_under_60_lines(spans: list[Span], others: list[Span], lines: list[LogLine]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        writer = StoreWriter(f"{directory}/db")
        good = [dataclasses.replace(span, trace_id=f"{2:032x}", status="UNSET") for span in others]
        writer.add_spans([a_span(1, 7), *spans, a_span(2, 7), *good])
        writer.add_lines(lines)
        writer.close()
        reader = StoreReader(f"{directory}/db")
        trace = reader.trace(f"{1:032x}")
        compared = reader.compare(f"{1:032x}", f"{2:032x}")
        found = report(reader.summary(f"{1:032x}"), trace, compared)
        reader.close()
    for everything in (False, True):
        told = report_lines(found, all_differences=everything)
        assert 3 <= len(told) < 60
        assert all(line.isprintable() for line in told)
    assert (found["failed_first"] is None) == all(span["status"] != "ERROR" for span in trace["spans"])


def test_page(path: str) -> None:
    """Every answer has the policy; other hosts and other sites' pages are refused; a download opens again."""

    async def test() -> None:
        app = page_app(StoreReader(path), Live(str), Access("127.0.0.1"))
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:4319") as client:
            for where in ("/", "/traces", f"/trace/{2:032x}", "/api/services", "/api/rate", f"/api/compare/{2:032x}"):
                answer = await client.get(where)
                assert (answer.status_code, answer.headers["content-security-policy"][:18]) == (
                    200,
                    "default-src 'none'",
                )
            assert (await client.get("/api/traces?status=error")).json()["total"] == 1
            assert (await client.get("/api/traces?status=x")).status_code == 400
            assert (await client.get("/api/trace/abcdef")).status_code == 404
            assert (await client.get("/static/..%2fapp.py")).status_code == 404
            assert (await client.post("/api/traces")).status_code == 405
            for headers in (
                {"Host": "evil.example"},
                {"Origin": "http://evil.example"},
                {"Sec-Fetch-Site": "cross-site"},
            ):
                assert (await client.get("/api/traces", headers=headers)).status_code == 403
            saved = await client.get(f"/trace/{2:032x}.json")
            spans, rejected = decode(parse_saved(saved.content)[0])
            assert ({span.name for span in spans}, rejected) == ({"GET /chat", "think\x1b[31m"}, 0)
            assert "attachment" in (await client.get(f"/trace/{2:032x}.html")).headers["content-disposition"]

    asyncio.run(test())
