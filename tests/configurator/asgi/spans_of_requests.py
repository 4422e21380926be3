"""Sends the same requests to the same applications, below upstream's instrumentation or the gate; prints the spans.

Run by test_same_spans.py, in a process of its own for each side and each semantic convention: what upstream patches is
patched for the whole process, and the convention is read once.

    python spans_of_requests.py upstream|gate
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, BackgroundTasks, FastAPI, HTTPException, Request
from fastapi.responses import PlainTextResponse, StreamingResponse
from fastapi.routing import APIRoute
from opentelemetry import propagate, trace
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased
from rawasgi import http_scope, send, traceparent
from starlette.applications import Starlette
from starlette.routing import Match, Route

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from opentelemetry.trace import SpanContext

MEMORY = InMemorySpanExporter()
HOST = (b"host", b"shop.example")
BOT = b"Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
MANY = [(f"x-header-{number}".encode(), b"value") for number in range(60)]


def provide_upstream() -> None:
    trace.set_tracer_provider(TracerProvider(sampler=ParentBased(ALWAYS_ON), shutdown_on_exit=False))


def provide_gate() -> None:
    """As `pipeline.start` does, with rules that record everything."""
    from tracebaton_configurator.asgi.instrumentation import AsgiInstrumentation
    from tracebaton_configurator.propagation.w3c import propagator
    from tracebaton_configurator.sampling.root_sampler import RuleRootSampler
    from tracebaton_configurator.sampling.rule_set import RuleSet
    from tracebaton_configurator.sampling.rules import effective_rules
    from tracebaton_configurator.sampling.sampler import DecisionIdGenerator, TracebatonSampler

    propagator.install()
    sampler = TracebatonSampler(RuleRootSampler(RuleSet(effective_rules("*=1"))))
    ids = DecisionIdGenerator(RandomIdGenerator())
    trace.set_tracer_provider(TracerProvider(sampler=sampler, id_generator=ids, shutdown_on_exit=False))
    asgi = AsgiInstrumentation(sampler, ids, trust_parent=True, keep_errors=True, keep_slower_than=None)
    asgi.around()["fastapi"].after()


def instrumented(app: FastAPI) -> FastAPI:
    FastAPIInstrumentor.instrument_app(app, exclude_spans=["send", "receive"])
    return app


def new_app(**arguments: Any) -> FastAPI:
    return FastAPI(openapi_url=None, **arguments)


def plain_app() -> FastAPI:
    app = new_app()

    @app.get("/hello")
    async def hello() -> dict[str, str]:
        return {"hello": "world"}

    @app.get("/agents/{name}/chat/{turn}")
    def chat(name: str, turn: int) -> str:
        return f"{name} {turn}"

    @app.get("/files/{rest:path}")
    async def files(rest: str) -> str:
        return rest

    @app.get("/raises")
    async def raises() -> None:
        raise ValueError("on purpose")

    @app.get("/bad-gateway")
    async def bad_gateway() -> None:
        raise HTTPException(502, "the next one")

    @app.get("/background")
    async def background(tasks: BackgroundTasks) -> str:
        tasks.add_task(afterwards)
        return "soon"

    @app.get("/background-raises")
    async def background_raises(tasks: BackgroundTasks) -> str:
        tasks.add_task(afterwards_raises)
        return "soon"

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        return StreamingResponse(chunks(3))

    @app.get("/endless")
    async def endless() -> StreamingResponse:
        return StreamingResponse(chunks(10_000))

    @app.get("/stream-raises")
    async def stream_raises() -> StreamingResponse:
        return StreamingResponse(chunks_and_an_error())

    @app.get("/children")
    async def children() -> str:
        tracer = trace.get_tracer("application")
        with tracer.start_as_current_span("child"):
            trace.get_current_span().add_event("in the child")
        await asyncio.create_task(child("in a task"))
        trace.get_current_span().set_attribute("application.attribute", "of its own")
        trace.get_current_span().update_name("renamed")
        return "done"

    @app.get("/baggage")
    async def baggage() -> dict[str, str]:
        carrier: dict[str, str] = {}
        propagate.inject(carrier)
        return {name: value for name, value in carrier.items() if name == "baggage"}

    class Trailing:
        """An ASGI endpoint that sends trailers."""

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": [], "trailers": True})
            await send({"type": "http.response.body", "body": b"x"})
            await send({"type": "http.response.trailers", "headers": [(b"x-sum", b"1")]})

    app.router.routes.append(Route("/trailers", Trailing()))

    class Silent:
        """An ASGI endpoint that answers nothing at all."""

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            return

    app.router.routes.append(Route("/silent", Silent()))

    class Cancelled:
        """An ASGI endpoint whose task is cancelled."""

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            raise asyncio.CancelledError

    app.router.routes.append(Route("/cancelled", Cancelled()))

    router = APIRouter(prefix="/inner")

    @router.get("/items/{item}")
    async def item(item: int) -> int:
        return item

    app.include_router(router, prefix="/v1")
    app.include_router(router, prefix="/v2")
    return app


def middleware_app() -> FastAPI:
    """Middleware and error handlers of the application's own, one of them rewriting what it is given."""
    app = new_app()

    @app.middleware("http")
    async def stamp(request: Request, call_next: Callable[[Request], Awaitable[Any]]) -> Any:
        trace.get_current_span().set_attribute("stamped", "yes")
        return await call_next(request)

    @app.exception_handler(KeyError)
    async def on_key_error(request: Request, error: KeyError) -> PlainTextResponse:
        return PlainTextResponse("no such key", 503)

    @app.exception_handler(Exception)
    async def on_error(request: Request, error: Exception) -> PlainTextResponse:
        return PlainTextResponse("sorry", 500)

    @app.get("/key-error")
    async def key_error() -> None:
        raise KeyError("missing")

    @app.get("/other-error/{number}")
    async def other_error(number: int) -> None:
        raise RuntimeError(f"number {number}")

    return app


