"""tracebaton.trace, of a file; and the page's application over the same store."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tracebaton.cli import main
from tracebaton.page.app import page_app
from tracebaton.page.live import Live
from tracebaton.store.lines import LogLine
from tracebaton.store.reader import StoreReader
from tracebaton.store.writer import StoreWriter
from tracebaton.view.access import Access
from tracebaton.view.payload import parse_saved
from tracebaton.view.spans import Span, decode

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
