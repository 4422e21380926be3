"""Each view of the page in a real browser, with made-up traces behind it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import made_up
import pytest

from conftest import NARROW, WIDE, go, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from page_server import PageServer

    PageOf = Callable[..., Any]


def failing_of(traces: list[made_up.Trace]) -> list[made_up.Trace]:
    """Those with an error, newest first."""
    return [trace for trace in reversed(traces) if any(span["status"] == "ERROR" for span in trace["spans"])]


ROWS = "[...document.querySelectorAll('.trace-row')].map(row => row.dataset.trace)"


def rows_of(page: Any) -> list[str]:
    return [str(one) for one in page.evaluate(ROWS)]


def wait_for_rows(page: Any, count: int) -> None:
    until(page, "n => document.querySelectorAll('.trace-row').length === n", count)


def test_traces_are_listed_newest_first_and_older_ones_on_demand(
    page_of: PageOf, server: PageServer, an_hour: list[made_up.Trace]
) -> None:
    page = page_of(server.address)
    wait_for_rows(page, 50)
    assert rows_of(page) == [trace["trace_id"] for trace in an_hour[:-51:-1]]
    assert page.inner_text(".total") == "120 traces"
    marked = page.locator(".trace-row[data-failed]")
    assert marked.count() == sum(trace in an_hour[-50:] for trace in failing_of(an_hour))
    assert "5 errors" in marked.first.inner_text()
    assert page.locator(".tag.kept").count() == sum(
        "tracebaton.kept" in one["spans"][0]["attributes"] for one in an_hour[-50:]
    )
    page.click(".more")
    wait_for_rows(page, 100)
    assert len(set(rows_of(page))) == 100


def test_a_chart_and_sparklines_stand_beside_the_list(
    page_of: PageOf, server: PageServer, an_hour: list[made_up.Trace]
) -> None:
    page = page_of(server.address)
    page.wait_for_selector(".rate")
    assert page.get_attribute(".rate", "aria-label").startswith("120 traces, 5 with errors, from ")
    page.wait_for_selector(".endpoints li")
    line = page.get_attribute(".endpoints li:has-text('/ask') .spark", "aria-label")
    assert "p50" in line
    assert page.get_attribute(".endpoints li:has-text('/ask') .spark .p99", "d").count("L") > 10
    page.click(".endpoints li:has-text('/parcels/{id}') button")
    until(page, "location.search.includes('route=%2Fparcels')")
    assert page.input_value("[aria-label=Service]") == "agent-c"


@pytest.fixture(scope="module")
def one_page(chromium: Any) -> Iterator[tuple[Any, str, list[made_up.Trace]]]:
    """A page for one test after the other, its server's address and traces."""
    from page_server import PageServer

    served = PageServer()
    traces = made_up.an_hour()
    served.add(*traces)
    context = chromium.new_context(viewport=WIDE)
    yield context.new_page(), served.address, traces
    context.close()
    served.stop()


@pytest.mark.parametrize(
    ("label", "value", "query"),
    [
        ("Service", "agent-b", "service=agent-b"),
        ("Route", "/health", "route=%2Fhealth"),
        ("Status", "error", "status=error"),
        ("Status", "ok", "status=ok"),
        ("Shortest duration", "1s", "min_us=1000000"),
        ("Longest duration", "2.5 ms", "max_us=2500"),
        ("Text", "parcel-7b' is not loaded", "text=parcel-7b%27+is+not+loaded"),
        ("Attribute, as key=value", "gen_ai.request.model=parcel-7b", "attr=gen_ai.request.model%3Dparcel-7b"),
        ("Kept", "", "kept=1"),
    ],
)
def test_a_filter_is_in_the_address_and_back(
    one_page: tuple[Any, str, list[made_up.Trace]], label: str, value: str, query: str
) -> None:
    from page_server import matches, summary
    from starlette.datastructures import QueryParams

    page, address, an_hour = one_page
    asked = QueryParams(query)
    expected = [trace["trace_id"] for trace in reversed(an_hour) if matches(trace, summary(trace), asked)]
    assert 0 < len(expected) < len(an_hour)
    go(page, f"{address}/traces")
    wait_for_rows(page, 50)
    field = page.get_by_label(label, exact=True)
    if label == "Kept":
        field.check()
    elif label in {"Service", "Status"}:
        page.wait_for_selector(".endpoints li")  # with which the services come
        field.select_option(value)
    else:
        field.fill(value)
    until(page, "query => location.search === query", f"?{query}")
    until(page, f"ids => {ROWS}.join() === ids", ",".join(expected[:50]))
    assert page.inner_text(".total").startswith(f"{len(expected)} ")
    # The address alone brings back the list and what stands in the field.
    go(page, page.url)
    until(page, f"ids => {ROWS}.join() === ids", ",".join(expected[:50]))
    again = page.get_by_label(label, exact=True)
    assert (
        again.is_checked()
        if label == "Kept"
        else again.input_value().replace(" ", "") in {value.replace(" ", ""), "1.00s", "2.50ms"}
    )


