"""What the page makes of names and lines that want to be markup, of very many spans, and what a shared file can do."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import made_up
from page_server import STATIC

from conftest import go, until
from tracebaton.page.shared import shared_html

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from page_server import PageServer

    PageOf = Callable[..., Any]

HURT = "window.hurt === 1 || document.querySelector('main img, main script') !== null"


def test_the_files_are_small_and_ask_for_nothing_elsewhere() -> None:
    found = sorted(STATIC.iterdir())
    assert sum(path.stat().st_size for path in found) < 250_000
    for path in found:
        text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert re.findall(r"(?:https?:)?//[a-z0-9.-]+\.[a-z]{2,}", text) == [], path
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|javascript:", text
        ), path
    index = (STATIC / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|<script(?![^>]*\ssrc=)", index)


def test_markup_and_escapes_stay_text(page_of: PageOf, server: PageServer) -> None:
    trace = made_up.odd(3, made_up.NOON)
    server.add(trace, made_up.odd(4, made_up.NOON))
    page = page_of()
    for path in ("/", "/trace/{id}", "/trace/{id}?tab=sequence", "/trace/{id}?tab=json", "/services", "/compare/{id}"):
        go(page, server.address + path.format(id=trace["trace_id"]))
        until(page, "document.querySelector('main').textContent.includes('<script>window.hurt')")
        for row in page.locator(".wf-row >> visible=true").all():
            row.click()
            assert page.evaluate("document.querySelector('.details').textContent.length") < 20_000
        assert not page.evaluate(HURT), path
        text = page.evaluate("document.documentElement.textContent")
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text), path


def test_a_megabyte_is_shown_on_demand(page_of: PageOf, server: PageServer) -> None:
    trace = made_up.odd(3, made_up.NOON)
    server.add(trace)
    page = page_of(f"{server.address}/trace/{trace['trace_id']}?span={trace['spans'][2]['span_id']}")
    page.locator(".pairs >> text=Show all 1,000,000 characters").first.click()
    assert page.evaluate(
        "[...document.querySelectorAll('.pairs pre')].some(one => one.textContent === 'v'.repeat(1000000))"
    )


def test_live_lines_that_are_markup_stay_text(page_of: PageOf, server: PageServer) -> None:
    page = page_of(f"{server.address}/live")
    page.wait_for_selector(".connection.connected")
    server.put(made_up.odd(3, made_up.NOON))
    until(page, "document.querySelectorAll('.live-row').length === 9")
    assert not page.evaluate(HURT)


def test_the_policy_forbids_what_is_not_the_pages_own(
    page_of: PageOf, server: PageServer, an_hour: list[made_up.Trace]
) -> None:
    page = page_of(server.address)
    page.wait_for_selector(".trace-row")
    blocked = page.evaluate(
        """async () => {
            const found = [];
            document.addEventListener('securitypolicyviolation', event => found.push(event.effectiveDirective));
            const script = document.createElement('script');
            script.textContent = 'window.hurt = 1';
            const style = document.createElement('div');
            style.setAttribute('style', 'color: red');
            const image = new Image();
            image.src = 'http://127.0.0.1:9/x.png';
            document.body.append(script, style, image);
            await fetch('http://127.0.0.1:9/').catch(() => {});
            await new Promise(done => setTimeout(done, 0));
            return found.sort();
        }"""
    )
    assert {"connect-src", "img-src", "script-src-elem", "style-src-attr"} <= set(blocked)
    assert not page.evaluate(HURT)
    page.wrong.clear()  # the refusals, which the browser logs


def test_ten_thousand_spans_are_drawn_within_a_second_of_script(page_of: PageOf, server: PageServer) -> None:
    trace = made_up.large(2, made_up.NOON)
    server.add(trace)
    page = page_of(server.address)
    page.wait_for_selector(".trace-row")
    devtools = page.context.new_cdp_session(page)
    devtools.send("Performance.enable")

    def script_seconds() -> float:
        metrics = devtools.send("Performance.getMetrics")["metrics"]
        return float(next(one["value"] for one in metrics if one["name"] == "ScriptDuration"))

    before = script_seconds()
    page.click(".trace-row")
    page.wait_for_selector(".wf-row")
    drawn = script_seconds() - before
    assert drawn < 1, drawn
    assert int(page.get_attribute("#waterfall", "aria-rowcount")) > len(trace["spans"]) + len(trace["logs"])
    # To the end and back, with no more rows in the document than a window holds.
    for key in ["End", *["PageUp"] * 4, "Home", *["PageDown"] * 4]:
        page.keyboard.press(key)
        assert page.locator(".wf-row").count() < 50
        assert page.locator(".wf-row.selected").count() == 1
    page.get_by_label("Find in this trace").fill("step 9999")
    until(page, "document.querySelector('.found').textContent.startsWith('1 match')")
    assert script_seconds() - before < 3


def test_a_chain_ten_thousand_deep_is_shown(page_of: PageOf, server: PageServer) -> None:
    trace = made_up.Builder(6, made_up.NOON)
    parent = ""
    for index in range(10_000):
        parent = trace.span("deep", "INTERNAL", f"level {index}", parent, index, 20_000 - index)
    server.add(trace.trace)
    page = page_of(f"{server.address}/trace/{trace.trace['trace_id']}")
    page.wait_for_selector(".wf-row")
    page.keyboard.press("End")
    page.wait_for_selector(".wf-row.selected >> text=level 9999")


def test_a_shared_file_opens_from_the_disk(
    page_of: PageOf, server: PageServer, tmp_path: Path, an_hour: list[made_up.Trace]
) -> None:
    trace = made_up.chat(7, made_up.NOON, fails=True)
    server.add(trace)
    page = page_of(f"{server.address}/trace/{trace['trace_id']}")
    page.wait_for_selector(".wf-row")
    page.click("summary:has-text('Share')")
    with page.expect_download() as download:
        page.click("text=HTML file")
    path = tmp_path / "trace.html"
    download.value.save_as(path)
    asked = []
    opened = page_of()
    opened.on("request", lambda request: asked.append(request.url))
    go(opened, path.as_uri())
    opened.wait_for_selector(".wf-row")
    assert opened.locator(".wf-row.is-span").count() == len(trace["spans"])
    opened.keyboard.press("j")
    until(opened, "location.hash.startsWith('#span=')")
    opened.click("role=tab[name=Sequence]")
    opened.wait_for_selector(".seq")
    until(opened, "location.hash.includes('tab=sequence')")
    go(opened, f"{path.as_uri()}#tab=json")
    opened.wait_for_selector("pre.json")
    assert [one for one in asked if not one.startswith("file:")] == []


def test_a_shared_file_of_odd_names_is_no_markup(page_of: PageOf, tmp_path: Path) -> None:
    trace = made_up.odd(3, made_up.NOON)
    trace["spans"][0]["name"] = "</script></title>\u2028\ud800" + made_up.SCRIPT
    path = tmp_path / "trace.html"
    path.write_bytes(shared_html(trace))
    page = page_of(path.as_uri())
    page.wait_for_selector(".wf-row")
    assert not page.evaluate(HURT)
    assert page.evaluate("document.scripts.length") == 2
    page.evaluate(
        """() => {
            const one = document.createElement('script');
            one.textContent = 'window.hurt = 1';
            document.body.append(one);
        }"""
    )
    assert not page.evaluate("window.hurt === 1")
    page.wrong.clear()  # the refusal, which the browser logs


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_a_shared_file_is_one_file_with_a_policy_of_hashes() -> None:
    page = shared_html(made_up.chat(1, made_up.NOON)).decode()
    parser = _Tags()
    parser.feed(page)
    policy = next(
        attrs["content"] for tag, attrs in parser.found if attrs.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy is not None
    assert re.fullmatch(
        r"default-src 'none'; script-src 'sha256-\S{44}'; style-src 'sha256-\S{44}'; img-src data:; "
        r"base-uri 'none'; form-action 'none'",
        policy,
    )
    assert [attrs for _, attrs in parser.found if attrs.keys() & {"src", "href", "style", "action"}] == []
    assert len(page) < 250_000


def test_modules_can_be_joined_into_one_script() -> None:
    names: dict[str, str] = {}
    text = shared_html(made_up.chat(1, made_up.NOON)).decode()
    assert not re.search(r"^(?:import|export) ", text, re.MULTILINE)
    for module in sorted(STATIC.glob("*.js")):
        source = module.read_text(encoding="utf-8")
        if module.name in {
            "main.js",
            "api.js",
            "stream.js",
            "live.js",
            "traces.js",
            "services.js",
            "compare.js",
            "charts.js",
        }:
            continue
        for name in re.findall(r"^(?:export )?(?:async )?(?:function|const|let|class) (\w+)", source, re.MULTILINE):
            assert name not in names, (name, names.get(name), module.name)
            names[name] = module.name
