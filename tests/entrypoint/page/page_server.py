"""The page's files and an API with made-up traces behind it, as the page is told by `tracebaton view`."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvicorn
from starlette.applications import Starlette
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from tracebaton.page.shared import shared_html

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request

STATIC = Path(str(files("tracebaton.page").joinpath("static")))
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
Trace = dict[str, Any]


def summary(trace: Trace) -> dict[str, Any]:
    spans = trace["spans"]
    known = {span["span_id"] for span in spans}
    root = next((span for span in spans if span["parent_span_id"] not in known), spans[0])
    start = min(span["start_us"] for span in spans)
    errors = sum(span["status"] == "ERROR" for span in spans)
    return {
        "trace_id": trace["trace_id"],
        "start_us": start,
        "duration_us": max(span["start_us"] + span["duration_us"] for span in spans) - start,
        "root": {
            "service": root["service"],
            "name": root["name"][:2000],
            "kind": root["kind"],
            "route": root["attributes"].get("http.route", root["name"])[:2000],
        },
        "services": list(dict.fromkeys(span["service"] for span in spans)),
        "spans": len(spans),
        "errors": errors,
        "logs": len(trace["logs"]),
        "status": "ERROR" if errors else "UNSET",
        "kept": next(
            (span["attributes"]["tracebaton.kept"] for span in spans if "tracebaton.kept" in span["attributes"]), None
        ),
        "partial": bool(root["parent_span_id"]),
        "complete": True,
    }


def matches(trace: Trace, short: dict[str, Any], asked: Any) -> bool:
    key, _, value = asked.get("attr", "").partition("=")
    return (
        (not asked.get("service") or asked["service"] in short["services"])
        and (not asked.get("route") or asked["route"] == short["root"]["route"])
        and (not asked.get("status") or (asked["status"] == "error") == bool(short["errors"]))
        and (not asked.get("kept") or bool(short["kept"]))
        and short["duration_us"] >= int(asked.get("min_us") or 0)
        and short["duration_us"] <= int(asked.get("max_us") or 10**15)
        and (not asked.get("text") or asked["text"].lower() in json.dumps(trace, ensure_ascii=False).lower())
        and (not key or any(str(span["attributes"].get(key)) == value for span in trace["spans"]))
    )


class PageServer:
    """Serves on a free port of loopback, on a thread of its own. `put` adds a trace and tells those who listen."""

    def __init__(self) -> None:
        self.traces: dict[str, Trace] = {}
        self.asked: list[str] = []
        self.listening: list[asyncio.Queue[str]] = []
        routes = [
            Route("/api/traces", self.list_traces),
            Route("/api/trace/{id}", self.one_trace),
            Route("/api/compare/{id}", self.compare),
            Route("/api/services", self.services),
            Route("/api/rate", self.rate),
            Route("/api/live", self.live),
            Route("/trace/{id}.html", self.file),
            Route("/trace/{id}.json", self.one_trace),
            Route("/static/{name}", self.static),
            Route("/{path:path}", self.index),
        ]
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        self.loop = asyncio.new_event_loop()
        self.server = uvicorn.Server(uvicorn.Config(Starlette(routes=routes), log_level="warning", lifespan="off"))
        self.server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        with contextlib.suppress(asyncio.CancelledError):
            self.loop.run_until_complete(self.server.serve([self.socket]))

    def stop(self) -> None:
        self.server.should_exit = True
        self.server.force_exit = True
        self.thread.join(10)

    def add(self, *traces: Trace) -> None:
        for trace in traces:
            self.traces[trace["trace_id"]] = trace

    def put(self, trace: Trace) -> None:
        self.add(trace)
        for span in trace["spans"]:
            self.tell("span", {**span, "trace_id": trace["trace_id"]})
        for line in trace["logs"]:
            self.tell("log", {**line, "trace_id": trace["trace_id"]})
        self.tell("trace", summary(trace))

    def tell(self, kind: str, data: Any) -> None:
        text = f"event: {kind}\ndata: {json.dumps(data)}\n\n"
        self.loop.call_soon_threadsafe(lambda: [queue.put_nowait(text) for queue in self.listening])

    def newest(self) -> list[tuple[Trace, dict[str, Any]]]:
        both = [(trace, summary(trace)) for trace in self.traces.values()]
        return sorted(both, key=lambda one: one[1]["start_us"], reverse=True)

    async def list_traces(self, request: Request) -> Response:
        asked = request.query_params
        self.asked.append(str(request.url.query))
        found = [short for trace, short in self.newest() if matches(trace, short, asked)]
        first = int(asked.get("before") or 0)
        until = first + int(asked.get("limit") or 50)
        answer = {"traces": found[first:until], "next": str(until) if until < len(found) else None, "total": len(found)}
        return JSONResponse(answer, headers={"cache-control": "no-store"})

    async def one_trace(self, request: Request) -> Response:
        trace = self.traces.get(request.path_params["id"])
        if trace is None:
            return JSONResponse({"error": "No trace with this id is stored."}, 404)
        return JSONResponse(trace, headers={"cache-control": "no-store"})

    async def file(self, request: Request) -> Response:
        trace = self.traces[request.path_params["id"]]
        return Response(
            shared_html(trace),
            media_type="text/html",
            headers={"content-disposition": "attachment; filename=trace.html"},
        )

    async def compare(self, request: Request) -> Response:
        both = self.newest()
        mine = next((one for one in both if one[0]["trace_id"] == request.path_params["id"]), None)
        if mine is None:
            return JSONResponse({"error": "No trace with this id is stored."}, 404)
        wanted = request.query_params.get("with")
        others = [
            one
            for one in both
            if one[0] is not mine[0]
            and (one[0]["trace_id"] == wanted if wanted else not one[1]["errors"] and one[1]["root"] == mine[1]["root"])
        ]
        other = others[0] if others else None
        rows: list[dict[str, Any]] = []
        theirs = dict(_paths(other[0])) if other else {}
        ours = dict(_paths(mine[0]))
        for path, span in ours.items():
            them = theirs.get(path)
            state = (
                "new"
                if them is None
                else "failed"
                if span["status"] == "ERROR" != them["status"]
                else "slower"
                if span["duration_us"] > them["duration_us"] * 1.2
                else "faster"
                if span["duration_us"] * 1.2 < them["duration_us"]
                else "same"
            )
            rows.append(_row(path, state, span, them))
        rows += [_row(path, "gone", None, span) for path, span in theirs.items() if path not in ours]
        return JSONResponse({"this": mine[1], "other": other[1] if other else None, "rows": rows})

    async def services(self, _: Request) -> Response:
        spans = [span for trace in self.traces.values() for span in trace["spans"]][:20_000]
        by_id = {span["span_id"]: span for span in spans}
        served: dict[str, list[Any]] = {}
        ends: dict[tuple[str, str], list[Any]] = {}
        edges: dict[tuple[str, str, str], list[Any]] = {}
        for span in spans:
            if span["kind"] == "SERVER":
                served.setdefault(span["service"], []).append(span)
                ends.setdefault(
                    (span["service"], str(span["attributes"].get("http.route", span["name"]))[:200]), []
                ).append(span)
                parent = by_id.get(span["parent_span_id"])
                if parent and parent["service"] != span["service"]:
                    edges.setdefault((parent["service"], span["service"], "http"), []).append(parent)
            elif system := span["attributes"].get("db.system"):
                edges.setdefault((span["service"], system, "db"), []).append(span)
            elif system := span["attributes"].get("messaging.system"):
                edges.setdefault((span["service"], system, "messaging"), []).append(span)
        return JSONResponse(
            {
                "services": [{"name": name, "requests": len(of), **_numbers(of)} for name, of in served.items()],
                "edges": [
                    {"from": a, "to": b, "kind": kind, "count": len(of), **_numbers(of)}
                    for (a, b, kind), of in edges.items()
                ],
                "endpoints": [
                    {
                        "service": service,
                        "route": route,
                        "count": len(of),
                        **_numbers(of),
                        "sparkline_p50": _line(of, 0.5),
                        "sparkline_p99": _line(of, 0.99),
                    }
                    for (service, route), of in ends.items()
                ],
            }
        )

    async def rate(self, request: Request) -> Response:
        buckets = int(request.query_params.get("buckets", 60))
        both = self.newest()
        if not both:
            return JSONResponse({"from_us": 0, "bucket_us": 60_000_000, "traces": [], "errors": []})
        start, end = both[-1][1]["start_us"], both[0][1]["start_us"] + 1
        size = max(1, -(-(end - start) // buckets))
        counts, errors = [0] * buckets, [0] * buckets
        for _, short in both:
            counts[(short["start_us"] - start) // size] += 1
            errors[(short["start_us"] - start) // size] += bool(short["errors"])
        return JSONResponse({"from_us": start, "bucket_us": size, "traces": counts, "errors": errors})

    async def live(self, _: Request) -> Response:
        async def events() -> AsyncIterator[str]:
            queue: asyncio.Queue[str] = asyncio.Queue(5000)
            self.listening.append(queue)
            try:
                yield ": begins\n\n"
                while True:
                    yield await queue.get()
            finally:
                self.listening.remove(queue)

        return StreamingResponse(events(), media_type="text/event-stream", headers={"cache-control": "no-store"})

    async def static(self, request: Request) -> Response:
        return FileResponse(
            STATIC / request.path_params["name"],
            headers={"x-content-type-options": "nosniff", "cache-control": "no-store"},
        )

    async def index(self, _: Request) -> Response:
        headers = {"content-security-policy": POLICY, "x-content-type-options": "nosniff", "cache-control": "no-store"}
        return FileResponse(STATIC / "index.html", headers=headers)


def _numbers(spans: list[Any]) -> dict[str, int]:
    times = sorted(span["duration_us"] for span in spans)
    return {
        "errors": sum(span["status"] == "ERROR" for span in spans),
        "p50_us": times[len(times) // 2],
        "p99_us": times[int(len(times) * 0.99)],
    }


def _line(spans: list[Any], part: float) -> list[int | None]:
    found: list[int | None] = []
    size = max(1, -(-len(spans) // 30))
    for index in range(30):
        times = sorted(span["duration_us"] for span in spans[index * size : (index + 1) * size])
        found.append(times[int(len(times) * part)] if times else None)
    return found


def _row(path: tuple[str, ...], state: str, mine: Any, theirs: Any) -> dict[str, Any]:
    return {
        "path": list(path),
        "state": state,
        "this_us": mine and mine["duration_us"],
        "other_us": theirs and theirs["duration_us"],
        "this_status": mine["status"] if mine else "",
        "other_status": theirs["status"] if theirs else "",
    }


def _paths(trace: Trace) -> list[tuple[tuple[str, ...], Any]]:
    by_id = {span["span_id"]: span for span in trace["spans"]}
    found = []
    for span in trace["spans"]:
        path: list[str] = []
        above = span
        while above is not None and len(path) < 50:
            path.insert(0, f"{above['service']} {above['kind']} {above['target'] or above['name']}")
            above = by_id.get(above["parent_span_id"])
        found.append((tuple(path), span))
    return found