def test_a_wrong_filter_is_a_sentence_and_not_asked_for(
    page_of: PageOf, server: PageServer, an_hour: list[made_up.Trace]
) -> None:
    page = page_of(server.address)
    wait_for_rows(page, 50)
    page.get_by_label("Shortest duration").fill("soon")
    page.wait_for_selector(".field-problem:not(:empty)")
    assert page.inner_text(".field-problem") == '"soon" is no duration (expected e.g. 250ms, 2s, 1m)'
    assert page.evaluate("location.search") == ""


def test_a_store_without_traces_says_where_to_send_them(page_of: PageOf, server: PageServer) -> None:
    page = page_of(server.address)
    page.wait_for_selector("text=No traces yet")
    assert "4317" in page.inner_text(".empty")


def test_a_trace_shows_spans_lines_gaps_links_and_what_failed_first(
    page_of: PageOf, server: PageServer, an_hour: list[made_up.Trace]
) -> None:
    trace = made_up.chat(7, made_up.NOON, fails=True, kept=True)
    server.add(trace)
    page = page_of(f"{server.address}/trace/{trace['trace_id']}", viewport={"width": 1280, "height": 1400})
    page.wait_for_selector(".wf-row")
    assert page.locator(".wf-row.is-span").count() == len(trace["spans"])
    assert page.locator(".wf-row.is-log").count() == len(trace["logs"])
    gap = page.locator(".wf-row.is-gap")
    assert gap.inner_text().replace("\n", " ") == "nothing was recorded 66.0 ms"
    assert page.locator(".wf-links path").count() == 1
    assert page.locator(".wf-row .tag.kept").count() == 1
    assert "agent-b" in page.inner_text(".failed-first")
    assert "the model 'parcel-7b' is not loaded" in page.inner_text(".failed-first")
    # The line stands at its moment, in its span.
    row = page.locator(".wf-row.is-log", has_text="routing to agent-b")
    assert row.get_attribute("aria-level") == "4"
    at = page.evaluate("row => parseFloat(row.querySelector('.wf-dot').style.left)", row.element_handle())
    assert at == pytest.approx(31 / 412 * 100, abs=0.1)
    row.click()
    details = page.inner_text(".details")
    assert "backend.chat" in details
    assert '"agent-c"' in details
    page.locator(".wf-row.is-log", has_text="chat failed").click()
    assert "Traceback (most recent call last):" in page.inner_text(".details")
    page.uncheck(".tools input[type=checkbox]")
    until(page, "!document.querySelector('.wf-row.is-log')")
    until(page, "location.search.includes('logs=0')")


def test_attributes_are_copied(page_of: PageOf, server: PageServer, an_hour: list[made_up.Trace]) -> None:
    failing = failing_of(an_hour)[0]
    page = page_of(f"{server.address}/trace/{failing['trace_id']}?span={failing['spans'][3]['span_id']}")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.click("[aria-label='Copy url.path']")
    until(page, "document.getElementById('announcer').textContent === 'Copied'")
    assert page.evaluate("navigator.clipboard.readText()") == "/ask"


