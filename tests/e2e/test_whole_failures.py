"""A chat that fails leaves the whole path that it took, at 1 % sampling; one that ends well leaves its share."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING

import httpx
import launching
from harness import TRACED
from launching import Service
from processes import wait_for
from spans import parent_of, path_of, servers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness import System

    from tracebaton.view.spans import Span

ONE_PERCENT = {"OTEL_TRACES_SAMPLER": "tracebaton", "OTEL_TRACES_SAMPLER_ARG": "*=1%", "OTEL_BSP_SCHEDULE_DELAY": "100"}


def start_hop(system: System, name: str, **env: str) -> Service:
    command = [*TRACED, "uvicorn", "hops_app:app", "--port", "{port}", "--timeout-keep-alive", "60"]
    service = launching.start(system, name, command, env={**ONE_PERCENT, "REDIS_URL": system.redis_url, **env})
    launching.wait_until_ready(service)
    return service


def start_chain(system: System, **backend: str) -> str:
    """A, which asks the backend, which asks a sibling and then B; all but the sibling ask Redis. The address of A."""
    system.start_redis()
    last = start_hop(system, "b")
    sibling = start_hop(system, "sibling", REDIS_URL="")
    middle = start_hop(system, "backend", NEXT=last.url, SIBLING=sibling.url, **backend)
    return start_hop(system, "a", NEXT=middle.url).url


def send_chats(system: System, url: str, *, well: int, failing: int, status: int = 502) -> None:
    """Chats 0, 1, ...; the first are to fail, one after the other and eight a second, which is less than are kept."""
    began = 0.0
    with httpx.Client(timeout=30) as client:
        for number in range(failing + well):
            fails = number < failing
            if fails:
                time.sleep(max(0.0, began + 1 / 8 - time.monotonic()))
                began = time.monotonic()
            answer = client.get(f"{url}/chat/{number}", params={"fails": "yes" if fails else ""})
            assert answer.status_code == (status if fails else 200), system.children["backend"].output_end()


def tree(spans: Sequence[Span]) -> Counter[tuple[str, str, str, str]]:
    """Of each span the service, its kind or the Redis command, and service and kind of its parent, which is there."""
    known = {span.span_id: span for span in spans}
    assert len(known) == len(spans), "a span came twice"
    found: Counter[tuple[str, str, str, str]] = Counter()
    for span in spans:
        parent = known[span.parent_span_id] if span.parent_span_id else None
        what = span.name if "db.system" in span.attributes else span.kind
        above = (parent.service, parent.kind) if parent is not None else ("", "")
        found[(span.service, what, *above)] += 1
    return found


def by_chat(spans: Sequence[Span]) -> dict[int, list[Span]]:
    """The traces, by the number of the chat at A; nothing is outside of these."""
    numbers = {span.trace_id: int(path_of(span).rpartition("/")[2]) for span in servers(spans) if span.service == "a"}
    found: dict[int, list[Span]] = {}
    for span in spans:
        if span.trace_id in numbers:
            found.setdefault(numbers[span.trace_id], []).append(span)
    return found


FAILED = Counter(
    [
        ("a", "SERVER", "", ""),
        ("a", "GET", "a", "SERVER"),
        ("a", "CLIENT", "a", "SERVER"),
        ("backend", "SERVER", "a", "CLIENT"),
        ("backend", "GET", "backend", "SERVER"),
        *[("backend", "CLIENT", "backend", "SERVER")] * 2,
        ("b", "SERVER", "backend", "CLIENT"),
        ("b", "GET", "b", "SERVER"),
    ]
)
"""The healthy sibling is the span of its caller."""


def test_a_failure_leaves_its_whole_path(system: System) -> None:
    send_chats(system, start_chain(system), well=140, failing=60)
    wait_for(
        lambda: all(
            len(by_chat(system.spans()).get(number, ())) >= len(list(FAILED.elements())) for number in range(60)
        ),
        15,
    )
    chats = by_chat(system.spans())
    for number in range(60):
        kept = [one for one in chats[number] if "tracebaton.kept" in one.attributes]
        if kept:  # else it is one of the sampled ones, which have the sibling's spans, too
            assert tree(chats[number]) == FAILED, number
            assert {one.attributes["tracebaton.kept"] for one in kept} == {"error"}
            assert len(kept) == len(chats[number])
        else:
            assert tree(chats[number])[("sibling", "SERVER", "backend", "CLIENT")] == 1
    well = [number for number in chats if number >= 60]
    assert len(well) <= 20, "of 140, at 1 %"
    assert sum(map(len, chats.values())) == len(system.spans()), "no span is outside of these"
    assert all("tracebaton.kept" not in one.attributes for number in well for one in chats[number])


def test_a_failure_that_is_handled_is_kept_where_it_was_noted(system: System) -> None:
    """The backend answers 200 in spite of it, and asks the sibling once more: that call is sampled, as is all below."""
    send_chats(system, start_chain(system, HANDLES="1"), well=10, failing=20, status=200)

    def failed_in(spans: Sequence[Span]) -> set[str]:
        return {one.trace_id for one in by_service(spans, "b") if one.status == "ERROR"}

    def has_arrived() -> bool:
        """Each service sends what it has when its own second is over."""
        spans = system.spans()
        traces = [{one.trace_id for one in by_service(spans, name)} for name in ("sibling", "backend")]
        return len(failed_in(spans)) >= 20 and all(failed_in(spans) <= each for each in traces)

    wait_for(has_arrived, 15)
    spans = system.spans()
    failed = failed_in(spans)
    assert len(failed) == 20
    assert {one.trace_id for one in by_service(spans, "backend")} >= failed
    for span in by_service(spans, "sibling"):
        assert "tracebaton.kept" not in span.attributes, "it only followed the flag"
        caller = parent_of(span, spans)
        assert (caller.service, caller.kind) == ("backend", "CLIENT")
        if "tracebaton.kept" in caller.attributes:
            assert [one.service for one in servers(spans) if one.trace_id == span.trace_id].count("a") == 0


def by_service(spans: Sequence[Span], name: str) -> list[Span]:
    return [one for one in servers(spans) if one.service == name]
