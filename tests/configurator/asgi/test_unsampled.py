"""A request that is not recorded: an identity for logs and for the next service, no span, and nothing changed."""

from __future__ import annotations

import asyncio
import threading
from types import MethodType
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from fastapi import APIRouter, BackgroundTasks, FastAPI, HTTPException, Request, WebSocket
from fastapi.responses import PlainTextResponse, StreamingResponse
from opentelemetry import baggage, trace
from opentelemetry import context as context_api
from opentelemetry.instrumentation.utils import is_http_instrumentation_enabled, is_instrumentation_enabled
from opentelemetry.trace import SpanKind, format_span_id, format_trace_id
from rawasgi import http_scope, send, traceparent, websocket_scope
from starlette.applications import Starlette
from starlette.routing import Route

from tracebaton_configurator.logs.ids import current_ids, ended_ids, remembered_ids

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Behind, Downstream

    MakeBehind = Callable[..., Behind]

TRACE, PARENT = 0xABCDEF, 0x1234
VENDOR = (b"tracestate", b"vendor=value,other=2")


def identity() -> dict[str, Any]:
    """What code of the application can see of the trace."""
    context = trace.get_current_span().get_span_context()
    return {
        "trace_id": context.trace_id,
        "span_id": context.span_id,
        "flags": int(context.trace_flags),
        "state": context.trace_state.to_header(),
        "recording": trace.get_current_span().is_recording(),
        "ids": current_ids(),
        "enabled": is_instrumentation_enabled() or is_http_instrumentation_enabled(),
        "baggage": dict(baggage.get_all()),
    }


def reporting_app() -> tuple[FastAPI, list[dict[str, Any]]]:
    """RateCounters that note the identity they run under, in all the places where an application's code runs."""
    app, seen = FastAPI(), list[dict[str, Any]]()

    async def note() -> None:
        seen.append(identity())

    @app.get("/async")
    async def in_coroutine() -> None:
        await note()

    @app.get("/thread")
    def in_thread() -> str:
        seen.append(identity())
        return threading.current_thread().name

    @app.get("/task")
    async def in_task() -> None:
        await asyncio.create_task(note())
        await asyncio.gather(note(), note())

    @app.get("/pool")
    async def in_pool() -> None:
        await asyncio.to_thread(lambda: seen.append(identity()))

    @app.get("/background")
    async def in_background(tasks: BackgroundTasks) -> None:
        tasks.add_task(note)

    @app.get("/stream")
    async def in_stream() -> StreamingResponse:
        async def chunks() -> Any:
            for _ in range(3):
                await note()
                yield b"x"

        return StreamingResponse(chunks())

    return app, seen