def test_a_trace_is_found_in_by_text(page_of: PageOf, server: PageServer, an_hour: list[made_up.Trace]) -> None:
    page = page_of(f"{server.address}/trace/{failing_of(an_hour)[0]['trace_id']}")
    page.wait_for_selector(".wf-row")
    page.get_by_label("Find in this trace").fill("SETEX")
    until(page, "document.querySelectorAll('.wf-row').length === 6")  # and the five that it is below
    assert page.locator(".wf-row:not(.dim)").inner_text().startswith("redis SETEX")
    until(page, "location.search.includes('q=SETEX')")


def test_the_sequence_diagram_goes_from_agent_to_backend_to_agent(
    page_of: PageOf, server: PageServer, an_hour: list[made_up.Trace]
) -> None:
    page = page_of(f"{server.address}/trace/{failing_of(an_hour)[0]['trace_id']}")
    page.click("role=tab[name=Sequence]")
    calls = page.locator(".seq-view ol li").all_text_contents()
    places = [
        next(index for index, call in enumerate(calls) if call.startswith(beginning))
        for beginning in (
            "client to agent-a: POST /chat",
            "agent-a to redis",
            "agent-a to backend: POST /ask",
            "backend to agent-b: POST /chat",
        )
    ]
    assert places == sorted(places)
    assert calls[places[3]].endswith(", failed")
    assert page.locator(".seq-call.answer.failed").count() == 3
    page.locator(".seq-call.failed").nth(2).click()
    page.wait_for_selector(".wf-row.selected")
    assert "POST http://agent-b" in page.inner_text(".wf-row.selected")


def test_the_same_trace_as_json(page_of: PageOf, server: PageServer, an_hour: list[made_up.Trace]) -> None:
    trace = an_hour[-1]
    page = page_of(f"{server.address}/trace/{trace['trace_id']}?tab=json")
    assert json.loads(page.text_content("pre.json")) == trace


def test_an_unknown_trace_is_a_sentence(page_of: PageOf, server: PageServer) -> None:
    page = page_of(f"{server.address}/trace/{'0' * 32}")
    page.wait_for_selector("text=No trace with this id is stored.")
    page.wrong.clear()  # the browser logs the 404


def test_services_say_who_calls_whom(page_of: PageOf, server: PageServer, an_hour: list[made_up.Trace]) -> None:
    page = page_of(f"{server.address}/services")
    page.wait_for_selector(".graph")
    titles = page.locator(".edge title").all_text_contents()
    assert any(title.startswith("backend calls agent-b: 81 calls, 5 errors, p50 ") for title in titles)
    assert page.locator(".graph-node.outside .name").all_text_contents() == ["redis"]
    table = page.locator("section", has=page.get_by_role("heading", name="Calls", exact=True)).inner_text()
    assert "agent-b" in table
    page.click("table >> text=agent-c >> nth=0")
    until(page, "location.search === '?service=agent-c'")


def test_compare_says_what_is_new_gone_slower_and_failed(
    page_of: PageOf, server: PageServer, an_hour: list[made_up.Trace]
) -> None:
    mine = made_up.chat(8, made_up.NOON + 4_000_000_000, fails=True, slow=2)
    mine["spans"][12]["name"] = "chat other-model"
    server.add(mine)
    page = page_of(f"{server.address}/trace/{mine['trace_id']}")
    page.click("text=Compare >> nth=1")
    page.wait_for_selector(".cmp-row:not(.head)")

    def row(text: str) -> str:
        return str(page.locator(".cmp-row", has_text=text).inner_text())

    assert row("chat other-model").startswith("agent-b\nchat other-model")
    assert "new" in row("chat other-model")
    assert "gone" in row("chat parcel-7b")
    assert "slower" in row("rank candidates")
    assert "failed" in row("POST http://agent-b:8000/chat")
    assert page.locator(".card").nth(1).inner_text().startswith("The last good one")
    page.click("text=Compare with another")
    page.locator(".choice").last.click()
    until(page, "location.search.startsWith('?with=')")
    page.wait_for_selector(".card >> text=The other")


