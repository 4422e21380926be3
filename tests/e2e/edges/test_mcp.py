"""MCP on every transport: each call in its own trace, whoever opened the session that all of them share."""

from __future__ import annotations

import asyncio
import os
import secrets
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from libraries import EVERY_AGE, environment
from processes import HOST, is_listening, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from edge_services import Edge
    from processes import Child

    from tracebaton.view.spans import Span

    Answers = dict[str, tuple[str, dict[str, Any]]]

NEWEST_1, NEWEST_2 = ("mcp>=1.30,<2",), ("mcp>=2.3,<3",)
AGES = [pytest.param(NEWEST_1, id="1-newest"), pytest.param(NEWEST_2, id="2-newest")]
if EVERY_AGE:  # mcp 1.10 uses parts of pydantic that later ones do not have
    AGES += [
        pytest.param(("mcp==1.10.1", "pydantic<2.12"), id="1-oldest"),
        pytest.param(("mcp==2.0.1",), id="2-oldest"),
    ]
FASTMCP = [pytest.param((f"fastmcp=={release}",), id=release) for release in ("2.14.7", "3.4.11", "4.2.3")]
every_age = pytest.mark.skipif(not EVERY_AGE, reason="make edges")
TRANSPORTS = ("stateful", "stateless", "events", "stdio")
PARENT = "b7ad6b7169203331"
# The Python of the environment, which has no script of its own for it.
UVICORN = ("python", "-m", "uvicorn", "--timeout-graceful-shutdown", "1")
RECORDED = {"OTEL_TRACES_SAMPLER_ARG": "*=1, CLIENT *=1"}


