"""What each distribution does as it installs, without a change to the application: python bench/features.py

Each mark is what was seen: the trace id that arrives at the next service, a line of output, or what came to a receiver.
Writes the table into README.md, between the marks `<!-- made by: make features -->` and `<!-- end -->`.
"""

from __future__ import annotations

import re
import signal
import sys
import time
import urllib.error
import urllib.request
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING

import contenders as field
import venvs
from rich.console import Console
from scenarios import Scenario
from sink import SECRET
from system import HOST, System, wait_for
from table import grid

if TYPE_CHECKING:
    from collections.abc import Callable

    from contenders import Contender
    from processes import Child

README = Path(__file__).resolve().parents[1] / "README.md"
_MARKED = re.compile(r"(<!-- made by: make features -->\n).*?(<!-- end -->)", re.DOTALL)
CONTENDERS = ("tracebaton 10 %", "upstream 10 %", "dash0 10 %", "elastic 10 %", "logfire 10 %", "ddtrace 10 %")
OUTAGE = 20  # seconds
_SETTLE = 15.0


class _Service(Scenario):
    def uvicorn(self) -> list[str]:
        return ["feature_app:app", "--host", HOST, "--no-access-log", "--log-level", "warning"]


SERVICE = _Service("features", "features")


class Run:
    """A server of one contender, with the settings that it installs with."""

    def __init__(self, system: System, contender: Contender, name: str, **env: str) -> None:
        defaults = {key: value for key, value in contender.env.items() if key not in contender.always}
        self.system = system
        self.service = f"{field.slug(contender.name)}.{name}"
        self.child: Child
        self.child, self._port = system.start_server(
            replace(contender, env=defaults), SERVICE, self.service, env=env, core=None
        )

    def ask(self, path: str, traceparent: str = "") -> bytes:
        request = urllib.request.Request(f"http://{HOST}:{self._port}{path}")
        if traceparent:
            request.add_header("traceparent", traceparent)
        with suppress(urllib.error.HTTPError), urllib.request.urlopen(request, timeout=60) as answer:
            found: bytes = answer.read()
            return found
        return b""

    def within_trace(self, path: str) -> str:
        """Ask as a service within a trace does; the trace id."""
        trace_id = token_hex(16)
        self.ask(path, f"00-{trace_id}-{token_hex(8)}-01")
        return trace_id

    def hands_on(self, by: str) -> bool:
        trace_id = self.within_trace(f"/{by}")
        return trace_id in self.ask(f"/arrived/{by}").decode()

    def line_has_id(self) -> bool:
        trace_id = self.within_trace("/line")
        (line,) = [line for line in self.child.output().splitlines() if "a line of the application" in line]
        return trace_id in line or str(int(trace_id, 16)) in line

    def spans(self, what: str = "spans") -> int:
        return self.system.settled_counts().get(self.service, {}).get(what, 0)

    def stop(self) -> None:
        self.system.stop([self.child])


def measure(system: System, contender: Contender) -> dict[str, bool]:
    """All but the outage."""
    run = Run(system, contender, "health")
    for _ in range(3):
        run.ask("/health")
    found = {"health checks leave no spans": not run.spans()}
    found |= {
        "a call over httpx has the trace": run.hands_on("call"),
        "a thread of the request has it": run.hands_on("thread"),
        "a program that the request starts has it": run.hands_on("program"),
        "a line of text logging has its id": run.line_has_id(),
    }
    before = run.spans()
    run.ask("/hello")
    of_a_request = run.spans() - before
    run.ask("/query")
    found["a query to a database (sqlite3) has a span"] = run.spans() - before - of_a_request > of_a_request
    run.stop()

    run = Run(system, contender, "secret")
    run.ask(f"/hello?token={SECRET}")
    if not run.spans():
        raise RuntimeError(f"{contender.name}: no span has arrived\n{run.child.output_end()}")
    found["a token in a URL is not exported"] = not run.spans("secret")
    run.stop()

    run = Run(system, contender, "failed", **contender.never)
    for _ in range(3):
        run.ask("/fail")
    found["a failed request is kept although it was not sampled"] = run.spans("server") > 0
    run.stop()

    run = Run(system, contender, "ended")
    run.ask("/hello")
    run.child.signal(signal.SIGTERM)
    if not wait_for(lambda: run.child.returncode is not None, 30):
        raise RuntimeError(f"{contender.name} does not end at SIGTERM")
    found["SIGTERM loses no span"] = run.spans() > 0
    run.stop()
    return found


def measure_outage(system: System, measured: list[Contender]) -> dict[str, bool]:
    """All at once, as it takes its time."""
    otlp, http = system.free_port(), system.free_port()
    runs = {}
    for contender in measured:
        to = f"http://{HOST}:{http if contender.http else otlp}"
        runs[contender.name] = Run(
            system,
            contender,
            "outage",
            OTEL_EXPORTER_OTLP_ENDPOINT=to,
            DASH0_OTEL_COLLECTOR_BASE_URL=f"http://{HOST}:{http}",
            DD_TRACE_AGENT_URL=f"http://{HOST}:{http}",
        )
    for run in runs.values():
        run.ask("/hello")
    time.sleep(OUTAGE)
    late = system.start_sink("late sink", otlp, http)
    time.sleep(_SETTLE)
    counts = system.counts(late)
    for run in runs.values():
        run.stop()
    return {name: counts.get(run.service, {}).get("spans", 0) > 0 for name, run in runs.items()}


def rows(found: dict[str, dict[str, bool]]) -> list[list[str]]:
    """A line for each feature, a cell for each contender."""
    features = next(iter(found.values()))
    return [[feature, *("yes" if each[feature] else "-" for each in found.values())] for feature in features]


def main() -> int:
    console = Console(highlight=False)
    known = {each.name: each for each in field.contenders()}
    measured = [known[name] for name in CONTENDERS]
    venvs.prepare([each.venv for each in measured], console.print)
    say: Callable[[str], None] = console.print
    with System() as system:
        found = {}
        for contender in measured:
            say(contender.venv)
            found[contender.name] = measure(system, contender)
        say(f"an outage of {OUTAGE} seconds")
        outages = measure_outage(system, measured)
    for name, each in found.items():
        each[f"an outage of the receiver of {OUTAGE} s loses no span"] = outages[name]
    text = grid(["", *(each.venv for each in measured)], rows(found))
    README.write_text(
        _MARKED.sub(lambda mark: f"{mark[1]}{text}\n{mark[2]}", README.read_text(encoding="utf-8")), encoding="utf-8"
    )
    say(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
