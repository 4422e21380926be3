"""How fast a full store of `tracebaton view` answers: python bench/store.py [--mb 1000]

Chats of eight spans over three services, some of which fail, with three log lines each, until the file is full.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracebaton.store.lines import LogLine
from tracebaton.store.reader import StoreReader
from tracebaton.store.writer import StoreWriter
from tracebaton.view.spans import Span, SpanEvent

if TYPE_CHECKING:
    from collections.abc import Callable

_BEGAN = 1_790_000_000 * 10**9
_STATIC = {"telemetry.sdk.language": "python", "telemetry.sdk.name": "opentelemetry", "telemetry.sdk.version": "1.43.0"}
# Service, kind, parent's number, name and what it calls.
_SPANS = (
    ("agent-a", "SERVER", 0, "POST /agents/{name}/chat"),
    ("agent-a", "CLIENT", 1, "INCRBY"),
    ("agent-a", "CLIENT", 1, "POST"),
    ("backend", "SERVER", 3, "POST /agents/{name}/chat"),
    ("backend", "CLIENT", 4, "INCRBY"),
    ("backend", "CLIENT", 4, "POST"),
    ("agent-b", "SERVER", 6, "POST /agents/{name}/chat"),
    ("agent-b", "CLIENT", 7, "INCRBY"),
)


def chat(number: int, chance: random.Random) -> tuple[list[Span], list[LogLine]]:
    trace_id, began = f"{chance.getrandbits(128):032x}", _BEGAN + number * 10**7
    fails = chance.random() < 0.05
    own = chance.getrandbits(48)
    spans = []
    for place, (service, kind, parent, name) in enumerate(_SPANS, start=1):
        attributes: dict[str, Any] = {"db.system": "redis", "db.operation": name, "server.address": "redis"}
        if name == "POST":
            attributes = {"http.request.method": "POST", "http.response.status_code": 502 if fails else 200}
            attributes["url.full"] = f"http://{_SPANS[place][0]}:8000/agents/agent-b/chat"
        elif kind == "SERVER":
            attributes = {"http.route": "/agents/{name}/chat", "http.request.method": "POST", "url.scheme": "http"}
            attributes |= {"client.address": "10.0.0.7", "user_agent.original": "python-httpx/0.28.1"}
            attributes |= {"chat.id": f"{number:012d}", "http.response.status_code": 502 if fails else 200}
        event = SpanEvent("exception", began, {"exception.type": "ModelError", "exception.stacktrace": "line\n" * 200})
        spans.append(
            Span(
                trace_id=trace_id,
                span_id=f"{own:012x}{place:04x}",
                parent_span_id=f"{own:012x}{parent:04x}" if parent else "",
                name=name,
                kind=kind,
                start_ns=began + place * 10**6,
                end_ns=began + place * 10**6 + chance.randrange(10**6, 10**8),
                service=service,
                status="ERROR" if fails and name != "INCRBY" else "UNSET",
                status_message="",
                attributes=attributes,
                resource={**_STATIC, "service.name": service, "host.name": f"{service}-7d9f"},
                scope_name="opentelemetry.instrumentation.fastapi",
                scope_version="0.64b0",
                events=(event,) if fails and kind == "SERVER" else (),
            )
        )
    lines = [
        LogLine(trace_id, span.span_id, span.start_ns, span.service, "INFO", "agent", f"chat {number} received")
        for span in spans
        if span.kind == "SERVER"
    ]
    return spans, lines


def fill(path: str, size: int) -> tuple[int, list[str]]:
    """Until the file has that many bytes; returns how many spans were written and the ids of the last traces."""
    writer, chance, number, ids = StoreWriter(path, max_bytes=2 * size, durable=False), random.Random(7), 0, [""]
    while Path(path).stat().st_size < size:
        made = [chat(number + one, chance) for one in range(200)]
        number += 200
        writer.add_spans([span for spans, _ in made for span in spans])
        writer.add_lines([line for _, lines in made for line in lines])
        ids = [spans[0].trace_id for spans, _ in made]
    writer.close()
    return number * len(_SPANS), ids


def main() -> None:
    parser = argparse.ArgumentParser(description="How fast a full store answers.")
    parser.add_argument("--mb", type=int, default=1000)
    megabytes = parser.parse_args().mb
    with tempfile.TemporaryDirectory() as directory:
        path = str(Path(directory) / "traces.db")
        began = time.perf_counter()
        spans, ids = fill(path, megabytes * 10**6)
        print(f"{spans} spans in {megabytes} MB, {spans / (time.perf_counter() - began):.0f} a second")
        reader = StoreReader(path)
        asked: dict[str, Callable[[], object]] = {
            f"list {' '.join(map('='.join, query.items()))}": lambda query=query: reader.traces(query)
            for query in (
                {},
                {"status": "error"},
                {"service": "agent-b"},
                {"route": "/agents/{name}/chat"},
                {"min_us": "90000"},
                {"text": "chat 12345"},
                {"attr": "chat.id=000000012345"},
                {"attr": "http.response.status_code=502"},
            )
        }
        asked |= {
            "trace": lambda: reader.trace_json(ids[0]),
            "compare": lambda: reader.compare(ids[0]),
            "services": reader.services,
            "rate": reader.rate,
        }
        for name, ask in asked.items():
            times = [timed(ask) for _ in range(5)]
            print(f"{name:45} {times[0]:7.1f} ms at first, then {statistics.median(times[1:]):7.1f} ms")
        reader.close()


def timed(ask: Callable[[], object]) -> float:
    began = time.perf_counter()
    ask()
    return (time.perf_counter() - began) * 1000


if __name__ == "__main__":
    main()
