"""The demo's claims hold for a sound chat, and each one fails for what it is there to find."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from checks import (
    LOG_FIELDS,
    check_complete,
    check_failure,
    check_hops,
    check_logs,
    check_requests,
    find_request,
)

from tracebaton.view.spans import Span, SpanEvent

if TYPE_CHECKING:
    from collections.abc import Callable

    from tracebaton.view.spans import Value

CHAIN = ("agent-a", "backend", "agent-b")
TRACE = "a" * 32
OTHER_TRACE = "b" * 32

Change = dict[str, Any]


def span(service: str, what: str, parent: str, kind: str, **attributes: Any) -> Span:
    return Span(
        trace_id=TRACE,
        span_id=f"{service} {what}",
        parent_span_id=parent,
        name=what,
        kind=kind,
        start_ns=0,
        end_ns=1,
        service=service,
        status="UNSET",
        status_message="",
        attributes={name.replace("__", "."): value for name, value in attributes.items()},
        resource={},
        scope_name="",
        scope_version="",
    )


def chat(status: int = 200) -> dict[str, Span]:
    """A chat's spans by their ids; the last agent's request has failed if `status` is an error."""
    spans = []
    parent = ""
    for service in CHAIN:
        path = "/agents/agent-b/chat"
        server = span(service, "server", parent, "SERVER", url__path=path, http__response__status_code=status)
        if service == CHAIN[-1] and status >= 400:
            server = replace(server, status="ERROR", events=(SpanEvent("exception", 0, {}),))
        redis = span(service, "redis", server.span_id, "CLIENT", db__system="redis")
        call = span(service, "call", server.span_id, "CLIENT")
        spans += [server, redis] if service == CHAIN[-1] else [server, redis, call]
        parent = call.span_id
    return {span.span_id: span for span in spans}


def hops(spans: dict[str, Span]) -> list[str]:
    """The texts of the claims about the hops that do not hold."""
    everything = list(spans.values())
    claims = check_hops("chat", everything, find_request(everything, "agent-a", "/chat", 200), CHAIN, "/chat")
    return [claim.text for claim in claims if not claim.holds]


def log_line(service: str) -> dict[str, str]:
    ids = {"service.name": service, "trace_id": TRACE, "span_id": f"{service} server", "trace_flags": "01"}
    return {**dict.fromkeys(LOG_FIELDS, "x"), **ids}


class TestHops:
    def test_hold_for_a_sound_chat(self) -> None:
        assert hops(chat()) == []

    def test_hold_with_the_old_names_of_the_attributes(self) -> None:
        old: dict[str, Value] = {"http.target": "/agents/agent-b/chat?x=1", "http.status_code": 200}
        spans = {key: replace(span, attributes=old) if span.kind == "SERVER" else span for key, span in chat().items()}
        assert hops(spans) == []

    def test_hold_with_internal_spans_in_between(self) -> None:
        spans = chat()
        spans["between"] = replace(span("backend", "between", "backend server", "INTERNAL"), span_id="between")
        for key in ("backend redis", "backend call"):
            spans[key] = replace(spans[key], parent_span_id="between")
        assert hops(spans) == []

    @pytest.mark.parametrize(
        ("changed", "change", "failing"),
        [
            ("agent-b server", {"trace_id": OTHER_TRACE}, "chat: one trace id across the hops"),
            (
                "agent-b server",
                {"parent_span_id": "agent-a call"},
                "chat: each hop is the child of the call that made it",
            ),
            ("agent-b server", {"parent_span_id": "gone"}, "chat: each hop is the child of the call that made it"),
            ("agent-a server", {"parent_span_id": "gone"}, "chat: each hop is the child of the call that made it"),
            ("backend call", {"kind": "INTERNAL"}, "chat: each hop is the child of the call that made it"),
            ("backend call", {"parent_span_id": ""}, "chat: each hop is the child of the call that made it"),
            ("backend redis", {"trace_id": OTHER_TRACE}, "chat: Redis commands under the request of each hop"),
            ("backend redis", {"parent_span_id": ""}, "chat: Redis commands under the request of each hop"),
            ("backend redis", {"attributes": {}}, "chat: Redis commands under the request of each hop"),
        ],
    )
    def test_fail_for_a_broken_one(self, changed: str, change: Change, failing: str) -> None:
        spans = chat()
        spans[changed] = replace(spans[changed], **change)
        assert hops(spans) == [failing]

    def test_end_for_spans_that_are_each_other_s_parent(self) -> None:
        spans = chat()
        spans["backend redis"] = replace(spans["backend redis"], parent_span_id="circle")
        spans["circle"] = replace(span("backend", "circle", "backend redis", "INTERNAL"), span_id="circle")
        assert hops(spans) == ["chat: Redis commands under the request of each hop"]

    def test_fail_without_the_first_request(self) -> None:
        spans = chat()
        del spans["agent-a server"]
        assert hops(spans) == ["chat: one trace id across the hops"]


class TestFailure:
    def test_holds_for_an_error_with_its_exception(self) -> None:
        spans = list(chat(502).values())
        assert check_failure(spans, spans[0], "agent-b", "/chat").holds

    @pytest.mark.parametrize("change", [{"status": "UNSET"}, {"events": ()}, {"trace_id": OTHER_TRACE}])
    def test_fails_for_anything_less(self, change: Change) -> None:
        spans = chat(502)
        spans["agent-b server"] = replace(spans["agent-b server"], **change)
        assert not check_failure(list(spans.values()), spans["agent-a server"], "agent-b", "/chat").holds

    def test_fails_without_the_trace(self) -> None:
        assert not check_failure([], None, "agent-b", "/chat").holds


class TestLogs:
    def test_hold_when_every_service_has_lines_with_its_ids(self) -> None:
        spans = list(chat(502).values())
        assert check_logs({name: [log_line(name)] for name in CHAIN}, spans, spans[0]).holds

    @pytest.mark.parametrize(
        "spoil",
        [
            lambda line: line.update(trace_id=OTHER_TRACE),
            lambda line: line.update(span_id="agent-b server"),
            lambda line: line.update({"service.name": "agent-b"}),
            lambda line: line.pop("timestamp"),
            lambda line: line.pop("trace_flags"),
        ],
    )
    def test_fail_for_one_spoilt_line(self, spoil: Callable[[dict[str, str]], object]) -> None:
        spans = list(chat(502).values())
        logs = {name: [log_line(name)] for name in CHAIN}
        spoil(logs["backend"][0])
        assert not check_logs(logs, spans, spans[0]).holds


class TestRequests:
    def test_hold_for_as_many_traces_as_were_sent(self) -> None:
        assert check_requests(list(chat().values()), "backend", "/chat", 1).holds

    def test_fail_for_one_too_few(self) -> None:
        assert not check_requests(list(chat().values()), "backend", "/chat", 2).holds

    def test_fail_when_two_share_a_trace(self) -> None:
        server = chat()["backend server"]
        assert not check_requests([server, replace(server, span_id="second")], "backend", "/chat", 2).holds


class TestComplete:
    def test_holds_for_a_whole_trace(self) -> None:
        assert check_complete(list(chat().values())).holds

    def test_fails_and_names_the_span_whose_parent_is_missing(self) -> None:
        spans = chat()
        del spans["backend call"]
        assert check_complete(list(spans.values())).problem == "1 do: agent-b server"