def test_live_shows_what_comes_at_once_and_pauses_while_one_scrolls(
    page_of: PageOf, server: PageServer, an_hour: list[made_up.Trace]
) -> None:
    page = page_of(f"{server.address}/live")
    page.wait_for_selector(".connection.connected")
    for number in range(3):
        server.put(made_up.chat(number + 1, made_up.NOON))
    until(page, "document.querySelectorAll('.live-row').length === 3 * (14 + 4)")
    assert (
        page.evaluate(
            "list = document.querySelector('.live-list'), list.scrollHeight - list.scrollTop - list.clientHeight"
        )
        < 8
    )
    page.hover(".live-list")
    page.mouse.wheel(0, -300)
    page.wait_for_selector(".resume:not([hidden])")
    server.put(made_up.heartbeat(9, made_up.NOON))
    page.wait_for_selector(".resume:has-text('2 more')")
    assert page.locator(".live-row").count() == 54
    page.click(".resume")
    until(page, "document.querySelectorAll('.live-row').length === 56")
    page.get_by_label("Only what has this text").fill("PING")
    until(page, "[...document.querySelectorAll('.live-row')].filter(row => !row.hidden).length === 1")
    server.tell("dropped", {"count": 12})
    page.wait_for_selector("text=12 events left out")


def test_a_new_trace_is_in_the_list_within_a_second(
    page_of: PageOf, server: PageServer, an_hour: list[made_up.Trace]
) -> None:
    page = page_of(server.address)
    wait_for_rows(page, 50)
    page.wait_for_selector(".connection.connected")
    page.locator(".trace-row").nth(1).focus()
    focused = page.evaluate("document.activeElement.dataset.trace")
    page.evaluate(
        """id => {
            window.seen = new Promise(done => new MutationObserver(() => {
                if (document.querySelector(`[data-trace="${id}"]`)) done(performance.now());
            }).observe(document.body, {childList: true, subtree: true}));
        }""",
        f"{99:032x}",
    )
    began = page.evaluate("performance.now()")
    server.put(made_up.chat(99, made_up.NOON + 5_000_000_000, fails=True))
    assert page.evaluate("window.seen") - began < 1000
    assert rows_of(page)[0] == f"{99:032x}"
    assert page.evaluate("document.activeElement.dataset.trace") == focused


def test_an_open_trace_grows_while_it_is_looked_at(
    page_of: PageOf, server: PageServer, an_hour: list[made_up.Trace]
) -> None:
    trace = made_up.heartbeat(5, made_up.NOON)
    server.add(trace)
    page = page_of(f"{server.address}/trace/{trace['trace_id']}")
    page.wait_for_selector(".connection.connected")
    page.locator(".wf-row").nth(1).click()
    trace["logs"].append(
        {
            "time_us": made_up.NOON + 700,
            "service": "backend",
            "level": "INFO",
            "message": "late",
            "span_id": trace["spans"][0]["span_id"],
            "logger": "",
            "exception": "",
            "fields": {},
        }
    )
    server.put(trace)
    page.wait_for_selector(".wf-row.is-log")
    assert page.inner_text(".wf-row.selected").startswith("redis PING")


def test_ten_tabs_at_once_are_told_by_one_connection(
    page_of: PageOf, server: PageServer, an_hour: list[made_up.Trace]
) -> None:
    first = page_of(server.address)
    tabs = [first] + [first.context.new_page() for _ in range(9)]
    for tab in tabs[1:]:
        go(tab, f"{server.address}/live")
    for tab in tabs:
        tab.wait_for_selector(".connection.connected")
    assert len(server.listening) == 1
    server.put(made_up.heartbeat(9, made_up.NOON))
    for tab in tabs[1:]:
        until(tab, "document.querySelectorAll('.live-row').length === 2")
    # Another one takes over from the one that listened.
    first.close()
    server.put(made_up.heartbeat(10, made_up.NOON))
    tabs[1].wait_for_selector(".connection.connected")


def test_nothing_is_wider_than_a_telephone(page_of: PageOf, server: PageServer, an_hour: list[made_up.Trace]) -> None:
    failing = failing_of(an_hour)[0]["trace_id"]
    page = page_of(viewport=NARROW)
    for path in ("/", "/trace/{id}", "/trace/{id}?tab=sequence", "/services", "/compare/{id}", "/compare", "/live"):
        go(page, server.address + path.format(id=failing))
        shown = ":is(.trace-row, .wf-row, .seq, .graph, .cmp-row:not(.head), .choice, .live-list) >> visible=true"
        page.wait_for_selector(shown)
        assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"], path
