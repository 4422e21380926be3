"""Requests to a FastAPI application that traces itself, with or without the gate above it; prints what became of them.

Run by test_fastapi_telemetry.py in a process of its own: the provider is global, and `FastAPI.__call__` is patched.

    python telemetry_requests.py fastapi|tracebaton RULES [TRUSTED]
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from fastapi import BackgroundTasks, FastAPI, HTTPException, WebSocket
from fastapi.responses import StreamingResponse
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from rawasgi import http_scope, send, traceparent, websocket_scope
from spans_of_requests import ordered
from starlette.requests import ClientDisconnect

from tracebaton_configurator.asgi.instrumentation import AsgiInstrumentation
from tracebaton_configurator.logs.ids import current_ids, remembered_ids
from tracebaton_configurator.propagation.w3c import propagator
from tracebaton_configurator.sampling.root_sampler import RuleRootSampler
from tracebaton_configurator.sampling.rule_set import RuleSet
from tracebaton_configurator.sampling.rules import effective_rules
from tracebaton_configurator.sampling.sampler import DecisionIdGenerator, TracebatonSampler

SEEN: list[Any] = []


def native_app() -> FastAPI:
    app, inner = FastAPI(openapi_url=None), FastAPI(openapi_url=None)

    @app.get("/hello/{name}")
    async def hello(name: str) -> str:
        SEEN.append(current_ids())
        return name

    @app.get("/raises")
    async def raises() -> None:
        SEEN.append(current_ids())
        raise ValueError("on purpose")

    @app.get("/unavailable")
    async def unavailable() -> None:
        SEEN.append(current_ids())
        raise HTTPException(503)

    @app.get("/background")
    async def background(tasks: BackgroundTasks) -> None:
        SEEN.append(current_ids())
        tasks.add_task(lambda: SEEN.append(current_ids()))

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        SEEN.append(current_ids())
        return StreamingResponse(iter(["a", "b"]))

    @app.get("/endless")
    async def endless() -> StreamingResponse:
        async def chunks() -> Any:
            while True:
                yield "x"
                await asyncio.sleep(0)

        return StreamingResponse(chunks())

    @app.get("/stream-raises")
    async def stream_raises() -> StreamingResponse:
        async def chunks() -> Any:
            yield "x"
            raise ValueError("on purpose")

        return StreamingResponse(chunks())

    @app.websocket("/ws")
    async def socket(websocket: WebSocket) -> None:
        SEEN.append(current_ids())
        await websocket.accept()
        await websocket.close()

    @inner.get("/items/{item}")
    async def item(item: int) -> int:
        SEEN.append(current_ids())
        return item

    app.mount("/inner", inner)
    return app


HOST = (b"host", b"shop.example")
REQUESTS: dict[str, dict[str, Any]] = {
    "plain": http_scope(path="/hello/bob"),
    "query": http_scope(path="/hello/bob", query_string=b"sig=secret&x=1"),
    "not found": http_scope(path="/nowhere"),
    "validation": http_scope(path="/inner/items/x"),
    "raises": http_scope(path="/raises"),
    "unavailable": http_scope(path="/unavailable"),
    "unavailable with query": http_scope(path="/unavailable", query_string=b"sig=secret&x=1"),
    "background": http_scope(path="/background"),
    "stream": http_scope(path="/stream"),
    "mounted": http_scope(path="/inner/items/3"),
    "sampled parent": http_scope(path="/hello/bob", headers=[HOST, traceparent(flags=1)]),
    "unsampled parent": http_scope(path="/hello/bob", headers=[HOST, traceparent(flags=0)]),
    "unsampled parent raises": http_scope(path="/raises", headers=[HOST, traceparent(flags=0)]),
    "web socket": websocket_scope("/ws", [HOST]),
}
GONE: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "as receive says": (http_scope(path="/endless"), {"incoming": [{"type": "http.disconnect"}]}),
    "as send says": (http_scope(path="/endless"), {"breaks_at": 3}),
    "as Starlette says": (
        http_scope(path="/endless", asgi={"version": "3.0", "spec_version": "2.4"}),
        {"breaks_at": 3},
    ),
    "not at all": (http_scope(path="/stream-raises"), {}),
}


async def main(side: str, rules: str, trusted: str = "yes") -> None:
    propagator.install()
    sampler = TracebatonSampler(RuleRootSampler(RuleSet(effective_rules(rules))))
    ids = DecisionIdGenerator(RandomIdGenerator())
    memory = InMemorySpanExporter()
    provider = TracerProvider(sampler=sampler, id_generator=ids, shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(memory))
    trace.set_tracer_provider(provider)
    if side == "tracebaton":
        asgi = AsgiInstrumentation(
            sampler,
            ids,
            trust_parent=trusted == "yes",
            keep_errors=True,
            keep_slower_than=None,
        )
        asgi.finish(lambda: False)
    app, found = native_app(), {}
    for name, (scope, how) in {**{name: (scope, {}) for name, scope in REQUESTS.items()}, **GONE}.items():
        SEEN.clear()
        options = {"incoming": [{"type": "websocket.connect"}]} if scope["type"] == "websocket" else how
        answer = await send(app, scope, **options)
        assert name in GONE or not isinstance(answer.error, ClientDisconnect)
        spans = memory.get_finished_spans()
        found[name] = {
            "status": answer.status,
            "body": answer.body.decode(),
            "error": None if answer.error is None else [type(answer.error).__name__, remembered_ids(answer.error)],
            "seen": list(SEEN),
            "spans": ordered(list(spans)),
            "ids": [[f"{one.context.trace_id:032x}", f"{one.context.span_id:016x}"] for one in spans],
        }
        memory.clear()
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