class TestIdentity:
    async def ask(self, make: MakeBehind, path: str, *headers: tuple[bytes, bytes]) -> tuple[Behind, Any, Any]:
        behind = make("*=0")
        app, seen = reporting_app()
        answer = await send(behind.put_on(app), http_scope(path=path, headers=headers))
        assert answer.status == 200
        assert answer.error is None
        return behind, seen, answer

    def test_a_root_has_ids_of_its_own_and_the_flag_off(self, behind: MakeBehind) -> None:
        made, (one,), _ = asyncio.run(self.ask(behind, "/async"))
        assert one["trace_id"] != 0
        assert one["span_id"] != 0
        assert one["flags"] == 2, "not sampled; the trace id is random, and says so"
        assert one["state"] == ""
        assert not one["recording"]
        assert made.spans == []

    def test_log_lines_get_its_ids(self, behind: MakeBehind) -> None:
        _, (one,), _ = asyncio.run(self.ask(behind, "/async"))
        assert one["ids"] == (format_trace_id(one["trace_id"]), format_span_id(one["span_id"]), "00")

    def test_each_request_has_another(self, behind: MakeBehind) -> None:
        async def many() -> list[dict[str, Any]]:
            app, seen = reporting_app()
            behind("*=0").put_on(app)
            await asyncio.gather(*(send(app, http_scope(path="/async")) for _ in range(50)))
            return seen

        seen = asyncio.run(many())
        assert len({one["trace_id"] for one in seen}) == 50
        assert len({one["span_id"] for one in seen}) == 50

    @pytest.mark.parametrize("flags", [0, 2])
    def test_a_callers_trace_goes_on(self, behind: MakeBehind, flags: int) -> None:
        header = traceparent(TRACE, PARENT, flags)
        made, (one,), _ = asyncio.run(self.ask(behind, "/async", header, VENDOR, (b"baggage", b"user=bob")))
        assert one["trace_id"] == TRACE
        assert one["span_id"] not in (0, PARENT)
        assert one["flags"] == flags, "whether the trace id is random is the caller's word"
        assert one["state"] == "vendor=value,other=2"
        assert one["baggage"] == {"user": "bob"}
        assert made.spans == []

    @pytest.mark.parametrize("path", ["/thread", "/task", "/pool", "/background", "/stream", "/async"])
    def test_it_is_there_wherever_the_applications_code_runs(self, behind: MakeBehind, path: str) -> None:
        made, seen, _ = asyncio.run(self.ask(behind, path, traceparent(TRACE, PARENT, 0)))
        assert seen
        assert {one["trace_id"] for one in seen} == {TRACE}
        assert {one["flags"] for one in seen} == {0}
        assert PARENT not in {one["span_id"] for one in seen}
        assert {one["enabled"] for one in seen} == {False}, "instrumentations are told to stand still"
        assert made.spans == []

    def test_spans_of_the_application_are_not_recorded_either(self, behind: MakeBehind) -> None:
        made = behind("*=0")
        app, seen = FastAPI(), []

        @app.get("/")
        async def root() -> None:
            with made.provider.get_tracer("app").start_as_current_span("own"):
                seen.append(identity())

        asyncio.run(send(made.put_on(app), http_scope(headers=[traceparent(TRACE, PARENT, 0)])))
        assert [(one["trace_id"], one["flags"]) for one in seen] == [(TRACE, 0)]
        assert made.spans == []

    def test_nothing_is_left_behind_in_the_task(self, behind: MakeBehind) -> None:
        """A server may serve the next request of a connection in the same task."""

        async def one_task() -> list[Any]:
            app, seen = reporting_app()
            behind("*=0").put_on(app)
            before = dict(context_api.get_current())
            left = []
            for path in ("/async", "/stream", "/nowhere", "/background"):
                await send(app, http_scope(path=path))
                left.append(dict(context_api.get_current()) == before)
            assert len({one["trace_id"] for one in seen}) == 3
            return left

        assert asyncio.run(one_task()) == [True] * 4