def mounted_app() -> FastAPI:
    app = new_app()
    inner = instrumented(new_app())

    @inner.get("/items/{item}")
    async def item(item: int) -> int:
        return item

    bare = new_app()

    @bare.get("/items/{item}")
    async def bare_item(item: int) -> int:
        return item

    async def page(request: Request) -> PlainTextResponse:
        return PlainTextResponse(request.path_params["name"])

    app.mount("/instrumented", inner)
    app.mount("/bare/{tenant}", bare)
    app.mount("/starlette", Starlette(routes=[Route("/pages/{name}", page)]))
    return app


def hosted_app() -> FastAPI:
    """A route that looks at the host."""
    app = new_app()

    async def page(request: Request) -> PlainTextResponse:
        return PlainTextResponse("of a host")

    app.host("special.example", Starlette(routes=[Route("/hello", page)]))

    @app.get("/hello")
    async def hello() -> str:
        return "hello"

    return app


def growing_app() -> FastAPI:
    """A request for `/grow/{n}` adds the route `/grown/{n}`, and one to a router that was included before."""
    app = new_app()
    router = APIRouter(prefix="/router")

    @router.get("/first")
    async def first() -> str:
        return "first"

    app.include_router(router)

    @app.get("/grow/{number}")
    async def grow(number: int) -> int:
        app.add_api_route(f"/grown/{number}", first)
        return len(app.routes)

    @app.get("/grow-router/{number}")
    async def grow_router(number: int) -> int:
        router.add_api_route(f"/grown/{number}", first)
        return number

    @app.get("/replace")
    async def replace() -> str:
        app.router.routes[:] = [one for one in app.router.routes if getattr(one, "path", "") != "/old/{x}"]
        app.add_api_route("/old/{y}", first)
        return "replaced"

    @app.get("/old/{x}")
    async def old(x: str) -> str:
        return x

    return app


class Versioned(APIRoute):
    """A route that is there for requests with a certain header only."""

    def matches(self, scope: Any) -> tuple[Match, Any]:
        return super().matches(scope) if (b"x-version", b"2") in scope["headers"] else (Match.NONE, {})


