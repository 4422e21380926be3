"""The page without a mouse."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import made_up

from conftest import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from page_server import PageServer

    PageOf = Callable[..., Any]

FOCUSED = "document.activeElement.dataset.trace"
# What has the focus is called, and whether it is seen that it has it.
FOCUS = """() => {
    const one = document.activeElement, style = getComputedStyle(one);
    return [one.getAttribute('aria-label') || one.textContent.trim().slice(0, 30) || one.type,
            style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0];
}"""


def test_from_the_list_to_a_span_and_back(page_of: PageOf, server: PageServer, an_hour: list[made_up.Trace]) -> None:
    page = page_of(server.address)
    page.wait_for_selector(".trace-row")
    newest = [trace["trace_id"] for trace in reversed(an_hour)]
    page.keyboard.press("j")
    assert page.evaluate(FOCUSED) == newest[0]
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    assert page.evaluate(FOCUSED) == newest[1]
    page.keyboard.press("Enter")
    page.wait_for_selector(".wf-row")
    assert page.url.split("?")[0].endswith(f"/trace/{newest[1]}")
    first = page.inner_text(".wf-row.selected")
    page.keyboard.press("j")
    until(page, "before => document.querySelector('.wf-row.selected').innerText !== before", first)
    assert page.get_attribute("#waterfall", "aria-activedescendant") == page.get_attribute(".wf-row.selected", "id")
    page.keyboard.press("Enter")
    page.wait_for_selector(".details:not([hidden])")
    assert page.evaluate("document.activeElement.closest('.details') !== null")
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.id") == "waterfall"
    assert page.is_hidden(".details")
    # Back in the list, at the trace that it was left for.
    page.keyboard.press("Escape")
    page.wait_for_selector(".trace-row")
    until(page, f"id => {FOCUSED} === id", newest[1])


def test_e_goes_to_the_next_trace_with_an_error(
    page_of: PageOf, server: PageServer, an_hour: list[made_up.Trace]
) -> None:
    failing = [one["trace_id"] for one in reversed(an_hour) if any(span["status"] == "ERROR" for span in one["spans"])]
    page = page_of(server.address)
    page.wait_for_selector(".trace-row")
    # The third is not among the fifty that are shown, so that older ones are asked for.
    for expected in failing[:4]:
        page.keyboard.press("e")
        until(page, f"id => {FOCUSED} === id", expected)
    page.keyboard.press("Enter")
    page.wait_for_selector(".wf-row")
    page.keyboard.press("e")
    until(page, "id => location.pathname === `/trace/${id}`", failing[4])
    page.wait_for_selector(".wf-row")
    page.keyboard.press("e")
    until(page, "id => location.pathname === `/trace/${id}`", failing[0])


def test_a_slash_searches_and_escape_leaves_the_field(
    page_of: PageOf, server: PageServer, an_hour: list[made_up.Trace]
) -> None:
    page = page_of(server.address)
    page.wait_for_selector(".trace-row")
    page.keyboard.press("/")
    page.keyboard.type("/ch")
    until(page, "location.search === '?text=%2Fch'")
    page.keyboard.type("at is j")  # a letter is one here
    until(page, "location.search === '?text=%2Fchat+is+j'")
    page.wait_for_selector(".empty")
    page.keyboard.press("Control+A")
    page.keyboard.type("alice")
    until(page, "location.search === '?text=alice'")
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.tagName") != "INPUT"
    # A look at a trace does not lose the filter.
    page.wait_for_selector(".trace-row")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_selector(".wf-row")
    page.keyboard.press("Escape")
    until(page, "location.search === '?text=alice'")
    page.keyboard.press("s")
    page.wait_for_selector(".graph")
    page.keyboard.press("l")
    page.wait_for_selector(".live-list")
    page.keyboard.press("t")
    page.wait_for_selector(".trace-row")


def test_help_lists_the_keys_and_turns_them_off(
    page_of: PageOf, server: PageServer, an_hour: list[made_up.Trace]
) -> None:
    page = page_of(server.address)
    page.wait_for_selector(".trace-row")
    page.keyboard.press("?")
    assert "Next trace with an error" in page.inner_text("dialog")
    page.uncheck("text=Single keys are shortcuts")
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog", state="detached")
    page.keyboard.press("j")
    page.keyboard.press("s")
    assert page.evaluate("[location.pathname, document.activeElement.className]") == [
        "/",
        page.evaluate("document.activeElement.className"),
    ]
    assert page.locator(".trace-row:focus").count() == 0
    page.click("#help-button")
    page.check("text=Single keys are shortcuts")
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog", state="detached")
    page.locator("#help-button").blur()
    page.keyboard.press("j")
    assert page.locator(".trace-row:focus").count() == 1


def test_the_waterfall_opens_closes_and_finds_errors(
    page_of: PageOf, server: PageServer, an_hour: list[made_up.Trace]
) -> None:
    trace = made_up.chat(7, made_up.NOON, fails=True)
    server.add(trace)
    page = page_of(f"{server.address}/trace/{trace['trace_id']}")
    page.wait_for_selector(".wf-row")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowLeft")
    until(page, "document.querySelectorAll('.wf-row').length === 1")
    assert page.get_attribute(".wf-row", "aria-expanded") == "false"
    page.keyboard.press("ArrowRight")
    until(page, "document.querySelectorAll('.wf-row').length > 10")
    page.keyboard.press("n")
    assert "POST http://backend:8000/ask" in page.inner_text(".wf-row.selected")
    page.keyboard.press("z")
    page.wait_for_selector("text=Whole trace")
    page.keyboard.press("d")
    page.wait_for_selector(".seq")
    page.keyboard.press("w")
    page.wait_for_selector(".wf-row")


def test_everything_is_reached_by_tab_and_the_focus_is_seen(
    page_of: PageOf, server: PageServer, an_hour: list[made_up.Trace]
) -> None:
    page = page_of(server.address)
    page.wait_for_selector(".endpoints li")
    seen = []
    for _ in range(20):
        page.keyboard.press("Tab")
        seen.append(page.evaluate(FOCUS))
    names = [name for name, _ in seen]
    assert names[0] == "Skip to the content"
    assert {"tracebaton", "Traces", "Live", "Text", "Service", "Route", "Status", "Keyboard help"} <= set(names)
    assert all(visible for _, visible in seen), seen
