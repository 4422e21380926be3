"""The page of the real `tracebaton view`, with spans and lines that were exported to it."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
import made_up
import pytest

from conftest import NARROW, go, until
from tracebaton.page.otlp import otlp_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    PageOf = Callable[..., Any]


@dataclass
class View:
    process: subprocess.Popen[str]
    receiver: str
    page: str

    def export(self, trace: made_up.Trace) -> None:
        document = otlp_json(trace)
        for signal_, name in (("resourceSpans", "traces"), ("resourceLogs", "logs")):
            sent = httpx.post(f"{self.receiver}/v1/{name}", json={signal_: document.get(signal_, [])})
            assert sent.status_code == 200, sent.text


@pytest.fixture
def view(tmp_path: Path) -> Iterator[View]:
    ports = ["--grpc-port", "0", "--http-port", "0", "--web-port", "0"]
    command = [sys.executable, "-m", "tracebaton", "view", "--db", str(tmp_path / "traces.db"), *ports]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        found = re.search(r" and (http://\S+); page on (http://\S+); ", line)
        assert found, line + process.stderr.read()
        yield View(process, found[1], found[2])
        process.terminate()  # not killed: its temporary file goes with it


def test_every_view_shows_what_was_exported(page_of: PageOf, view: View) -> None:
    now = time.time_ns() // 1000
    good, bad = made_up.chat(1, now - 9_000_000), made_up.chat(2, now - 5_000_000, fails=True, kept=True)
    odd = made_up.odd(3, now - 7_000_000)
    page = page_of(view.page)
    page.wait_for_selector(".connection.connected")
    for trace in (good, bad, odd):
        view.export(trace)
    until(page, "document.querySelectorAll('.trace-row').length === 3")
    assert page.locator(".trace-row").first.get_attribute("data-trace") == bad["trace_id"]
    page.wait_for_selector(".trace-row .tag.kept")
    for query, count in (
        ("service=agent-b", 2), ("route=/chat", 2), ("status=error", 2), ("kept=1", 1), ("min_us=1000000", 0),
        ("max_us=100000", 1), ("text=parcel-7b", 2), ("attr=gen_ai.request.model%3Dparcel-7b", 2),
    ):  # fmt: skip
        go(page, f"{view.page}/traces?{query}")
        until(page, f"document.querySelectorAll('.trace-row').length === {count}")
    go(page, f"{view.page}/trace/{bad['trace_id']}")
    page.wait_for_selector(".wf-row")
    page.wait_for_selector(".failed-first >> text=the model 'parcel-7b' is not loaded")
    assert int(page.get_attribute("#waterfall", "aria-rowcount")) > len(bad["spans"]) + len(bad["logs"])
    page.keyboard.press("d")
    assert "backend to agent-b: POST /chat" in page.text_content(".seq-view ol")
    page.keyboard.press("s")
    page.wait_for_selector(".graph")
    assert any(
        "backend calls agent-b: 2 calls, 1 error" in one for one in page.locator(".edge title").all_text_contents()
    )
    go(page, f"{view.page}/compare/{bad['trace_id']}")
    page.wait_for_selector(".cmp-row.failed")
    assert good["trace_id"] in (page.get_attribute(".card >> nth=1 >> a", "href") or "")
    go(page, f"{view.page}/trace/{odd['trace_id']}")
    page.wait_for_selector(".wf-row")
    assert not page.evaluate("window.hurt === 1 || document.querySelector('main img, main script') !== null")


def test_live_shows_it_on_a_telephone(page_of: PageOf, view: View) -> None:
    page = page_of(f"{view.page}/live", viewport=NARROW)
    page.wait_for_selector(".connection.connected")
    began = time.monotonic()
    view.export(made_up.heartbeat(5, time.time_ns() // 1000))
    page.wait_for_selector(".live-row")
    assert time.monotonic() - began < 3  # the machine may be busy; what the page itself takes has a test of its own
    assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]


def test_a_shared_file_and_otlp_json_go_out(page_of: PageOf, view: View, tmp_path: Path) -> None:
    trace = made_up.chat(2, time.time_ns() // 1000, fails=True)
    view.export(trace)
    page = page_of(f"{view.page}/traces")
    page.click(".trace-row")
    page.wait_for_selector(".wf-row.is-log")
    for label, suffix in (("HTML file", "html"), ("OTLP JSON", "json")):
        page.click("summary:has-text('Share')")
        with page.expect_download() as download:
            page.click(f"text={label}")
        download.value.save_as(tmp_path / f"trace.{suffix}")
        page.keyboard.press("Escape")
    assert json.loads((tmp_path / "trace.json").read_text())["resourceSpans"]
    go(page, (tmp_path / "trace.html").as_uri())
    page.wait_for_selector(".wf-row")
    assert page.locator(".trace-facts").inner_text().replace("\n", " ").count("14") >= 1


def test_it_ends_at_once_although_pages_are_open(page_of: PageOf, view: View) -> None:
    first = page_of(view.page)
    second = page_of(f"{view.page}/live")
    for page in (first, second):
        page.wait_for_selector(".connection.connected")
    began = time.monotonic()
    view.process.send_signal(signal.SIGINT)
    view.process.wait(20)
    assert time.monotonic() - began < 10
    for page in (first, second):
        page.wait_for_selector(".connection.disconnected")
        page.wrong.clear()  # the browser logs that nobody answers
