"""Requests that end badly are exported although they were not sampled, with the ids that were propagated."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from fastapi import BackgroundTasks, FastAPI, HTTPException, Request, WebSocket
from fastapi.responses import PlainTextResponse, StreamingResponse
from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode
from rawasgi import Answer, http_scope, send, traceparent, websocket_scope

from tracebaton_configurator.asgi import unsampled
from tracebaton_configurator.logs import diagnostics
from tracebaton_configurator.logs.limit import RateLimit
from tracebaton_configurator.sampling import late_spans

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from opentelemetry.sdk.trace import ReadableSpan

    from conftest import Behind, Downstream

    MakeBehind = Callable[..., Behind]

TRACE, PARENT = 0xABCDEF, 0x1234


def app_that_fails() -> tuple[FastAPI, list[Any]]:
    """Endpoints that fail in the ways there are; and the span contexts that they ran under."""
    app, seen = FastAPI(), list[Any]()

    def note() -> None:
        seen.append(trace.get_current_span().get_span_context())

    @app.get("/fine")
    async def fine() -> str:
        note()
        return "fine"

    @app.get("/status/{code}")
    async def status(code: int) -> PlainTextResponse:
        note()
        return PlainTextResponse("x", code)

    @app.get("/http-exception/{code}")
    async def http_exception(code: int) -> None:
        note()
        raise HTTPException(code)

    @app.get("/raises")
    async def raises() -> None:
        note()
        raise ValueError("on purpose")

    @app.get("/raises-late")
    async def raises_late() -> StreamingResponse:
        note()

        async def chunks() -> Any:
            yield b"x"
            raise ValueError("late")

        return StreamingResponse(chunks())

    @app.get("/handled")
    async def handled() -> None:
        raise KeyError("handled")

    @app.exception_handler(KeyError)
    async def on_key_error(request: Request, error: KeyError) -> PlainTextResponse:
        return PlainTextResponse("unavailable", 503)

    return app, seen


async def ask(app: FastAPI, path: str, headers: Sequence[tuple[bytes, bytes]] = (), **changes: Any) -> Answer:
    return await send(app, http_scope(path=path, headers=[(b"host", b"shop.example"), *headers], **changes))


def one(app: FastAPI, path: str, *headers: tuple[bytes, bytes], **changes: Any) -> Answer:
    return asyncio.run(ask(app, path, headers, **changes))


def ids_of(span: ReadableSpan) -> tuple[int, int]:
    context = span.get_span_context()
    assert context is not None
    return context.trace_id, context.span_id


class TestErrors:
    @pytest.mark.parametrize(
        ("path", "status"),
        [("/status/500", 500), ("/status/503", 503), ("/http-exception/502", 502), ("/raises", 500), ("/handled", 503)],
    )
    def test_what_ends_5xx_is_kept(self, behind: MakeBehind, path: str, status: int) -> None:
        made = behind("*=0")
        app, _ = app_that_fails()
        assert one(made.put_on(app), path).status == status
        span = made.only
        assert span.kind is SpanKind.SERVER
        assert span.attributes is not None
        assert span.attributes[late_spans.REASON] == "error"
        assert span.attributes["http.status_code"] == status
        assert span.status.status_code is StatusCode.ERROR
        assert (made.late_spans.kept, made.late_spans.dropped) == (1, 0)

    @pytest.mark.parametrize("path", ["/fine", "/status/404", "/http-exception/422", "/nowhere", "/status/304"])
    def test_what_does_not_is_not(self, behind: MakeBehind, path: str) -> None:
        made = behind("*=0")
        app, _ = app_that_fails()
        one(made.put_on(app), path)
        assert made.spans == []
        assert (made.late_spans.kept, made.late_spans.dropped) == (0, 0)

    def test_it_has_the_ids_that_the_application_had(self, behind: MakeBehind) -> None:
        made = behind("*=0")
        app, seen = app_that_fails()
        one(made.put_on(app), "/raises")
        assert ids_of(made.only) == (seen[0].trace_id, seen[0].span_id)
        assert made.only.parent is None

    def test_it_has_the_ids_that_were_sent_on(
        self, behind: MakeBehind, traced_httpx: Any, downstream: Downstream
    ) -> None:
        made, app = behind("*=0"), FastAPI()

        @app.get("/")
        async def endpoint() -> None:
            async with httpx.AsyncClient() as client:
                await client.get(downstream.url)
            raise HTTPException(502)

        with traced_httpx(made.provider):
            one(made.put_on(app), "/")
        trace_id, span_id = ids_of(made.only)
        assert downstream.traceparents() == [f"00-{trace_id:032x}-{span_id:016x}-02"]

    def test_it_is_a_child_of_the_caller(self, behind: MakeBehind) -> None:
        made = behind("*=0")
        app, seen = app_that_fails()
        one(made.put_on(app), "/raises", traceparent(TRACE, PARENT, 0), (b"tracestate", b"vendor=value"))
        span = made.only
        assert span.parent is not None
        assert (span.parent.trace_id, span.parent.span_id, span.parent.is_remote) == (TRACE, PARENT, True)
        assert ids_of(span) == (TRACE, seen[0].span_id)
        assert span.get_span_context().trace_state.to_header() == "vendor=value"  # type: ignore[union-attr]

    def test_it_stands_for_itself_only(self, behind: MakeBehind) -> None:
        """No `ot=th` in its trace state: it was not chosen by chance."""
        made = behind("*=0.000001")
        app, _ = app_that_fails()
        one(made.put_on(app), "/raises")
        assert "ot" not in made.only.get_span_context().trace_state  # type: ignore[union-attr]

    @pytest.mark.parametrize("path", ["/raises", "/raises-late", "/http-exception/502", "/handled", "/status/500"])
    def test_it_says_what_upstream_would_have_said(self, behind: MakeBehind, path: str) -> None:
        """Name, attributes and scope; of the exceptions, one event each, where upstream may have two of the same."""
        kept, recorded = behind("*=0"), behind("*=1")
        for made in (kept, recorded):
            app, _ = app_that_fails()
            one(made.put_on(app), path, query_string=b"sig=secret&x=1")
        ours, theirs = kept.only, recorded.only
        assert dict(ours.attributes or {}) == {**(theirs.attributes or {}), late_spans.REASON: "error"}
        assert (ours.name, ours.kind, ours.instrumentation_scope) == (
            theirs.name,
            theirs.kind,
            theirs.instrumentation_scope,
        )
        assert (ours.status.status_code, ours.status.description) == (
            theirs.status.status_code,
            theirs.status.description,
        )
        shown = [
            {
                (event.name, *[(event.attributes or {}).get(f"exception.{name}") for name in ("type", "message")])
                for event in span.events
            }
            for span in (ours, theirs)
        ]
        assert shown[0] == shown[1]

    def test_an_exception_is_an_event_with_its_traceback(self, behind: MakeBehind) -> None:
        made = behind("*=0")
        app, _ = app_that_fails()
        one(made.put_on(app), "/raises")
        (event,) = made.only.events
        assert event.attributes is not None
        assert event.attributes["exception.type"] == "ValueError"
        assert event.attributes["exception.message"] == "on purpose"
        assert "in raises" in str(event.attributes["exception.stacktrace"])

    def test_below_a_mount_it_has_the_name_that_upstream_gives(self, behind: MakeBehind) -> None:
        kept, recorded = behind("*=0"), behind("*=1")
        for made in (kept, recorded):
            app, (inner, _) = FastAPI(), app_that_fails()
            app.mount("/shops/{shop}", inner)
            one(made.put_on(app), "/shops/north/status/500", root_path="")
        assert kept.only.name == recorded.only.name
        assert kept.only.attributes is not None
        assert {**recorded.only.attributes, late_spans.REASON: "error"} == dict(kept.only.attributes)  # type: ignore[dict-item]

    def test_it_can_be_switched_off(self, behind: MakeBehind) -> None:
        made = behind("*=0", keep_errors=False)
        app, _ = app_that_fails()
        for path in ("/raises", "/status/500"):
            one(made.put_on(app) if path == "/raises" else app, path)
        assert made.spans == []
        assert (made.late_spans.kept, made.late_spans.dropped) == (0, 0)

    def test_a_cancelled_request_is_no_error(self, behind: MakeBehind) -> None:
        made, app = behind("*=0"), FastAPI()

        @app.get("/")
        async def endpoint() -> None:
            raise asyncio.CancelledError

        assert isinstance(one(made.put_on(app), "/").error, asyncio.CancelledError)
        assert made.spans == []

    def test_a_request_that_was_recorded_is_not_kept_once_more(self, behind: MakeBehind) -> None:
        made = behind("*=1")
        app, _ = app_that_fails()
        one(made.put_on(app), "/raises")
        assert made.only.attributes is not None
        assert late_spans.REASON not in made.only.attributes
        assert made.late_spans.kept == 0

    def test_one_of_several_mounted_applications_is_kept_once(self, behind: MakeBehind) -> None:
        made, app = behind("*=0"), FastAPI()
        inner, _ = app_that_fails()
        app.mount("/inner", made.put_on(inner))
        one(made.put_on(app), "/inner/raises")
        assert made.names == ["GET /inner/raises"]


class TestWebSockets:
    def raise_in_one(self, made: Behind) -> tuple[ReadableSpan, Answer]:
        app = FastAPI()

        @app.websocket("/ws/{room}")
        async def socket(websocket: WebSocket, room: str) -> None:
            await websocket.accept()
            raise ValueError(room)

        scope = websocket_scope("/ws/blue", [(b"host", b"shop.example")])
        answer = asyncio.run(send(made.put_on(app), scope, incoming=[{"type": "websocket.connect"}]))
        return made.only, answer

    def test_one_that_raises_is_kept(self, behind: MakeBehind) -> None:
        span, answer = self.raise_in_one(behind("*=0"))
        assert isinstance(answer.error, ValueError)
        assert span.events[0].attributes["exception.message"] == "blue"  # type: ignore[index]

    def test_it_has_upstreams_name_and_attributes(self, behind: MakeBehind) -> None:
        kept, _ = self.raise_in_one(behind("*=0"))
        recorded, _ = self.raise_in_one(behind("*=1"))
        assert kept.name == recorded.name
        assert (kept.attributes or {})["http.route"] == "/ws/{room}"
        assert dict(kept.attributes or {}) == {**(recorded.attributes or {}), late_spans.REASON: "error"}


class TestTimes:
    def test_it_begins_and_ends_with_the_request(self, behind: MakeBehind) -> None:
        made = behind("*=0")
        app, _ = app_that_fails()
        made.put_on(app)
        before = time.time_ns()
        one(app, "/raises")
        after = time.time_ns()
        span = made.only
        assert span.start_time is not None
        assert span.end_time is not None
        assert before <= span.start_time <= span.events[0].timestamp <= span.end_time <= after

    def test_it_ends_with_the_response(self, behind: MakeBehind) -> None:
        """As upstream's does: what a background task does afterwards took nobody's time."""
        made, app, times = behind("*=0"), FastAPI(), list[int]()

        @app.get("/")
        async def endpoint() -> StreamingResponse:
            from starlette.background import BackgroundTask

            return StreamingResponse(iter(["x"]), 500, background=BackgroundTask(afterwards))

        async def afterwards() -> None:
            times.append(time.time_ns())

        one(made.put_on(app), "/")
        assert made.only.end_time is not None
        assert made.only.end_time <= times[0]


class Clock:
    """A clock that an endpoint can advance, in place of the one that the gate looks at."""

    def __init__(self) -> None:
        self.offset = 0
        self.now = 1000.0

    def time_ns(self) -> int:
        return time.time_ns() + self.offset

    def monotonic_ns(self) -> int:
        return time.monotonic_ns() + self.offset

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(late_spans, "time", made)
    monkeypatch.setattr(unsampled, "time_ns", made.time_ns)
    monkeypatch.setattr(unsampled, "monotonic_ns", made.monotonic_ns, raising=False)
    return made


class TestSlow:
    def slow_app(self, clock: Clock) -> FastAPI:
        app = FastAPI()

        @app.get("/takes/{milliseconds}")
        async def takes(milliseconds: int) -> str:
            clock.offset += milliseconds * 1_000_000
            return "done"

        @app.get("/fails/{milliseconds}")
        async def fails(milliseconds: int) -> None:
            clock.offset += milliseconds * 1_000_000
            raise HTTPException(503)

        @app.get("/background")
        async def background(tasks: BackgroundTasks) -> None:
            tasks.add_task(takes, 60_000)

        return app

    def test_slower_than_the_threshold_is_kept(self, behind: MakeBehind, clock: Clock) -> None:
        made = behind("*=0", keep_slower_than=2.0)
        app = made.put_on(self.slow_app(clock))
        one(app, "/takes/2500")
        assert made.only.attributes is not None
        assert made.only.attributes[late_spans.REASON] == "slow"
        assert made.only.name == "GET /takes/{milliseconds}"
        assert made.only.status.status_code is StatusCode.UNSET
        assert made.only.attributes["http.status_code"] == 200

    def test_faster_is_not(self, behind: MakeBehind, clock: Clock) -> None:
        made = behind("*=0", keep_slower_than=2.0)
        one(made.put_on(self.slow_app(clock)), "/takes/1500")
        assert made.spans == []

    def test_without_a_threshold_nothing_is_slow(self, behind: MakeBehind, clock: Clock) -> None:
        made = behind("*=0")
        one(made.put_on(self.slow_app(clock)), "/takes/999999")
        assert made.spans == []

    def test_slow_and_failed_is_an_error(self, behind: MakeBehind, clock: Clock) -> None:
        made = behind("*=0", keep_slower_than=2.0)
        one(made.put_on(self.slow_app(clock)), "/fails/2500")
        assert (made.only.attributes or {})[late_spans.REASON] == "error"

    def test_a_slow_error_is_kept_for_being_slow_where_errors_are_not(self, behind: MakeBehind, clock: Clock) -> None:
        made = behind("*=0", keep_slower_than=2.0, keep_errors=False)
        one(made.put_on(self.slow_app(clock)), "/fails/2500")
        assert (made.only.attributes or {})[late_spans.REASON] == "slow"

    def test_a_slow_background_task_does_not_make_a_request_slow(self, behind: MakeBehind, clock: Clock) -> None:
        made = behind("*=0", keep_slower_than=2.0)
        one(made.put_on(self.slow_app(clock)), "/background")
        assert made.spans == []

    def test_a_long_web_socket_is_not_slow(self, behind: MakeBehind, clock: Clock) -> None:
        made, app = behind("*=0", keep_slower_than=2.0), FastAPI()

        @app.websocket("/ws")
        async def socket(websocket: WebSocket) -> None:
            await websocket.accept()
            clock.offset += 3_600_000_000_000
            await websocket.close()

        scope = websocket_scope("/ws")
        asyncio.run(send(made.put_on(app), scope, incoming=[{"type": "websocket.connect"}]))
        assert made.spans == []

    @pytest.mark.parametrize(("step", "kept"), [(-3600, ["slow"]), (3600, ["slow"]), (3600, [])])
    def test_the_wall_clock_may_jump(
        self, behind: MakeBehind, monkeypatch: pytest.MonkeyPatch, clock: Clock, step: int, kept: list[str]
    ) -> None:
        made, app, jumped = behind("*=0", keep_slower_than=2.0), FastAPI(), [0]
        monkeypatch.setattr(unsampled, "time_ns", lambda: clock.time_ns() + jumped[0])

        @app.get("/")
        async def endpoint() -> None:
            jumped[0] = step * 1_000_000_000
            clock.offset += 2_500_000_000 if kept else 0

        one(made.put_on(app), "/")
        assert [(span.attributes or {})[late_spans.REASON] for span in made.spans] == kept
        for span in made.spans:
            assert 2.5 <= ((span.end_time or 0) - (span.start_time or 0)) / 1e9 < 60


class TestCap:
    def test_ten_a_second_are_kept_and_the_others_counted(self, behind: MakeBehind, clock: Clock) -> None:
        made = behind("*=0")
        app, _ = app_that_fails()
        made.put_on(app)

        async def storm(*trace_ids: int) -> None:
            parents = [f"00-{trace_id:032x}-{1:016x}-02" for trace_id in trace_ids]
            await asyncio.gather(*(ask(app, "/status/500", [(b"traceparent", one.encode())]) for one in parents))

        low, high = range(1, 16), range((1 << 56) - 15, 1 << 56)
        asyncio.run(storm(*low[:10]))
        assert (len(made.spans), made.late_spans.kept, made.late_spans.dropped) == (10, 10, 0)
        asyncio.run(storm(*low[10:], *high))  # beyond ten a second it is the trace id that counts
        kept = {span.context.trace_id for span in made.spans}
        assert kept == {*low[:10], *high}
        assert (made.late_spans.kept, made.late_spans.dropped) == (25, 5)
        clock.now += 1.1
        asyncio.run(storm(low[0], high[0]))  # the next second begins with what this one promises
        assert (made.late_spans.kept, made.late_spans.dropped) == (26, 6)

    def test_a_dropped_error_is_the_applications_as_before(self, behind: MakeBehind) -> None:
        made = behind("*=0", keep_per_second=0)
        app, _ = app_that_fails()
        answer = one(made.put_on(app), "/raises")
        assert (answer.status, str(answer.error)) == (500, "on purpose")
        assert (made.spans, made.late_spans.dropped) == ([], 1)


class TestNeverRaises:
    """The request is over when its span is kept: what goes wrong then is ours alone."""

    def test_a_tracer_that_fails(
        self, behind: MakeBehind, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        made = behind("*=0")
        app, _ = app_that_fails()
        made.put_on(app)
        one(app, "/fine")

        def fail(*_: Any, **__: Any) -> None:
            raise RuntimeError("no span today")

        monkeypatch.setattr("opentelemetry.sdk.trace.Tracer.start_span", fail)
        monkeypatch.setattr(diagnostics, "_limit", RateLimit(60))
        answer = one(app, "/raises")
        assert (answer.status, type(answer.error)) == (500, ValueError)
        assert one(app, "/status/503").status == 503
        assert made.late_spans.kept == 0
        # Said once a minute: an error a request would be a flood.
        assert capsys.readouterr().err.count("no span today") == 1

    def test_an_exporter_that_fails(self, behind: MakeBehind, monkeypatch: pytest.MonkeyPatch) -> None:
        made = behind("*=0")
        app, _ = app_that_fails()

        def fail(*_: Any) -> None:
            raise RuntimeError("no export today")

        made.put_on(app)
        monkeypatch.setattr(made.memory, "export", fail)
        assert one(app, "/status/503").error is None

    def test_an_exception_that_cannot_be_shown(self, behind: MakeBehind) -> None:
        class UnspeakableError(Exception):
            def __str__(self) -> str:
                raise RuntimeError("no words")

        made, app = behind("*=0"), FastAPI()

        @app.get("/")
        async def endpoint() -> None:
            raise UnspeakableError

        answer = one(made.put_on(app), "/")
        assert isinstance(answer.error, UnspeakableError)
        assert answer.status == 500

    @pytest.mark.parametrize("query", [b"\xff", b"%", b"a" * 100_000])
    def test_a_query_that_upstream_does_not_survive(self, behind: MakeBehind, query: bytes) -> None:
        made = behind("*=0")
        app, _ = app_that_fails()
        assert one(made.put_on(app), "/status/503", query_string=query).status == 503
        assert made.late_spans.kept == 1