class TestHandsOn:
    """HTTP clients below an unrecorded request send its context, and make no span."""

    def call(
        self, make: MakeBehind, traced_httpx: Any, endpoint: Callable[..., Any], *headers: tuple[bytes, bytes]
    ) -> Behind:
        behind = make("*=0")
        app = FastAPI()
        app.get("/")(endpoint)

        async def request() -> None:
            answer = await send(app, http_scope(headers=headers))
            assert (answer.status, answer.error) == (200, None)

        with traced_httpx(behind.provider):
            behind.put_on(app)
            asyncio.run(request())
        return behind

    def test_through_an_async_client(self, behind: MakeBehind, traced_httpx: Any, downstream: Downstream) -> None:
        seen: list[dict[str, Any]] = []

        async def endpoint() -> None:
            seen.append(identity())
            async with httpx.AsyncClient() as client:
                await client.get(downstream.url)
                await client.get(downstream.url)

        headers = traceparent(TRACE, PARENT, 0), VENDOR, (b"baggage", b"user=bob")
        made = self.call(behind, traced_httpx, endpoint, *headers)
        assert downstream.traceparents() == [f"00-{TRACE:032x}-{seen[0]['span_id']:016x}-00"] * 2
        assert [one["tracestate"] for one in downstream.seen] == ["vendor=value,other=2"] * 2
        assert [one["baggage"] for one in downstream.seen] == ["user=bob"] * 2
        assert made.spans == []

    def test_through_a_sync_client_in_a_thread(
        self, behind: MakeBehind, traced_httpx: Any, downstream: Downstream
    ) -> None:
        def endpoint() -> None:
            with httpx.Client() as client:
                client.get(downstream.url)
            httpx.get(downstream.url)

        made = self.call(behind, traced_httpx, endpoint)
        assert {one[-2:] for one in downstream.traceparents()} == {"02"}
        assert len(set(downstream.traceparents())) == 1
        assert "baggage" not in downstream.seen[0]
        assert made.spans == []

    def test_through_a_client_that_serves_all_requests(
        self, behind: MakeBehind, traced_httpx: Any, downstream: Downstream
    ) -> None:
        """Its connection stays open from one request to the next; the context does not."""
        made = behind("GET /silent=0, *=1")
        app = FastAPI()

        async def requests() -> None:
            async with httpx.AsyncClient(base_url=downstream.url) as client:

                @app.get("/silent")
                async def silent() -> None:
                    await client.get("/")

                @app.get("/recorded")
                async def recorded() -> None:
                    await client.get("/")

                made.put_on(app)
                for path in ("/silent", "/recorded", "/silent", "/recorded"):
                    await send(app, http_scope(path=path))
                await client.get("/")

        with traced_httpx(made.provider):
            asyncio.run(requests())
        flags = [int(one[-2:], 16) & 1 for one in downstream.traceparents()]
        assert flags == [0, 1, 0, 1, 1]
        assert len({one[3:35] for one in downstream.traceparents()}) == 5
        assert sorted(made.names) == ["GET", "GET", "GET", "GET /recorded", "GET /recorded"]

    def test_a_redirect_is_followed_with_it(
        self, behind: MakeBehind, traced_httpx: Any, downstream: Downstream
    ) -> None:
        async def endpoint() -> None:
            async with httpx.AsyncClient(follow_redirects=True) as client:
                await client.get(downstream.url + "/redirect")

        self.call(behind, traced_httpx, endpoint)
        assert len(downstream.seen) == 2
        assert len(set(downstream.traceparents())) == 1

    def test_a_client_that_was_instrumented_on_its_own(
        self, behind: MakeBehind, traced_httpx: Any, downstream: Downstream
    ) -> None:
        from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor

        async def endpoint() -> None:
            async with httpx.AsyncClient() as client:
                HTTPXClientInstrumentor.instrument_client(client)
                await client.get(downstream.url)

        made = self.call(behind, traced_httpx, endpoint)
        assert downstream.traceparents()[0].endswith("-02")
        assert made.spans == []

    @pytest.mark.parametrize("asynchronous", [False, True])
    def test_after_uninstrument_nothing_is_sent_until_a_client_is_instrumented_again(
        self, behind: MakeBehind, traced_httpx: Any, downstream: Downstream, *, asynchronous: bool
    ) -> None:
        from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor

        async def call(*, instrument: bool) -> None:
            client: Any
            if asynchronous:
                async with httpx.AsyncClient() as client:
                    if instrument:
                        HTTPXClientInstrumentor.instrument_client(client)
                    await client.get(downstream.url)
            else:
                with httpx.Client() as client:
                    if instrument:
                        HTTPXClientInstrumentor.instrument_client(client)
                    await asyncio.to_thread(client.get, downstream.url)

        async def endpoint() -> None:
            await call(instrument=False)
            HTTPXClientInstrumentor().uninstrument()
            await call(instrument=False)
            await call(instrument=True)
            HTTPXClientInstrumentor().instrument()
            await call(instrument=False)

        made = self.call(behind, traced_httpx, endpoint)
        assert [one[-2:] for one in downstream.traceparents()] == ["02", "", "02", "02"]
        assert made.spans == []

    def test_upstream_sees_that_a_client_is_not_instrumented(self, behind: MakeBehind, traced_httpx: Any) -> None:
        """By the type of its transport's method, which `uninstrument_client` takes off."""
        from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor

        with traced_httpx(behind("*=0").provider), httpx.Client() as client:
            HTTPXClientInstrumentor().uninstrument()
            assert type(client._transport.handle_request) is MethodType
            HTTPXClientInstrumentor.uninstrument_client(client)
            assert vars(client._transport).keys() == {"_pool"}

    @pytest.mark.parametrize(
        "rules",
        [
            "*=1",
            pytest.param(
                "*=0",
            ),
        ],
        ids=["recorded", "unrecorded"],
    )
    def test_a_url_that_upstream_is_to_leave_alone_gets_no_headers(
        self,
        behind: MakeBehind,
        traced_httpx: Any,
        downstream: Downstream,
        monkeypatch: pytest.MonkeyPatch,
        rules: str,
    ) -> None:
        """`OTEL_PYTHON_HTTPX_EXCLUDED_URLS`: somebody else's server, to which ids and baggage are not sent."""
        monkeypatch.setenv("OTEL_PYTHON_HTTPX_EXCLUDED_URLS", downstream.url)
        made, app = behind(rules), FastAPI()

        @app.get("/")
        async def endpoint() -> None:
            async with httpx.AsyncClient() as client:
                await client.get(downstream.url)

        with traced_httpx(made.provider):
            asyncio.run(send(made.put_on(app), http_scope(headers=[(b"baggage", b"user=bob")])))
        assert not {"traceparent", "tracestate", "baggage"} & downstream.seen[0].keys()

    def test_outside_a_request_upstream_works_as_ever(
        self, behind: MakeBehind, traced_httpx: Any, downstream: Downstream
    ) -> None:
        made = behind("CLIENT *=1, *=0")
        with traced_httpx(made.provider):
            httpx.get(downstream.url)
        assert downstream.traceparents()[0][-2:] == "03"
        assert made.only.kind is SpanKind.CLIENT

    def test_upstream_can_undo_its_own_wrapper(self, behind: MakeBehind, downstream: Downstream) -> None:
        from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor

        from tracebaton_configurator.propagation import http_clients

        made = behind("*=1")
        before = httpx.HTTPTransport.__dict__["handle_request"]
        before_async = httpx.AsyncHTTPTransport.__dict__["handle_async_request"]
        try:
            http_clients.around()["httpx"].before()
            HTTPXClientInstrumentor().instrument(tracer_provider=made.provider)
            HTTPXClientInstrumentor().uninstrument()
            httpx.get(downstream.url)
            assert made.spans == []
        finally:
            httpx.HTTPTransport.handle_request = before  # type: ignore[method-assign]
            httpx.AsyncHTTPTransport.handle_async_request = before_async  # type: ignore[method-assign]


