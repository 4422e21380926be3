"""The demo: starts three traced agents, sends them work, and shows what tracebaton makes of it.

python drive.py [--keep]

Exit status: 0 if everything that is claimed in the summary was found true, 1 if not, 130 after Ctrl-C.
"""

import argparse
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import httpx
from checks import (
    Claim,
    check_complete,
    check_failure,
    check_hops,
    check_logs,
    check_page,
    check_requests,
    find_request,
    requests,
    trace_of,
)
from harness import System
from processes import ChildFailedError, wait_for
from report import Report

from tracebaton.view.spans import Span
from tracebaton.view.store import TraceStore

CHAIN = ("agent-a", "backend", "agent-b")
HEARTBEATS = 200
# The default sampler would thin out 200 heartbeats in a row; here each of them shall be seen to arrive.
RECORD_ALL = {"OTEL_TRACES_SAMPLER": "parentbased_always_on"}
# Agents that keep running export by themselves, each second instead of every five.
EXPORT_SOON = {"OTEL_BSP_SCHEDULE_DELAY": "1000"}
EXPECTED_SERVER_SPANS = 2 * len(CHAIN) + HEARTBEATS
SPANS_WITHIN = 15.0
PAGE_WITHIN = 5.0
SAVED = Path(__file__).resolve().parents[2] / ".demo" / "failing-chat.html"


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description="Runs three traced agents and shows their traces and logs.")
    parser.add_argument("--keep", action="store_true", help="leave everything running until Ctrl-C")
    keep = parser.parse_args(arguments).keep
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs start with it ignored
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _exit_on_signal)
    report = Report()
    try:
        return _demo(report, keep=keep)
    except ChildFailedError as error:
        report.failed(error)
        return 1
    except KeyboardInterrupt:
        report.line("interrupted; everything is stopped")
        return 130


def _demo(report: Report, *, keep: bool) -> int:
    with System() as system:
        urls = _start(report, system, {**RECORD_ALL, **(EXPORT_SOON if keep else {})})
        try:
            with httpx.Client(timeout=15, trust_env=False) as client:
                _send(report, client, urls)
        except httpx.HTTPError as error:
            system.stop_agents()  # they log after they have answered
            ends = [f"{name}:\n{system.children[name].output_end(5)}" for name in CHAIN]
            raise ChildFailedError("\n".join([str(error), *ends])) from error
        report.title("Collecting")
        late = [] if keep else _stop_agents(report, system)
        spans = _received(report, system)
        _show(report, system, spans)
        claims = _claims(system, spans)
        if keep:
            report.summary(claims, sent=HEARTBEATS + 2, spans=spans)
            report.line(f"\nThe page, which stays up: {system.page}")
            report.what_to_try(_commands(system, urls))
            _show_new_traces(report, system, len(spans))
        else:
            claims.append(Claim("the agents stopped in time", f"killed: {', '.join(late)}" if late else ""))
            _save_page(system, spans)
    claims.append(Claim("no process and no open port is left", ", ".join(system.left_behind())))
    if keep:
        report.line(f"stopped; {claims[-1].problem or claims[-1].text}")
    else:
        report.summary(claims, sent=HEARTBEATS + 2, spans=spans)
        report.line(f"\nThe failing chat as the page showed it: {SAVED.as_uri()}")
        report.line("`make demo KEEP=1` leaves the agents and the whole page running.")
    return 0 if all(claim.holds for claim in claims) else 1


def _start(report: Report, system: System, env: dict[str, str]) -> dict[str, str]:
    """Start everything, the last agent of the chain first; return the agents' URLs."""
    report.title("Starting")
    with report.step("Redis"):
        system.start_redis()
    with report.step("tracebaton view, the local receiver"):
        system.start_receiver(page_with_logs_of=CHAIN)
    urls: dict[str, str] = {}
    next_url = ""
    for name in reversed(CHAIN):
        with report.step(f"{name}: tracebaton run uvicorn main:app"):
            next_url = urls[name] = system.start_agent(name, next_url, env)
    return urls


def _send(report: Report, client: httpx.Client, urls: dict[str, str]) -> None:
    first, last = CHAIN[0], CHAIN[-1]
    report.title("Sending")
    with report.step(f"a chat, {' -> '.join(CHAIN)}"):
        _expect(client.post(f"{urls[first]}/agents/{last}/chat", json={"text": "hello"}), 200)
    with report.step(f"a chat that makes {last} fail"):
        _expect(client.post(f"{urls[first]}/agents/{last}/chat", json={"text": "please fail"}), 502)
    with report.step(f"{HEARTBEATS} heartbeats"):
        for number in range(HEARTBEATS):
            name = CHAIN[number % len(CHAIN)]
            _expect(client.post(f"{urls['backend']}/agents/{name}/heartbeat"), 204)


