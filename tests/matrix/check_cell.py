"""What has to hold in every cell of the matrix; run by the cell's own Python: python tests/matrix/check_cell.py

A redis-server, a receiver and three agents, each a process of that environment, and four claims about what they leave:
the connected trace, the ids in the logs, the gate, and the exit.
"""

from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "docker" / "demo"))

from checks import check_complete, check_failure, check_hops, check_logs, find_request, requests
from harness import System
from processes import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tracebaton.view.spans import Span

CHAIN = ("agent-a", "backend", "agent-b")
HEARTBEATS = 20
# A chat with `quiet` is not sampled, all else is; and nothing is sent before the end, so that the exit has to.
ENVIRON = {"OTEL_TRACES_SAMPLER_ARG": "POST /agents/quiet/*=0, *=1", "OTEL_BSP_SCHEDULE_DELAY": "600000"}


def main() -> int:
    """Say what does not hold, a line each; the exit status is 0 where everything does."""
    with System() as system:
        problems = list(_check(system))
    for problem in problems:
        sys.stdout.write(f"{problem}\n")
    return 1 if problems else 0


def _check(system: System) -> Iterator[str]:
    system.start_redis()
    system.start_receiver()
    url = ""
    for name in reversed(CHAIN):
        url = system.start_agent(name, url, ENVIRON)
    with httpx.Client(base_url=url, timeout=20) as client:
        for name in ("agent-b", "quiet"):
            for text in ("hello", "please fail"):
                client.post(f"/agents/{name}/chat", json={"text": text})
        for _ in range(HEARTBEATS):
            client.post("/agents/agent-a/heartbeat")
    killed = system.stop_agents()
    if killed:
        yield f"exit: {', '.join(killed)} had to be killed"
    wait_for(lambda: len(requests(system.spans(), "agent-a", "/heartbeat")) >= HEARTBEATS, 5, 0.1)
    spans = system.spans()
    logs = {name: system.logs(name) for name in CHAIN}

    endpoint = "/agents/agent-b/chat"
    failing = find_request(spans, "agent-a", endpoint, 502)
    claims = [
        *check_hops("chat", spans, find_request(spans, "agent-a", endpoint, 200), CHAIN, endpoint),
        *check_hops("failing chat", spans, failing, CHAIN, endpoint),
        check_failure(spans, failing, "agent-b", endpoint),
        check_logs(logs, spans, failing),
        check_complete(spans),
    ]
    yield from (f"{claim.text}: {claim.problem}" for claim in claims if not claim.holds)
    yield from _check_gate(spans, logs)
    arrived = len(requests(spans, "agent-a", "/heartbeat"))
    if arrived != HEARTBEATS:
        yield f"exit: {arrived} of {HEARTBEATS} spans arrived"
    yield from _check_lines(logs)


def _check_gate(spans: Sequence[Span], logs: Mapping[str, Sequence[Mapping[str, Any]]]) -> Iterator[str]:
    """The unsampled chats: the trace goes on to the last agent, and of the two only the one that failed is kept."""
    unrecorded = {name: _unsampled_traces(lines) for name, lines in logs.items()}
    for before, after in pairwise(CHAIN):
        if len(unrecorded[before]) != 2 or unrecorded[before] != unrecorded[after]:
            yield f"gate: the unsampled traces of {before} and {after} are {unrecorded[before]} and {unrecorded[after]}"
    of_quiet = [span for span in spans if span.trace_id in unrecorded[CHAIN[0]]]
    kept = sorted((span.service, span.kind, str(span.attributes.get("tracebaton.kept"))) for span in of_quiet)
    # Each counts in Redis, and all but the last call the next one.
    calls = [(name, "CLIENT", "error") for name in (*CHAIN, *CHAIN[:-1])]
    if kept != sorted([*((name, "SERVER", "error") for name in CHAIN), *calls]):
        yield f"gate: of the unsampled chats these spans arrived: {kept}"
    if len({span.trace_id for span in of_quiet}) > 1:
        yield f"gate: the chat that did not fail has spans; logged were {_errors(logs)}"


def _unsampled_traces(lines: Sequence[Mapping[str, Any]]) -> set[str]:
    return {str(line["trace_id"]) for line in lines if line.get("trace_flags") in ("00", "02")}


def _errors(logs: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    lines = [(name, line) for name, of_agent in logs.items() for line in of_agent]
    return [f"{name}: {line}" for name, line in lines if line.get("level") in ("WARNING", "ERROR", "CRITICAL")]


def _check_lines(logs: Mapping[str, Sequence[Mapping[str, Any]]]) -> Iterator[str]:
    """Each agent says in one line that tracing is on, and nothing else."""
    for name, lines in logs.items():
        said = [str(line["message"]) for line in lines if line.get("logger") == "tracebaton"]
        if len(said) != 1 or not said[0].startswith("Tracing is on"):
            yield f"start line: {name} says {said}"


if __name__ == "__main__":
    sys.exit(main())