def test_redis_is_not_traced_below_it(behind: MakeBehind) -> None:
    """The instrumentation of redis-py, before a connection that is refused: no span is made of it."""
    import redis
    from opentelemetry.instrumentation.redis import RedisInstrumentor

    made = behind("GET /silent=0, *=1")
    app = FastAPI()
    # Port 1 of this machine: nobody listens, and nothing else is asked.
    client = redis.Redis(host="127.0.0.1", port=1, retry=None)

    def incr() -> str:
        with pytest.raises(redis.ConnectionError):
            client.incr("x")
        return "refused"

    app.get("/silent")(incr)
    app.get("/recorded")(incr)
    made.put_on(app)
    RedisInstrumentor().instrument(tracer_provider=made.provider)
    try:
        assert asyncio.run(send(app, http_scope(path="/silent"))).body == b'"refused"'
        assert made.spans == []
        assert asyncio.run(send(app, http_scope(path="/recorded"))).body == b'"refused"'
        assert sorted(made.names) == ["GET /recorded", "INCRBY"]
    finally:
        RedisInstrumentor().uninstrument()


class TestApplications:
    def test_a_mounted_application_decides_once(self, behind: MakeBehind) -> None:
        made = behind("GET /inner/silent=0, GET /silent=1, *=1")
        app, inner, seen = FastAPI(), FastAPI(), []

        @inner.get("/silent")
        async def silent() -> None:
            seen.append(identity())

        @inner.get("/recorded")
        async def recorded() -> None:
            seen.append(identity())

        app.mount("/inner", made.put_on(inner))
        made.put_on(app)
        asyncio.run(send(app, http_scope(path="/inner/silent")))
        assert made.spans == []
        asyncio.run(send(app, http_scope(path="/inner/recorded")))
        assert (made.only.kind, made.only.name) == (SpanKind.SERVER, "GET /inner/recorded")
        silent_id, recorded_id = seen
        assert silent_id["flags"] == 2
        assert recorded_id["span_id"] == made.only.get_span_context().span_id  # type: ignore[union-attr]

    def test_a_mounted_starlette_application_is_silent_too(self, behind: MakeBehind) -> None:
        made = behind("*=0")
        seen: list[dict[str, Any]] = []

        async def page(_: Request) -> PlainTextResponse:
            seen.append(identity())
            return PlainTextResponse("page")

        app = FastAPI()
        app.mount("/site", Starlette(routes=[Route("/page", page)]))
        answer = asyncio.run(send(made.put_on(app), http_scope(path="/site/page")))
        assert answer.body == b"page"
        assert seen[0]["trace_id"]
        assert made.spans == []

    def test_a_request_made_within_another_is_part_of_it(self, behind: MakeBehind) -> None:
        """An application that calls another one in its own process, over httpx's ASGI transport."""
        made = behind("GET /silent=0, *=1")
        outer, inner, seen = FastAPI(), FastAPI(), []

        @inner.get("/inner")
        async def endpoint() -> None:
            seen.append(identity())

        made.put_on(inner)

        async def call() -> None:
            seen.append(identity())
            async with httpx.AsyncClient(transport=httpx.ASGITransport(inner), base_url="http://inner") as client:
                await client.get("/inner")

        outer.get("/silent")(call)
        outer.get("/recorded")(call)
        made.put_on(outer)
        asyncio.run(send(outer, http_scope(path="/silent")))
        assert seen[0]["span_id"] == seen[1]["span_id"]
        assert made.spans == []
        asyncio.run(send(outer, http_scope(path="/recorded")))
        assert [span.kind.name for span in made.spans] == ["INTERNAL", "SERVER"]

    def test_a_web_socket_has_an_identity(self, behind: MakeBehind) -> None:
        made, seen = behind("*=0"), []
        app = FastAPI()

        @app.websocket("/ws/{room}")
        async def socket(websocket: WebSocket, room: str) -> None:
            await websocket.accept()
            seen.append(identity())
            await websocket.send_text(await websocket.receive_text() + room)
            await websocket.close()

        answer = asyncio.run(
            send(
                made.put_on(app),
                websocket_scope("/ws/blue", [traceparent(TRACE, PARENT, 0)]),
                incoming=[{"type": "websocket.connect"}, {"type": "websocket.receive", "text": "sky "}],
            )
        )
        assert answer.error is None
        assert [one["type"] for one in answer.messages] == ["websocket.accept", "websocket.send", "websocket.close"]
        assert answer.messages[1]["text"] == "sky blue"
        assert [(one["trace_id"], one["flags"]) for one in seen] == [(TRACE, 0)]
        assert made.spans == []

    def test_the_lifespan_is_not_touched(self, behind: MakeBehind) -> None:
        events: list[str] = []

        async def lifespan(app: FastAPI) -> Any:
            events.append("up" if current_ids() is None else "an identity outside any request")
            yield
            events.append("down")

        from contextlib import asynccontextmanager

        made = behind("*=0")
        app = made.put_on(FastAPI(lifespan=asynccontextmanager(lifespan)))
        incoming = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
        asyncio.run(send(app, {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, incoming=incoming))
        assert events == ["up", "down"]

    def test_middleware_of_the_application_sees_the_identity(self, behind: MakeBehind) -> None:
        made, seen = behind("*=0"), []
        app, _ = reporting_app()

        @app.middleware("http")
        async def note(request: Request, call_next: Any) -> Any:
            seen.append(identity())
            return await call_next(request)

        asyncio.run(send(made.put_on(app), http_scope(path="/async", headers=[traceparent(TRACE, PARENT, 0)])))
        assert [one["trace_id"] for one in seen] == [TRACE]


class TestExcludedUrls:
    """`OTEL_PYTHON_FASTAPI_EXCLUDED_URLS`: nothing at all in the whole subtree, whatever rules and caller say."""

    @pytest.mark.parametrize("header", [None, traceparent(TRACE, PARENT, 1)], ids=["root", "sampled caller"])
    def test_the_whole_subtree_is_silent(
        self, behind: MakeBehind, traced_httpx: Any, downstream: Downstream, header: tuple[bytes, bytes] | None
    ) -> None:
        made = behind("*=1")
        app, seen = FastAPI(), []

        @app.get("/health")
        async def health() -> None:
            seen.append(identity())
            async with httpx.AsyncClient() as client:
                await client.get(downstream.url)

        with traced_httpx(made.provider):
            made.put_on(app, excluded_urls="health,metrics")
            answer = asyncio.run(send(app, http_scope(path="/health", headers=[header] if header else [])))
        assert answer.status == 200
        assert made.spans == []
        assert int(downstream.traceparents()[0][-2:], 16) & 1 == 0
        if header:
            assert seen[0]["trace_id"] == TRACE

    def test_others_are_recorded(self, behind: MakeBehind) -> None:
        made = behind("*=1")
        app, _ = reporting_app()
        asyncio.run(send(made.put_on(app, excluded_urls="health"), http_scope(path="/async")))
        assert made.names == ["GET /async"]

    def test_an_error_is_silent_too(self, behind: MakeBehind) -> None:
        """Upstream never makes a span of an excluded URL."""
        made, app = behind("*=1"), FastAPI()

        @app.get("/health")
        async def health() -> None:
            raise HTTPException(503)

        answer = asyncio.run(send(made.put_on(app, excluded_urls="health"), http_scope(path="/health")))
        assert answer.status == 503
        assert made.spans == []

    def test_no_threshold_is_sent_on(self, behind: MakeBehind) -> None:
        """A threshold without the sampled flag is inconsistent and must be erased (tracestate-probability-sampling)."""
        made = behind("*=1")
        app, seen = reporting_app()
        asyncio.run(send(made.put_on(app, excluded_urls="async"), http_scope(path="/async")))
        assert (seen[0]["flags"] & 1, seen[0]["state"]) == (0, "")


class WeirdError(RuntimeError):
    pass


def failing_app(*, debug: bool = False) -> tuple[FastAPI, WeirdError]:
    app, error = FastAPI(debug=debug), WeirdError("on purpose")
    router = APIRouter()

    @router.get("/raises")
    async def raises() -> None:
        raise error

    @router.get("/raises-late")
    async def raises_late() -> StreamingResponse:
        async def chunks() -> Any:
            yield b"x"
            raise error

        return StreamingResponse(chunks())

    app.include_router(router)
    return app, error


@pytest.mark.parametrize("rules", ["*=0", "*=1"], ids=["unrecorded", "recorded"])
class TestErrors:
    """The application and its server see them as they would without the gate."""

    @pytest.mark.parametrize("path", ["/raises", "/raises-late"])
    def test_the_same_exception_arrives_at_the_server(self, behind: MakeBehind, rules: str, path: str) -> None:
        app, error = failing_app()
        answer = asyncio.run(send(behind(rules).put_on(app), http_scope(path=path)))
        assert answer.error is error
        assert error.__cause__ is None
        assert answer.status == (500 if path == "/raises" else 200)

    def test_the_traceback_reaches_down_to_the_application(self, behind: MakeBehind, rules: str) -> None:
        import traceback

        app, error = failing_app()
        asyncio.run(send(behind(rules).put_on(app), http_scope(path="/raises")))
        assert traceback.extract_tb(error.__traceback__)[-1].name == "raises"

    def test_it_carries_the_ids_of_its_request(self, behind: MakeBehind, rules: str) -> None:
        """For the line `Exception in ASGI application`, which uvicorn logs after the request."""
        app, error = failing_app()
        made = behind(rules)
        asyncio.run(
            send(made.put_on(app), http_scope(path="/raises", headers=[traceparent(TRACE, PARENT, rules == "*=1")]))
        )
        ids = remembered_ids(error)
        assert ids is not None
        assert ids.trace_id == f"{TRACE:032x}"
        assert ids.span_id == f"{made.only.get_span_context().span_id:016x}"  # type: ignore[union-attr]
        assert ids.trace_flags == rules.replace("*=", "0")

    def test_a_debug_page_is_shown(self, behind: MakeBehind, rules: str) -> None:
        app, _ = failing_app(debug=True)
        headers = [(b"accept", b"text/html")]
        answer = asyncio.run(send(behind(rules).put_on(app), http_scope(path="/raises", headers=headers)))
        assert answer.status == 500
        assert b"Traceback" in answer.body
        assert b"on purpose" in answer.body

    def test_a_handler_of_the_application_answers(self, behind: MakeBehind, rules: str) -> None:
        app, error = failing_app()
        seen: list[Any] = []

        @app.exception_handler(500)
        async def sorry(request: Request, raised: Exception) -> PlainTextResponse:
            seen.append((raised, current_ids()))
            return PlainTextResponse("sorry", 500)

        answer = asyncio.run(send(behind(rules).put_on(app), http_scope(path="/raises")))
        assert (answer.status, answer.body, answer.error) == (500, b"sorry", error)
        assert seen[0][0] is error
        assert seen[0][1] is not None, "the handler's log lines belong to the request"

    def test_a_cancelled_request_ends_as_cancelled(self, behind: MakeBehind, rules: str) -> None:
        made, app = behind(rules), FastAPI()

        @app.get("/wait")
        async def wait() -> None:
            started.set()
            await asyncio.Event().wait()

        async def cancel() -> tuple[bool, int]:
            global started  # noqa: PLW0603 (an Event belongs to its loop)
            started = asyncio.Event()
            task = asyncio.create_task(app(http_scope(path="/wait"), _receive, _send))  # type: ignore[arg-type]
            await asyncio.wait_for(started.wait(), 5)
            task.cancel()
            await asyncio.wait([task], timeout=5)
            return task.cancelled(), len(context_api.get_current())

        made.put_on(app)
        assert asyncio.run(cancel()) == (True, 0)
        assert len(made.spans) == (rules == "*=1")

    def test_a_query_that_is_not_utf8_is_served(self, behind: MakeBehind, rules: str) -> None:
        """Upstream answers 500: it decodes the query string as UTF-8."""
        app, _ = reporting_app()
        answer = asyncio.run(send(behind(rules).put_on(app), http_scope(path="/async", query_string=b"a=\xff")))
        assert (answer.status, answer.error) == (200, None)


started: asyncio.Event


async def _receive() -> dict[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _send(message: Any) -> None:
    pass


@pytest.mark.parametrize(("rules", "flags"), [("*=0", 0), ("*=1", 1)])
def test_what_is_logged_behind_a_counted_request_says_whether_it_was_sampled(
    behind: MakeBehind, rules: str, flags: int
) -> None:
    """As a server's access line is, where metrics are exported."""
    made = behind(rules)
    made.fast_path.bypassed = True

    async def ask() -> Any:
        await send(made.put_on(reporting_app()[0]), http_scope(path="/async"))
        return ended_ids(once=True)

    assert int(asyncio.run(ask()).trace_flags, 16) & 1 == flags
