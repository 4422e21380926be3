"""Sends requests to applications below `tracebaton run`, made in every way there is; prints the spans and the counts.

tracebaton run python every_application.py CASE
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import TYPE_CHECKING, Any

from rawasgi import http_scope, send, websocket_scope

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


def fastapi_by_module() -> Any:
    from fastapi.applications import FastAPI

    return FastAPI(openapi_url=None)


def fastapi_subclass() -> Any:
    from fastapi.applications import FastAPI

    class Own(FastAPI):
        def build_middleware_stack(self) -> Any:
            return super().build_middleware_stack()

    return Own(openapi_url=None)


def fastapi_as_usual() -> Any:
    from fastapi import FastAPI

    return FastAPI(openapi_url=None)


def starlette_as_usual() -> Any:
    from starlette.applications import Starlette

    return Starlette()


def starlette_before() -> Any:
    """The class as a library holds it that has imported it before Starlette's instrumentation came."""
    from fastapi import FastAPI
    from starlette import applications

    (original,) = [one for one in FastAPI.__mro__ if one.__name__ == "Starlette"]
    assert len(applications.Starlette.__mro__) >= len(original.__mro__)
    return original()


APPLICATIONS = {one.__name__: one for one in (
    fastapi_as_usual, fastapi_by_module, fastapi_subclass, starlette_as_usual, starlette_before
)}  # fmt: skip


def with_routes(app: Any) -> Any:
    from starlette.exceptions import HTTPException
    from starlette.responses import PlainTextResponse

    async def hello(request: Any) -> Any:
        return PlainTextResponse(request.path_params["name"])

    async def fail(request: Any) -> Any:
        raise ValueError("no")

    async def teapot(request: Any) -> Any:
        raise HTTPException(418)

    async def echo(websocket: Any) -> None:
        await websocket.accept()
        await websocket.send_text("hello")
        code = int(websocket.path_params["code"])
        if code:
            await websocket.close(code)
        else:
            await websocket.receive()

    async def refuse(websocket: Any) -> None:
        await websocket.close(1008)

    async def deny(websocket: Any) -> None:
        await websocket.send_denial_response(PlainTextResponse("no", 503))

    async def broken(websocket: Any) -> None:
        await websocket.accept()
        raise ValueError("no")

    app.router.add_route("/hello/{name}", hello)
    app.router.add_route("/fail", fail)
    app.router.add_route("/teapot/{name}", teapot)
    for path, endpoint in (("/ws/{code}", echo), ("/refuse", refuse), ("/deny", deny), ("/broken", broken)):
        app.router.add_websocket_route(path, endpoint)
    return app


async def ask(app: Any, *scopes: dict[str, Any]) -> None:
    for scope in scopes:
        incoming = [{"type": "websocket.connect"}, {"type": "websocket.disconnect", "code": 1001}]
        answer = await send(app, scope, incoming=incoming if scope["type"] == "websocket" else ())
        if answer.error is not None and str(answer.error) != "no":
            raise answer.error


async def plain(make: Callable[[], Any]) -> None:
    app = with_routes(make())
    await ask(app, *(http_scope(path=path) for path in ("/hello/you", "/fail", "/teapot/1", "/nothing")))


async def mounted(make: Callable[[], Any]) -> None:
    """Three deep, and called with another method, too."""
    app, middle, inner = make(), make(), with_routes(make())
    middle.mount("/deeper", inner)
    app.mount("/sub/{tenant}", middle)
    prefix = "/sub/acme/deeper"
    paths = ("/hello/you", "/fail", "/teapot/1", "/nothing")
    await ask(app, *(http_scope(path=prefix + path) for path in paths), http_scope("PUT", f"{prefix}/hello/you"))
    await ask(app, websocket_scope(f"{prefix}/ws/1000"))


async def websockets(make: Callable[[], Any]) -> None:
    app = with_routes(make())
    paths = ("/ws/1000", "/ws/1011", "/ws/0", "/refuse", "/deny", "/broken", "/nothing")
    extensions: dict[str, Any] = {"websocket.http.response": {}}
    await ask(app, *(websocket_scope(path, extensions=extensions) for path in paths))


async def ten_to_a_mounted_one(make: Callable[[], Any]) -> None:
    app = make()
    app.mount("/sub", with_routes(make()))
    await ask(app, *(http_scope(path="/sub/hello/you") for _ in range(10)))


async def own_provider(make: Callable[[], Any]) -> None:
    from opentelemetry.instrumentation.starlette import StarletteInstrumentor
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor

    StarletteInstrumentor().uninstrument()
    uninstrumented = with_routes(make())
    await ask(uninstrumented, http_scope(path="/hello/you"))
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(MEMORY))
    StarletteInstrumentor().instrument(tracer_provider=provider)
    await ask(with_routes(make()), http_scope(path="/hello/you"))


SCENES: dict[str, Callable[[Callable[[], Any]], Awaitable[None]]] = {
    one.__name__: one for one in (plain, mounted, websockets, ten_to_a_mounted_one, own_provider)
}


def main(scene: str, application: str) -> None:
    make = APPLICATIONS[application]
    make()  # whatever it imports
    from opentelemetry import metrics, trace
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor

    provider: Any = trace.get_tracer_provider()
    provider.add_span_processor(SimpleSpanProcessor(MEMORY))
    asyncio.run(SCENES[scene](make))
    spans = [
        {
            "name": span.name,
            "kind": span.kind.name,
            "status": span.status.status_code.name,
            "attributes": dict(span.attributes or {}),
            "events": [event.name for event in span.events],
        }
        for span in MEMORY.get_finished_spans()
    ]
    meters: Any = metrics.get_meter_provider()
    if hasattr(meters, "force_flush"):
        meters.force_flush()
    sys.stderr.write(f"\nRESULT {json.dumps(spans)}\n")


if __name__ == "__main__":
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    MEMORY = InMemorySpanExporter()
    main(*sys.argv[1:])
