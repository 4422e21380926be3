"""One agent calls another by A2A, which calls the next service: one trace, by whichever binding."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest
from edge_services import assert_partial, assert_whole
from libraries import EVERY_AGE, ages
from processes import HOST, is_listening
from spans import servers

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edge_services import Edge
    from processes import Child

    from tracebaton.view.spans import Span

NEWEST, OLDEST = "a2a-sdk[http-server,grpc]==1.3.0", "a2a-sdk[http-server,grpc]==0.3.0"
BETWEEN = "a2a-sdk[http-server,grpc]==1.0.0"
RELEASES = [*ages(NEWEST, OLDEST), *([pytest.param((BETWEEN,), id="between")] if EVERY_AGE else [])]
BINDINGS = ("JSONRPC", "HTTP+JSON", "GRPC")
RULES = {"OTEL_TRACES_SAMPLER_ARG": "GET /sampled*=1, *=0"}


class Agents:
    """A caller and an agent with the SDK, and the next service."""

    def __init__(self, edge: Edge, libraries: tuple[str, ...], **env: str) -> None:
        self.edge, self.libraries = edge, libraries
        caller, agent, grpc, peer = (edge.system.free_port() for _ in range(4))
        self.url = f"http://{HOST}:{caller}"
        self.agent = f"http://{HOST}:{agent}"
        self.env = {"A2A_URL": self.agent, "A2A_GRPC": f"{HOST}:{grpc}", "PEER": f"http://{HOST}:{peer}", **env}
        started = [
            (self.start("caller", "a2a_caller:app", caller), caller),
            (self.start("agent", "a2a_agent:app", agent), agent),
            (self.start("peer", "peer:app", peer), peer),
        ]
        for child, port in started:
            child.wait_until(lambda port=port: is_listening(port), "listening", 60)  # type: ignore[misc]

    def start(self, name: str, app: str, port: int) -> Child:
        words = ("python", "-m", "uvicorn", app, "--port", str(port))
        return self.edge.start(name, *words, libraries=self.libraries, env={**RULES, **self.env})

    def call(self, text: str, binding: str, style: str, *, sampled: bool) -> tuple[str, str]:
        """Returns the trace id, and what the caller got."""
        known = len(self.edge.system.logs("caller"))
        where = f"{self.url}/{'sampled' if sampled else 'unsampled'}/{binding}/{style}/{text}"
        answer = httpx.get(where, timeout=30).raise_for_status().json()
        lines = [line for line in self.edge.system.logs("caller")[known:] if line["message"].startswith("called")]
        return str(lines[0]["trace_id"]), answer

    def told(self) -> list[tuple[str, bool]]:
        """For each message that the agent got: the trace id of its line, and whether the next service was told it."""
        lines = [line for line in self.edge.system.logs("agent") if str(line.get("message")).startswith("told to")]
        return [(str(line.get("trace_id")), str(line.get("trace_id")) in line["message"]) for line in lines]


def late(spans: Sequence[Span], service: str) -> list[Span]:
    return [one for one in servers(spans) if one.service == service and "tracebaton.kept" in one.attributes]


@pytest.mark.parametrize("libraries", RELEASES)
def test_a_call_is_part_of_the_trace_of_its_caller(
    edge: Edge, cell: Callable[..., None], libraries: tuple[str, ...]
) -> None:
    release = libraries[0].partition("==")[2]
    for binding in BINDINGS:
        for sampled in (True, False):
            cell(f"A2A by {binding}", f"a2a-sdk {release}", style="async", sampled=sampled)
    agents = Agents(edge, libraries)
    sampled, unsampled, kept = {}, {}, {}
    for binding in BINDINGS:
        for style in ("single", "stream"):
            sampled[agents.call("call", binding, style, sampled=True)[0]] = binding
            unsampled[agents.call("call", binding, style, sampled=False)[0]] = binding
            for text in ("fail", "raise"):
                kept[agents.call(text, binding, style, sampled=False)[0]] = (binding, style, text)
    assert all(told for _, told in agents.told())
    assert {trace_id for trace_id, _ in agents.told()} == {*sampled, *unsampled, *kept}
    # What no handler sees.
    wrong = httpx.post(f"{agents.agent}/rpc", json={"jsonrpc": "2.0", "id": 1, "method": "no/such"}, timeout=20)
    assert (wrong.status_code, "error" in wrong.json()) == (200, True)

    # Where the answer says 500, the caller has noted a call that failed. It went on all the same.
    noted = {trace_id for trace_id, call in kept.items() if call[0] == "HTTP+JSON" and call[2] == "raise"}
    spans = edge.whole(
        sampled,
        lambda spans: (
            len(late(spans, "agent")) >= len(kept) + 1 and {span.trace_id for span in late(spans, "caller")} >= noted
        ),
    )
    at_agent = late(spans, "agent")
    assert {span.trace_id for span in at_agent} >= kept.keys()
    assert len(at_agent) == len(kept) + 1
    assert {span.trace_id for span in late(spans, "caller")} == noted
    for trace_id in noted:
        top = assert_partial([span for span in spans if span.trace_id == trace_id])
        assert (top.service, top.kind, top.status) == ("caller", "SERVER", "UNSET")
    assert not unsampled.keys() & {span.trace_id for span in spans}
    whole = [span for span in spans if span.trace_id in sampled]
    assert_whole(whole, roots=len(sampled))
    for trace_id, binding in sampled.items():
        kinds = sorted((span.service, span.kind) for span in whole if span.trace_id == trace_id)
        assert kinds == [
            ("agent", "CLIENT"),
            ("agent", "INTERNAL"),  # the application's own
            ("agent", "SERVER"),
            *([("caller", "CLIENT")] if binding != "GRPC" else []),
            ("caller", "SERVER"),
            ("peer", "SERVER"),
        ]


@pytest.mark.parametrize("libraries", RELEASES)
def test_each_message_of_a_task_belongs_to_its_own_request(edge: Edge, libraries: tuple[str, ...]) -> None:
    agents = Agents(edge, libraries)
    task = httpx.get(f"{agents.url}/sampled/ask", timeout=30).raise_for_status().json()
    httpx.get(f"{agents.url}/sampled/finish", params=task, timeout=30).raise_for_status()
    lines = [line for line in edge.system.logs("caller") if line["message"] in ("asked", "finished")]
    requests = [(str(line["trace_id"]), True) for line in lines]
    assert len(dict(requests)) == 2
    assert agents.told() == requests


@pytest.mark.parametrize("asked", ["true", "false"])
def test_the_variable_of_the_sdk_decides_about_its_own_spans(edge: Edge, asked: str) -> None:
    agents = Agents(edge, (NEWEST,), OTEL_INSTRUMENTATION_A2A_SDK_ENABLED=asked)
    trace_id, _ = agents.call("call", "JSONRPC", "single", sampled=True)
    spans = edge.spans(lambda spans: {span.service for span in spans} == {"caller", "agent", "peer"})
    own = [span for span in spans if span.name.startswith("a2a.")]
    assert {span.trace_id for span in spans} == {trace_id}
    assert bool(own) == (asked == "true")