def _stop_agents(report: Report, system: System) -> list[str]:
    with report.step("stopping the agents with SIGTERM, which must lose no span"):
        return system.stop_agents()


def _received(report: Report, system: System) -> list[Span]:
    """The spans received, once all that are expected have come or the time is over."""
    with report.step("waiting for the spans"):
        wait_for(lambda: _all_in(system.spans()), SPANS_WITHIN, interval=0.1)
    return system.spans()


def _all_in(spans: Sequence[Span]) -> bool:
    servers = sum(span.kind == "SERVER" for span in spans)
    return servers >= EXPECTED_SERVER_SPANS and check_complete(spans).holds


def _show(report: Report, system: System, spans: Sequence[Span]) -> None:
    chat, failing = _chats(spans)
    heartbeats = requests(spans, "backend", "/heartbeat")
    report.tree("The chat", trace_of(spans, chat) if chat else [])
    report.tree("The chat that failed", trace_of(spans, failing) if failing else [])
    report.tree(f"One of the {len(heartbeats)} heartbeats", trace_of(spans, heartbeats[-1]) if heartbeats else [])
    if failing:
        report.logs(failing.trace_id, {name: system.logs(name) for name in CHAIN})


def _chats(spans: Sequence[Span]) -> tuple[Span | None, Span | None]:
    return (find_request(spans, CHAIN[0], "/chat", 200), find_request(spans, CHAIN[0], "/chat", 502))


def _claims(system: System, spans: Sequence[Span]) -> list[Claim]:
    chat, failing = _chats(spans)
    logs = {name: system.logs(name) for name in CHAIN}
    of_failing = trace_of(spans, failing) if failing else []
    return [
        *check_hops("chat", spans, chat, CHAIN, "/chat"),
        *check_hops("failing chat", spans, failing, CHAIN, "/chat"),
        check_failure(spans, failing, CHAIN[-1], "/chat"),
        check_logs(logs, spans, failing),
        _check_page(system, of_failing, logs),
        check_requests(spans, "backend", "/heartbeat", HEARTBEATS),
        check_complete(spans),
    ]


def _check_page(system: System, trace: Sequence[Span], logs: Mapping[str, Sequence[Mapping[str, Any]]]) -> Claim:
    """What the page has of a trace, once it has all of it or the time is over."""
    found: dict[str, Any] = {}

    def is_whole() -> bool:
        found.update(httpx.get(f"{system.page}/api/trace/{trace[0].trace_id}", trust_env=False).json())
        return check_page(found, trace, logs).holds

    if trace:
        wait_for(is_whole, PAGE_WITHIN, interval=0.2)
    return check_page(found, trace, logs)


def _save_page(system: System, spans: Sequence[Span]) -> None:
    """The failing chat as one file, which opens although nothing runs any more."""
    _, failing = _chats(spans)
    if failing:
        page = httpx.get(f"{system.page}/trace/{failing.trace_id}.html", trust_env=False)
        SAVED.parent.mkdir(exist_ok=True)
        SAVED.write_bytes(page.content)


def _commands(system: System, urls: dict[str, str]) -> list[str]:
    chat = f"curl {urls[CHAIN[0]]}/agents/{CHAIN[-1]}/chat -H 'content-type: application/json' -d"
    return [
        f'{chat} \'{{"text": "hello"}}\'',
        f'{chat} \'{{"text": "please fail"}}\'',
        f"curl -X POST {urls['backend']}/agents/{CHAIN[0]}/heartbeat",
        *(f"tail -f {system.children[name].stderr}" for name in CHAIN),
    ]


def _show_new_traces(report: Report, system: System, seen: int) -> None:
    """Until Ctrl-C, print each further trace as a tree."""
    store = TraceStore(quiet_after=1.5)
    try:
        while not (ended := [child for child in system.children.values() if child.returncode is not None]):
            spans = system.spans()
            store.add(spans[seen:])
            seen = len(spans)
            for trace in store.pop_quiet():
                report.trace(trace)
            time.sleep(0.3)
    except KeyboardInterrupt:
        return
    raise ChildFailedError(f"{ended[0].name} ended with status {ended[0].returncode}:\n{ended[0].output_end()}")


def _expect(response: httpx.Response, status: int) -> None:
    if response.status_code != status:
        raise httpx.HTTPStatusError(
            f"{response.request.method} {response.request.url} answered {response.status_code}, not {status}: "
            f"{response.text[:500]}",
            request=response.request,
            response=response,
        )


def _exit_on_signal(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