class Agents:
    """An agent with MCP tools of a service beside it, and of a program that it starts; and a third service."""

    def __init__(self, edge: Edge, client: tuple[str, ...], server: tuple[str, ...], **env: str) -> None:
        self.edge = edge
        self._starting: list[tuple[Child, int]] = []
        env["PEER"] = self.serve("peer", "peer:app", ())
        self.tools = self.serve("tools", "mcp_tools:app", server, **env)
        self.agent = self.serve("agent", "mcp_agent:app", client, TOOLS=self.tools, **env)
        for child, port in self._starting:
            child.wait_until(lambda port=port: is_listening(port), "listening", 40)  # type: ignore[misc]

    def serve(self, name: str, app: str, libraries: tuple[str, ...], **env: str) -> str:
        port = self.edge.system.free_port()
        child = self.edge.start(name, *UVICORN, app, "--port", str(port), libraries=libraries, env=env)
        self._starting.append((child, port))
        return f"http://{HOST}:{port}"

    def call(self, *paths: str, sampled: bool) -> Answers:
        """Call the agent with all of them at once; what each answered, by the trace id that it was called with."""

        async def one(client: httpx.AsyncClient, path: str) -> tuple[str, tuple[str, dict[str, Any]]]:
            trace = secrets.token_hex(16)
            header = f"00-{trace}-{PARENT}-{'01' if sampled else '00'}"
            answer = await client.get(f"{self.agent}/{path}", headers={"traceparent": header})
            answer.raise_for_status()
            return trace, (path, answer.json())

        async def every() -> Answers:
            async with httpx.AsyncClient(timeout=60) as client:
                return dict(await asyncio.gather(*(one(client, path) for path in paths)))

        return asyncio.run(every())

    def rpc(self, meta: dict[str, Any] | None, **headers: str) -> str:
        """Call a tool as a client of another make does, which sends a `traceparent` here or there, or none."""
        params: dict[str, Any] = {"name": "look", "arguments": {}} | ({"_meta": meta} if meta is not None else {})
        answer = httpx.post(
            f"{self.tools}/stateless/mcp",
            json={"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params},
            headers={"Accept": "application/json, text/event-stream", **headers},
            follow_redirects=True,
        )
        answer.raise_for_status()
        return answer.text

    def assert_connected(self, answers: Answers, *, sampled: bool) -> None:
        """The third service was called in the trace that the agent was called in, and lines of log say so."""
        logged = [line for name in ("agent", "tools", "stdio") for line in self._logs(name)]
        for trace, (path, answer) in answers.items():
            found = (answer["text"][:35], answer["text"][-2:], answer["failed"])
            assert found == (f"00-{trace}", "01" if sampled else "00", False), (path, answer)
            lines = [line for line in logged if trace in str(line)]
            assert {line["trace_id"] for line in lines if "message" in line} == {trace}, path
            if path.endswith("ask"):
                assert {"progress", f"sampled for {answer['text']}"} <= {line["message"] for line in lines}, path

    def _logs(self, name: str) -> list[dict[str, Any]]:
        return self.edge.system.logs(name) if name in self.edge.system.children else []


def called_peer(answers: Answers) -> Callable[[Sequence[Span]], bool]:
    return lambda spans: set(answers) <= {span.trace_id for span in spans if span.service == "peer"}


def of(spans: Sequence[Span], traces: Collection[str]) -> list[Span]:
    return [span for span in spans if span.trace_id in traces]


def assert_one_tree(spans: Sequence[Span]) -> None:
    """Below the caller that the test is, whose span nobody has."""
    (root,) = [span for span in spans if span.parent_span_id == PARENT]
    known = {span.span_id for span in spans}
    assert [span for span in spans if span.parent_span_id not in known] == [root]


def above(spans: Sequence[Span], leaf: Span) -> list[Span]:
    """From the agent's request down to this one."""
    by_id = {span.span_id: span for span in spans}
    found: list[Span] = []
    at: Span | None = leaf
    while at is not None:
        found.insert(0, at)
        at = by_id.get(at.parent_span_id)
    return found


@pytest.mark.parametrize("library", AGES)
def test_each_call_is_in_its_own_trace(edge: Edge, cell: Callable[..., None], library: tuple[str, ...]) -> None:
    transports = (*TRANSPORTS, *(("client",) if library is NEWEST_2 else ()))
    for transport in transports:
        for sampled in (True, False):
            cell(f"MCP, {transport}", library[0], style="async", sampled=sampled)
    agents = Agents(edge, library, library, **RECORDED)
    # Of the first request of each transport, which opens the session: one that is not sampled.
    first = agents.call(*(f"{transport}/look" for transport in transports), sampled=False)
    paths = [
        f"{transport}/{('look', 'think', 'look' if transport in ('stateless', 'client') else 'ask')[turn % 3]}"
        for transport in transports
        for turn in range(20 if transport == "stateful" else 3)
    ]
    sampled_ones = agents.call(*paths, sampled=True)
    unsampled_ones = {**first, **agents.call(*paths, sampled=False)}
    agents.assert_connected(sampled_ones, sampled=True)
    agents.assert_connected(unsampled_ones, sampled=False)
    spans = edge.spans(called_peer(sampled_ones))
    assert of(spans, unsampled_ones) == []
    for trace, (path, _) in sampled_ones.items():
        transport, tool = path.split("/")
        found = of(spans, [trace])
        assert_one_tree(found)
        (server,) = [span for span in found if span.name == f"tools/call {tool}" and span.kind != "CLIENT"]
        # One request of a service has one SERVER span: that of HTTP, where its answer is the call's.
        assert server.kind == ("SERVER" if transport in ("stdio", "events") else "INTERNAL"), path
        assert server.service == ("stdio" if transport == "stdio" else "tools")
        assert (server.attributes["mcp.method.name"], server.attributes["gen_ai.tool.name"]) == ("tools/call", tool)
        (peer,) = [span for span in found if span.service == "peer"]
        assert server in above(found, peer)
        assert "CLIENT" in {span.kind for span in above(found, server) if "tools/call" in span.name}
        # What a session does by itself is in no trace of a request.
        assert [span for span in found if span.service == "tools" and span.name.startswith("GET ")] == []
    assert_failures_are_kept(agents)
    assert_meta_wins(agents)


def assert_failures_are_kept(agents: Agents) -> None:
    """Each is one tree, from the agent's request down to the tool."""
    failed = agents.call(*(f"{transport}/fail" for transport in TRANSPORTS), sampled=False)
    assert all(answer["failed"] for _, answer in failed.values())

    def calls(spans: Sequence[Span]) -> list[Span]:
        return [span for span in of(spans, failed) if span.name.endswith("tools/call fail")]

    spans = agents.edge.spans(lambda spans: len(calls(spans)) == 2 * len(TRANSPORTS))
    for trace, (path, _) in failed.items():
        found = of(spans, [trace])
        assert {span.attributes.get("tracebaton.kept") for span in found} == {"error"}, path
        assert_one_tree(found)
        (server,) = [span for span in calls(found) if span.kind != "CLIENT"]
        names = [(span.service, span.kind) for span in above(found, server) if span in calls(found)]
        assert names == [("agent", "CLIENT"), (server.service, server.kind)], path
        assert server.attributes["error.type"] == "tool_error", path
        http = ["agent", "tools"] if path.startswith("state") else ["agent"]
        assert sorted(span.service for span in found if span.kind == "SERVER" and span is not server) == http, path


def assert_meta_wins(agents: Agents) -> None:
    """Over the header, which counts where there is no valid `_meta`."""
    one, two = secrets.token_hex(16), secrets.token_hex(16)
    header, meta = (f"00-{trace}-{PARENT}-01" for trace in (one, two))
    for other in (None, {"progressToken": 7}, {"traceparent": "nonsense"}, {"traceparent": 5}):
        assert f"00-{one}-" in agents.rpc(other, traceparent=header), other
    assert f"00-{two}-" in agents.rpc({"traceparent": meta}, traceparent=header)
    spans = agents.edge.spans(lambda spans: {"tools", "peer"} <= {span.service for span in of(spans, [two])})
    (call,) = [span for span in of(spans, [two]) if span.name == "tools/call look"]
    assert (call.kind, call.parent_span_id) == ("SERVER", PARENT)
    assert [link.trace_id for link in call.links] == [one]


@pytest.mark.parametrize("library", AGES if EVERY_AGE else AGES[:1])
def test_requests_of_every_kind(edge: Edge, library: tuple[str, ...]) -> None:
    program = edge.start("memory", "python", "mcp_in_memory.py", libraries=library, env=RECORDED)
    assert wait_for(lambda: program.returncode is not None, 40), program.output_end()
    assert program.returncode == 0, program.output_end()
    assert "ERROR" not in {line.get("level") for line in edge.system.logs("memory")}
    spans = edge.spans(lambda spans: len([span for span in spans if span.name == "request"]) == 3)
    for root in [span for span in spans if span.name == "request"]:
        found = of(spans, [root.trace_id])
        known = {span.span_id for span in found}
        assert [span for span in found if span.parent_span_id not in known] == [root]
        calls = {"tools/call look", "tools/call slow", "resources/read", "prompts/get hello", "tools/list"}
        assert {span.name for span in found} >= calls
        # Whoever gives up a call has not failed, nor has the tool.
        ours = [span for span in found if span.name == "tools/call slow" and span.scope_name == "tracebaton"]
        assert {span.status for span in ours} == {"UNSET"}


@pytest.mark.parametrize("library", AGES if EVERY_AGE else AGES[:1])
def test_a_server_on_stdio_loses_nothing_when_it_ends(edge: Edge, library: tuple[str, ...]) -> None:
    programs = str(environment(library))
    env = {**RECORDED, "PEER": "", "OTEL_BSP_SCHEDULE_DELAY": "60000", "PATH": f"{programs}:{os.environ['PATH']}"}
    program = edge.start("once", "python", "mcp_once.py", libraries=library, env=env)
    assert wait_for(lambda: program.returncode is not None, 40), program.output_end()
    assert program.returncode == 0, program.output_end()
    spans = edge.spans(lambda spans: any(span.name == "tools/call fail" and span.kind == "SERVER" for span in spans))
    (call,) = [span for span in spans if span.name == "tools/call fail" and span.kind == "SERVER"]
    assert (call.status, call.service == "once") == ("ERROR", False)


@every_age
@pytest.mark.parametrize(
    ("client", "server"), [pytest.param(NEWEST_1, NEWEST_2, id="1-to-2"), pytest.param(NEWEST_2, NEWEST_1, id="2-to-1")]
)
def test_one_generation_calls_the_other(
    edge: Edge, cell: Callable[..., None], client: tuple[str, ...], server: tuple[str, ...]
) -> None:
    for sampled in (True, False):
        cell("MCP", f"{client[0]} to {server[0]}", style="async", sampled=sampled)
    assert_plain_calls(Agents(edge, client, server, **RECORDED), *TRANSPORTS[:3])


@every_age
@pytest.mark.parametrize("library", FASTMCP)
def test_fastmcp(edge: Edge, cell: Callable[..., None], library: tuple[str, ...]) -> None:
    for sampled in (True, False):
        cell("FastMCP", library[0], style="sync, async", sampled=sampled)
    assert_plain_calls(Agents(edge, library, library, SERVER="fastmcp", **RECORDED), *TRANSPORTS)


@every_age
@pytest.mark.parametrize(
    ("library", "makes_spans"),
    [
        pytest.param(("mcp<2", "opentelemetry-instrumentation-mcp"), True, id="openllmetry"),
        pytest.param(("mcp<2", "openinference-instrumentation-mcp"), False, id="openinference"),
        pytest.param(("mcp>=2.3,<3", "openinference-instrumentation-mcp"), False, id="openinference-2"),
    ],
)
def test_beside_an_instrumentation(
    edge: Edge, cell: Callable[..., None], library: tuple[str, ...], *, makes_spans: bool
) -> None:
    for sampled in (True, False):
        cell("MCP", " ".join(library), style="async", sampled=sampled)
    agents = Agents(edge, library, library, **RECORDED)
    assert_plain_calls(agents, *TRANSPORTS, servers=0 if makes_spans else 1)


def assert_plain_calls(agents: Agents, *transports: str, servers: int = 1) -> None:
    agents.call(*(f"{transport}/look" for transport in transports), sampled=False)
    paths = [f"{transport}/{tool}" for transport in transports for tool in ("look", "think", "look")]
    sampled_ones = agents.call(*paths, sampled=True)
    unsampled_ones = agents.call(*paths, sampled=False)
    agents.assert_connected(sampled_ones, sampled=True)
    agents.assert_connected(unsampled_ones, sampled=False)
    spans = agents.edge.spans(called_peer(sampled_ones))
    assert of(spans, unsampled_ones) == []
    for trace, (path, _) in sampled_ones.items():
        found = of(spans, [trace])
        assert_one_tree(found)
        made = [span for span in found if "tools/call" in span.name and span.kind != "CLIENT"]
        assert len(made) == servers, (path, [(span.name, span.scope_name) for span in found])
    failed = agents.call(*(f"{transport}/fail" for transport in transports), sampled=False)
    spans = agents.edge.spans(lambda spans: set(failed) <= {span.trace_id for span in spans})
    assert {span.attributes["tracebaton.kept"] for span in of(spans, failed)} == {"error"}
    assert {span.trace_id for span in of(spans, failed)} == set(failed)