def versioned_app(*, included: bool) -> FastAPI:
    app = new_app()
    router = APIRouter(route_class=Versioned) if included else app.router
    router.route_class = Versioned

    @router.get("/thing")
    async def thing() -> str:
        return "second version"

    if included:
        app.include_router(router)
    return app


async def afterwards() -> None:
    trace.get_current_span().add_event("afterwards")


async def afterwards_raises() -> None:
    raise ValueError("afterwards")


async def child(name: str) -> None:
    with trace.get_tracer("application").start_as_current_span(name):
        pass


async def chunks(count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield b"chunk"
        await asyncio.sleep(0)


async def chunks_and_an_error() -> AsyncIterator[bytes]:
    yield b"chunk"
    raise RuntimeError("in the middle")


def one(path: str, method: str = "GET", app: str = "plain", **changes: Any) -> dict[str, Any]:
    """A request; `answering` holds arguments of `send`."""
    return {"app": app, "method": method, "path": path, "answering": {}, **changes}


AGENTS = "/agents/bob/chat/7"
CASES: dict[str, list[dict[str, Any]]] = {
    "plain": [one("/hello")],
    "path parameters": [one(AGENTS), one("/agents/eve/chat/8"), one("/files/a/b/c.txt")],
    "a query with secrets": [
        one("/hello", query_string=b"sig=abc&AWSAccessKeyId=def&x=1&X-Goog-Signature=ghi&q=a%20b%2Fc"),
        one("/hello", query_string=b""),
        one(AGENTS, query_string=b"q=1"),
    ],
    "not found": [one("/nowhere"), one("/"), one("/hello/"), one("")],
    "method not allowed": [one("/hello", "POST"), one(AGENTS, "DELETE")],
    "head": [one("/hello", "HEAD")],
    "unknown method": [one("/hello", "BREW"), one("/hello", "get"), one("/nowhere", "BREW")],
    "raises": [one("/raises")],
    "bad gateway": [one("/bad-gateway")],
    "validation": [one("/agents/bob/chat/seven"), one("/v1/inner/items/x")],
    "many headers": [one("/hello", headers=[*MANY, HOST, *MANY])],
    "two hosts": [one("/hello", headers=[HOST, (b"host", b"other.example")])],
    "no headers": [one("/hello", headers=[])],
    "host with port": [
        one("/hello", headers=[(b"host", b"shop.example:8080")]),
        one("/hello", headers=[(b"host", b"")]),
    ],
    "two agents": [one("/hello", headers=[(b"user-agent", b"one"), (b"user-agent", b"two"), HOST])],
    "bytes beyond ascii": [
        one("/hello", headers=[HOST, (b"user-agent", "Müller".encode()), (b"x-\xff", b"\xff")]),
        one("/hello", headers=[HOST, (b"user-agent", b"M\xfcller")]),
        one("/hello", headers=[(b"host", b"sh\xf6p.example")]),
        one("/h\u00e9llo"),
        one("/files/\u65e5\u672c"),
    ],
    "bot": [
        one("/hello", headers=[HOST, (b"user-agent", BOT)]),
        one("/hello", headers=[(b"user-agent", b"AlwaysOn-Test")]),
    ],
    "no client": [one("/hello", client=None), one(AGENTS, client=None)],
    "client port 0": [one("/hello", client=("192.0.2.7", 0)), one("/hello", client=("192.0.2.7", 1))],
    "odd clients": [
        one("/hello", client=("192.0.2.7", None)),
        one("/hello", client=["192.0.2.7", 50123]),
        one("/hello", client=("", 0)),
        one("/hello", client=("192.0.2.7", 8000)),
        one("/hello", client=("192.0.2.7", 65535)),
    ],
    "odd servers": [
        one("/hello", server=None),
        one("/hello", server=("192.0.2.1", 80)),
        one("/hello", server=("/tmp/socket", None)),  # noqa: S108 (a name, not a file)
        one("/hello", server=("192.0.2.1", 50123), client=("192.0.2.7", 50123)),
    ],
    "a server address in a list": [one("/hello", server=["192.0.2.1", 8000])],
    "schemes and versions": [
        one("/hello", scheme="https"),
        one("/hello", http_version="2"),
        one("/hello", http_version="1.0", headers=[]),
    ],
    "streaming": [one("/stream")],
    "trailers": [one("/trailers")],
    "no answer": [one("/silent")],
    "raises in the middle of a stream": [one("/stream-raises")],
    "client gone": [
        one("/endless", answering={"breaks_at": 3}),
        one("/endless", answering={"incoming": [{"type": "http.disconnect"}]}),
        one("/endless", answering={"breaks_at": 3}, asgi={"version": "3.0", "spec_version": "2.4"}),
        one("/hello", answering={"breaks_at": 0}),
        one("/hello", answering={"breaks_at": 1}),
    ],
    "cancelled": [one("/cancelled")],
    "background": [one("/background"), one("/background-raises")],
    "children": [one("/children")],
    "remote parent": [one("/hello", headers=[HOST, traceparent(flags=1)]), one(AGENTS, headers=[traceparent(flags=3)])],
    "tracestate": [
        one("/children", headers=[HOST, traceparent(flags=1), (b"tracestate", b"vendor=value,other=2")]),
        one("/hello", headers=[traceparent(flags=1), (b"tracestate", b"a=1"), (b"tracestate", b"b=2")]),
    ],
    "baggage": [one("/baggage", headers=[HOST, (b"baggage", b"user=bob,team=a%2Cb")])],
    "routers": [one("/v1/inner/items/3"), one("/v2/inner/items/3"), one("/inner/items/3")],
    "middleware and handlers": [one("/key-error", app="middleware"), one("/other-error/5", app="middleware")],
    "mounts": [
        one("/instrumented/items/3", app="mounted"),
        one("/instrumented/nothing", app="mounted"),
        one("/bare/acme/items/3", app="mounted"),
        one("/bare/other/items/3", app="mounted"),
        one("/starlette/pages/a", app="mounted"),
        one("/starlette/pages/b", app="mounted"),
        one("/starlette", app="mounted"),
    ],
    "hosts": [
        one("/hello", app="hosted"),
        one("/hello", app="hosted", headers=[(b"host", b"special.example")]),
        one("/hello", app="hosted", headers=[(b"host", b"special.example"), HOST]),
    ],
    "root path of the server": [one("/proxy/hello", root_path="/proxy"), one("/hello", root_path="/proxy")],
    "root path of the application": [one("/hello", app="rooted"), one("/proxy/hello", app="rooted")],
    "routes added at run time": [
        one("/grown/1", app="growing"),
        one("/grow/1", app="growing"),
        one("/grown/1", app="growing"),
    ],
    "routes replaced at run time": [
        one("/old/1", app="growing"),
        one("/replace", app="growing"),
        one("/old/1", app="growing"),
    ],
    "routes added to an included router": [
        one("/router/grown/1", app="growing"),
        one("/grow-router/1", app="growing"),
        one("/router/grown/1", app="growing"),
    ],
    "a route class of the application": [
        one("/thing", app="versioned", headers=[HOST, (b"x-version", b"2")]),
        one("/thing", app="versioned", headers=[HOST]),
    ],
    "a route class in an included router": [
        one("/thing", app="versioned router", headers=[HOST, (b"x-version", b"2")]),
        one("/thing", app="versioned router", headers=[HOST]),
    ],
}


def rooted_app() -> FastAPI:
    app = new_app(root_path="/proxy")

    @app.get("/hello")
    async def hello() -> str:
        return "hello"

    return app


APPS = {
    "plain": plain_app,
    "middleware": middleware_app,
    "mounted": mounted_app,
    "hosted": hosted_app,
    "growing": growing_app,
    "rooted": rooted_app,
    "versioned": lambda: versioned_app(included=False),
    "versioned router": lambda: versioned_app(included=True),
}


def ordered(spans: list[ReadableSpan]) -> list[dict[str, Any]]:
    """The spans as data, without what differs from run to run; parents are named."""
    names = {context_of(span).span_id: span.name for span in spans}
    described = [described_span(span, names) for span in spans]
    return sorted(described, key=lambda span: json.dumps(span, sort_keys=True))


def context_of(span: ReadableSpan) -> SpanContext:
    context = span.get_span_context()
    assert context is not None
    return context


def described_span(span: ReadableSpan, names: dict[int, str]) -> dict[str, Any]:
    context = context_of(span)
    parent = None
    if span.parent is not None:
        parent = names.get(span.parent.span_id, f"{span.parent.span_id:x} of {span.parent.trace_id:x}")
        parent = {"who": parent, "remote": span.parent.is_remote, "flags": int(span.parent.trace_flags) & 1}
    scope = span.instrumentation_scope
    assert scope is not None
    assert span.start_time is not None
    assert span.end_time is not None
    assert span.start_time <= span.end_time
    return {
        "name": span.name,
        "kind": span.kind.name,
        "parent": parent,
        "flags": int(context.trace_flags),
        "remote": context.is_remote,
        "attributes": {name: [type(value).__name__, value] for name, value in (span.attributes or {}).items()},
        "events": [
            [event.name, {name: value for name, value in (event.attributes or {}).items() if "stack" not in name}]
            for event in span.events
        ],
        "status": [span.status.status_code.name, span.status.description],
        "links": [f"{link.context.span_id:x} of {link.context.trace_id:x}" for link in span.links],
        "scope": [scope.name, scope.version, scope.schema_url, dict(scope.attributes or {})],
        "trace_state": [pair for pair in context.trace_state.items() if pair[0] != "ot"],
        "resource": dict(span.resource.attributes)["telemetry.sdk.name"],
    }


async def ask(apps: dict[str, FastAPI], request: dict[str, Any]) -> dict[str, Any]:
    rest = {name: value for name, value in request.items() if name not in ("app", "answering")}
    answer = await send(apps[request["app"]], http_scope(**rest), **request["answering"])
    error = answer.error
    return {
        "status": answer.status,
        "body": answer.body.decode(),
        "error": None if error is None else [type(error).__name__, str(error)],
        "context": len(trace.context_api.get_current()),
    }


async def run_case(requests: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each request three times, from three ports: what is remembered from the first must hold for the others."""
    apps = {name: instrumented(make()) for name, make in APPS.items()}
    found = []
    for turn in range(3):
        for request in requests:
            client = request.get("client", ("192.0.2.7", 50123))
            if turn and client and len(client) == 2 and type(client[1]) is int and client[1] > 1:
                client = (client[0], (client[1] + turn * 7919) % 65536)
            answer = await ask(apps, {**request, "client": client})
            found.append({"answer": answer, "spans": ordered(list(MEMORY.get_finished_spans()))})
            MEMORY.clear()
    return found


async def run_at_once() -> list[dict[str, Any]]:
    """Fifty requests of all sorts at the same time, in different orders."""
    apps = {name: instrumented(make()) for name, make in APPS.items()}
    left_out = ("a server", "a route class", "cancelled", "client", "odd", "routes")
    pool = [request for name, case in CASES.items() if not name.startswith(left_out) for request in case]
    requests = [pool[(number * 37) % len(pool)] for number in range(50)]
    answers = await asyncio.gather(*(ask(apps, request) for request in requests))
    spans = ordered(list(MEMORY.get_finished_spans()))
    MEMORY.clear()
    return [{"answer": answer, "spans": []} for answer in answers] + [{"answer": None, "spans": spans}]


async def main(side: str) -> None:
    {"upstream": provide_upstream, "gate": provide_gate}[side]()
    provider = trace.get_tracer_provider()
    assert isinstance(provider, TracerProvider)
    provider.add_span_processor(SimpleSpanProcessor(MEMORY))
    found = {name: await run_case(requests) for name, requests in CASES.items()}
    found["at once"] = await run_at_once()
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
