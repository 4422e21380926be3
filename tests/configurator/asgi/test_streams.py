"""Answers that are streamed, clients that go away, WebSockets: what their SERVER spans say, sampled or kept."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from fastapi import FastAPI, Request, WebSocket, WebSocketDisconnect
from fastapi.responses import StreamingResponse
from opentelemetry.trace import SpanKind, Status, StatusCode
from rawasgi import Answer, http_scope, send, websocket_scope
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import ClientDisconnect

from tracebaton_configurator.asgi import disconnects, streams, unsampled, upstream_path
from tracebaton_configurator.asgi.disconnects import is_consequence
from tracebaton_configurator.sampling.late_spans import mark_failed

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.sdk.trace import ReadableSpan

    from conftest import Behind

    MakeBehind = Callable[..., Behind]

FIRST, GONE = "http.response.first_byte", "client disconnected"
DISCONNECT = {"type": "http.disconnect"}
V24 = {"asgi": {"version": "3.0", "spec_version": "2.4"}}


def events(span: ReadableSpan) -> list[str]:
    return [event.name for event in span.events]


def has_failed(span: ReadableSpan) -> bool:
    return span.status.status_code is StatusCode.ERROR


def streaming_app() -> FastAPI:
    app = FastAPI()

    async def chunks(count: int, *, raises: bool = False) -> Any:
        mark_failed()  # so that it is kept, where it is not sampled
        for number in range(count):
            yield f"chunk {number}\n"
            await asyncio.sleep(0)
        if raises:
            raise ValueError("in the middle")

    @app.head("/chunks/{count}")
    @app.get("/chunks/{count}")
    async def stream(count: int) -> StreamingResponse:
        return StreamingResponse(chunks(count))

    @app.get("/breaks")
    async def breaks() -> StreamingResponse:
        return StreamingResponse(chunks(3, raises=True))

    @app.get("/plain")
    async def plain() -> str:
        mark_failed()
        return "plain"

    @app.post("/body")
    async def body(request: Request) -> str:
        await request.body()
        return "read"

    @app.post("/body-fails")
    async def body_fails(request: Request) -> str:
        if await request.is_disconnected():
            raise ValueError("for another reason")
        return "read"

    return app


def ask(made: Behind, app: FastAPI, path: str, method: str = "GET", **how: Any) -> Answer:
    options = {name: how.pop(name) for name in ("incoming", "breaks_at", "body") if name in how}
    return asyncio.run(asyncio.wait_for(send(app, http_scope(method, path, **how), **options), 60))  # type: ignore[arg-type]


@pytest.fixture(params=["*=0", "*=1", "upstream"], ids=["kept", "sampled", "by upstream"])
def served(request: pytest.FixtureRequest, behind: MakeBehind) -> tuple[Behind, FastAPI]:
    """Unsampled and kept, sampled, and sampled by upstream's middleware, as where metrics are exported."""
    made = behind("*=1" if request.param == "upstream" else request.param)
    made.fast_path.bypassed = request.param == "upstream"
    return made, made.put_on(streaming_app())


class TestFirstByte:
    @pytest.mark.parametrize("count", [1, 10_000])
    def test_is_one_event(self, served: tuple[Behind, FastAPI], count: int) -> None:
        made, app = served
        answer = ask(made, app, f"/chunks/{count}")
        assert len([one for one in answer.messages if one.get("body")]) == count
        assert events(made.only) == [FIRST]
        assert not made.only.events[0].attributes
        assert (made.only.start_time or 0) <= made.only.events[0].timestamp < (made.only.end_time or 0)

    def test_of_none_there_is_no_event(self, served: tuple[Behind, FastAPI]) -> None:
        made, app = served
        ask(made, app, "/chunks/0")
        ask(made, app, "/plain")
        assert [events(span) for span in made.spans] == [[], []]

    @pytest.mark.parametrize("rules", ["*=0", "*=1"])
    def test_an_answer_that_middleware_sends_in_two_messages_is_not_streamed(
        self, behind: MakeBehind, rules: str
    ) -> None:
        made, app = behind(rules), streaming_app()

        async def pass_on(request: Request, call_next: Any) -> Any:
            return await call_next(request)

        app.add_middleware(BaseHTTPMiddleware, dispatch=pass_on)
        made.put_on(app)
        assert [one.get("more_body") for one in ask(made, app, "/plain").messages] == [None, True, False]
        ask(made, app, "/chunks/3")
        assert [events(span) for span in made.spans] == [[], [FIRST]]

    @pytest.mark.parametrize("rules", ["*=0", "*=1"])
    def test_of_what_is_compressed(self, behind: MakeBehind, rules: str) -> None:
        made, app = behind(rules), streaming_app()
        app.add_middleware(GZipMiddleware, minimum_size=1)
        made.put_on(app)
        for path in ("/plain", "/chunks/3"):
            ask(made, app, path, headers=[(b"accept-encoding", b"gzip")])
        assert [events(span) for span in made.spans] == [[], [FIRST]]

    def test_to_head_there_is_none(self, served: tuple[Behind, FastAPI]) -> None:
        made, app = served
        assert ask(made, app, "/chunks/3", "HEAD").status == 200
        assert events(made.only) == []

    def test_an_empty_chunk_has_none(self) -> None:
        assert not streams.begins_stream("GET", None, {"body": b"", "more_body": True})
        assert not streams.begins_stream("GET", None, {"more_body": True})
        assert streams.begins_stream("GET", None, {"body": b"x", "more_body": True})

    def test_headers_that_can_be_read_once_are_left_to_the_server(self) -> None:
        headers = iter([(b"content-length", b"1")])
        start = {"type": "http.response.start", "headers": headers}
        assert streams.begins_stream("GET", start, {"body": b"x", "more_body": True})
        assert not streams.is_event_stream(start)
        assert list(headers) == [(b"content-length", b"1")]


class TestClientGone:
    """Kept are only those that say by themselves that they have failed."""

    def test_as_receive_says(self, served: tuple[Behind, FastAPI]) -> None:
        made, app = served
        ask(made, app, "/chunks/1000000", incoming=[DISCONNECT])
        for span in made.spans:
            assert GONE in events(span)
            assert "exception" not in events(span)
            assert not has_failed(span)

    @pytest.mark.parametrize("version", [{}, V24], ids=["2.3", "2.4"])
    def test_as_send_says(self, served: tuple[Behind, FastAPI], version: dict[str, Any]) -> None:
        made, app = served
        answer = ask(made, app, "/chunks/1000000", breaks_at=3, **version)
        assert answer.error is not None
        assert events(made.only) == [FIRST, GONE]
        assert not has_failed(made.only)

    def test_while_its_request_is_read(self, served: tuple[Behind, FastAPI]) -> None:
        made, app = served
        scope = http_scope("POST", "/body")

        async def receive() -> dict[str, Any]:
            return DISCONNECT

        async def sent(message: Any) -> None:
            pass

        async def run() -> None:
            with suppress(ClientDisconnect):
                await app(scope, receive, sent)  # type: ignore[arg-type]

        asyncio.run(run())
        # The unsampled one has not failed, so it is not kept.
        sampled = made.fast_path.root_sampler.request("GET", "/", 1, {})[0] is not None
        assert [(events(span), has_failed(span)) for span in made.spans] == [([GONE], False)] * sampled

    def test_what_fails_for_another_reason_is_an_error(self, served: tuple[Behind, FastAPI]) -> None:
        made, app = served
        scope = http_scope("POST", "/body-fails")

        async def receive() -> dict[str, Any]:
            return DISCONNECT

        async def sent(message: Any) -> None:
            pass

        async def run() -> None:
            with pytest.raises(ValueError, match="for another reason"):
                await app(scope, receive, sent)  # type: ignore[arg-type]

        asyncio.run(run())
        assert has_failed(made.only)
        assert events(made.only)[0] == GONE
        assert set(events(made.only)[1:]) == {"exception"}

    def test_a_body_that_breaks_off_is_an_error(self, served: tuple[Behind, FastAPI]) -> None:
        made, app = served
        assert isinstance(ask(made, app, "/breaks").error, ValueError)
        assert has_failed(made.only)
        assert events(made.only)[0] == FIRST
        assert set(events(made.only)[1:]) == {"exception"}

    def test_once_the_answer_is_complete_is_nothing(self, served: tuple[Behind, FastAPI]) -> None:
        """Servers say so to whoever waits for a message while the last part is being sent."""
        made, app = served

        async def run() -> None:
            complete, told = asyncio.Event(), asyncio.Event()

            async def receive() -> dict[str, Any]:
                await complete.wait()
                told.set()
                return DISCONNECT

            async def sent(message: Any) -> None:
                if message["type"] == "http.response.body" and not message.get("more_body"):
                    complete.set()
                    await told.wait()
                    await asyncio.sleep(0)

            await app(http_scope(path="/chunks/2"), receive, sent)  # type: ignore[arg-type]

        asyncio.run(asyncio.wait_for(run(), 20))
        assert events(made.only) == [FIRST]

    def test_what_nobody_has_told_before(self, behind: MakeBehind) -> None:
        made = behind("*=1")
        stack = made.put_on(streaming_app()).build_middleware_stack()

        async def raises(scope: Any, receive: Any, send: Any) -> None:
            raise ClientDisconnect

        stack._recorder._inner = raises  # type: ignore[attr-defined]
        asyncio.run(send(stack, http_scope()))
        assert (events(made.only), has_failed(made.only)) == ([GONE], False)

    def test_unsampled_is_not_kept(self, behind: MakeBehind) -> None:
        made, app = behind("*=0"), FastAPI()

        @app.get("/")
        async def stream() -> StreamingResponse:
            async def endless() -> Any:
                while True:
                    yield "x"
                    await asyncio.sleep(0)

            return StreamingResponse(endless())

        made.put_on(app)
        for how in ({"incoming": [DISCONNECT]}, {"breaks_at": 3}, {"breaks_at": 3, **V24}, {"breaks_at": 0}):
            ask(made, app, "/", **how)  # type: ignore[arg-type]
        assert made.spans == []


class TestExcuse:
    @pytest.fixture
    def span(self, behind: MakeBehind) -> Any:
        span = behind("*=1").provider.get_tracer("tests").start_span("a request")
        disconnects.excuse(span, self.send)
        return span

    async def send(self, message: Any) -> None:
        """The server's."""

    def test_an_answer_that_nobody_gets(self, span: Any) -> None:
        span.set_status(StatusCode.ERROR)
        span.set_attribute("error.type", "500")
        span.set_attributes({"error.type": "ConnectionError", "http.route": "/"})
        assert span.status.status_code is StatusCode.UNSET
        assert span.attributes == {"http.route": "/"}

    def test_what_is_raised_because_of_it(self, span: Any) -> None:
        span.record_exception(ClientDisconnect())
        span.set_status(Status(StatusCode.ERROR, "ClientDisconnect: "))
        span.set_attribute("error.type", "starlette.requests.ClientDisconnect")
        assert (span.status.status_code, span.events, span.attributes) == (StatusCode.UNSET, (), {})

    def test_what_is_raised_for_another_reason(self, span: Any) -> None:
        span.record_exception(ValueError("another"))
        span.set_status(StatusCode.ERROR)
        span.set_attribute("error.type", "500")
        assert (span.status.status_code, events(span)) == (StatusCode.ERROR, ["exception"])
        assert span.attributes == {"error.type": "500"}

    def test_what_fastapi_tells_by_its_type_alone(self, span: Any) -> None:
        span.set_attributes({"error.type": "ValueError"})
        span.set_status(StatusCode.ERROR)
        assert (span.status.status_code, span.attributes) == (StatusCode.ERROR, {"error.type": "ValueError"})

    def test_what_the_application_says_by_itself(self, span: Any) -> None:
        span.set_status(Status(StatusCode.ERROR, "out of stock"))
        assert span.status.description == "out of stock"


class TestConsequences:
    async def _send(self, message: Any) -> None:
        raise BrokenPipeError("gone")

    def _raised(self, raise_it: Any) -> BaseException:
        async def run() -> None:
            await raise_it(self._send)

        try:
            asyncio.run(run())
        except Exception as error:  # noqa: BLE001 (it is what is asked about)
            return error
        raise AssertionError

    def test_what_send_has_raised(self) -> None:
        async def directly(send: Any) -> None:
            await send({})

        async def wrapped(send: Any) -> None:
            try:
                await send({})
            except OSError as error:
                raise RuntimeError("the framework's own") from error

        assert is_consequence(self._raised(directly), self._send)
        assert is_consequence(self._raised(wrapped), self._send)

    def test_what_it_has_not(self) -> None:
        async def elsewhere(send: Any) -> None:
            raise BrokenPipeError("of a database")

        async def cleanup(send: Any) -> None:
            try:
                await send({})
            except OSError:
                raise KeyError("in the cleanup")  # noqa: B904 (that is the case)

        assert not is_consequence(self._raised(elsewhere), self._send)
        assert not is_consequence(self._raised(cleanup), self._send)

    def test_groups(self) -> None:
        class Group(Exception):  # noqa: N818 (as those of Python 3.11 and of its backport)
            exceptions: tuple[BaseException, ...] = ()

        async def directly(send: Any) -> None:
            await send({})

        group = Group()
        group.exceptions = (self._raised(directly), asyncio.CancelledError())
        assert is_consequence(group, self._send)
        group.exceptions = (*group.exceptions, ValueError("another"))
        assert not is_consequence(group, self._send)


class Clock:
    """What `unsampled` takes for the time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1_000_000_000
        monkeypatch.setattr(unsampled, "time_ns", lambda: 1_700_000_000_000_000_000)
        monkeypatch.setattr(unsampled, "monotonic_ns", lambda: self.now)

    def pass_seconds(self, seconds: float) -> None:
        self.now += int(seconds * 1e9)


class TestSlow:
    @pytest.mark.parametrize(
        ("first", "rest", "total", "kept"),
        [(3, 0, False, True), (1, 60, False, False), (1, 60, True, True), (0.5, 1, True, False)],
    )
    def test_a_stream_counts_to_its_first_byte_or_to_its_last(
        self, behind: MakeBehind, monkeypatch: pytest.MonkeyPatch, first: float, rest: float, *, total: bool, kept: bool
    ) -> None:
        made, app, clock = behind("*=0", keep_slower_than=2.0, keep_total=total), FastAPI(), Clock(monkeypatch)

        @app.get("/")
        async def stream() -> StreamingResponse:
            async def chunks() -> Any:
                clock.pass_seconds(first)
                yield "x"
                clock.pass_seconds(rest)
                yield "y"

            return StreamingResponse(chunks())

        ask(made, made.put_on(app), "/")
        assert [(span.attributes or {})["tracebaton.kept"] for span in made.spans] == ["slow"] * kept
        if kept:
            assert [event.timestamp - (made.only.start_time or 0) for event in made.only.events] == [first * 1e9]
            assert (made.only.end_time or 0) - (made.only.start_time or 0) == (first + rest) * 1e9

    @pytest.mark.parametrize(("waited", "kept"), [(3, True), (1, False)])
    def test_a_client_that_would_not_wait_any_longer(
        self, behind: MakeBehind, monkeypatch: pytest.MonkeyPatch, waited: float, *, kept: bool
    ) -> None:
        made, app, clock = behind("*=0", keep_slower_than=2.0), FastAPI(), Clock(monkeypatch)

        @app.post("/")
        async def waits(request: Request) -> StreamingResponse:
            async def chunks() -> Any:
                await asyncio.Event().wait()
                yield "x"

            clock.pass_seconds(waited)
            return StreamingResponse(chunks())

        ask(made, made.put_on(app), "/", "POST", incoming=[DISCONNECT])
        assert [(events(span), has_failed(span)) for span in made.spans] == [([GONE], False)] * kept

    def test_what_it_was_answered_then_is_not_said(self, behind: MakeBehind, monkeypatch: pytest.MonkeyPatch) -> None:
        """HTTP 500, for what Starlette raises."""
        made, app, clock = behind("*=0", keep_slower_than=2.0), FastAPI(), Clock(monkeypatch)

        class Body:
            async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
                clock.pass_seconds(3)
                await Request(scope, receive).body()

        app.mount("/", Body())

        async def receive() -> dict[str, Any]:
            return DISCONNECT

        sent: list[Any] = []

        async def note(message: Any) -> None:
            sent.append(message)

        async def run() -> None:
            with pytest.raises(ClientDisconnect):
                await made.put_on(app)(http_scope("POST", "/"), receive, note)  # type: ignore[arg-type]

        asyncio.run(run())
        assert sent[0]["status"] == 500
        assert (events(made.only), has_failed(made.only)) == ([GONE], False)
        assert "http.status_code" not in (made.only.attributes or {})


class TestWebSockets:
    @staticmethod
    def app() -> FastAPI:
        app = FastAPI()

        @app.websocket("/echo")
        async def echo(websocket: WebSocket) -> None:
            await websocket.accept()
            mark_failed()
            while (text := await websocket.receive_text()) != "close":
                await websocket.send_text(text)
                await websocket.send_text(text)
            await websocket.close(1000)

        return app

    def talk(self, made: Behind, *texts: str, code: int = 0, breaks_at: int | None = None) -> ReadableSpan:
        incoming = [
            {"type": "websocket.connect"},
            *({"type": "websocket.receive", "text": text} for text in texts),
            *([{"type": "websocket.disconnect", "code": code}] if code else []),
        ]
        app = made.put_on(self.app())
        asyncio.run(asyncio.wait_for(send(app, websocket_scope("/echo"), incoming=incoming, breaks_at=breaks_at), 20))
        return made.only

    @pytest.fixture(params=["*=0", "*=1"], ids=["kept", "sampled"])
    def made(self, request: pytest.FixtureRequest, behind: MakeBehind) -> Behind:
        return behind(request.param)

    def counted(self, span: ReadableSpan) -> list[Any]:
        names = ("websocket.messages_received", "websocket.messages_sent", "websocket.close_code")
        return [(span.attributes or {}).get(name) for name in names]

    def test_messages_are_counted(self, made: Behind) -> None:
        span = self.talk(made, "a", "b", "c", "close")
        assert self.counted(span) == [4, 6, 1000]
        assert events(span) == []

    def test_closed_by_the_client(self, made: Behind) -> None:
        span = self.talk(made, "a", code=1001)
        assert self.counted(span) == [1, 2, 1001]
        assert (events(span), has_failed(span)) == ([], False)

    def test_without_a_word(self, made: Behind) -> None:
        span = self.talk(made, "a", "b", code=1006)
        assert self.counted(span) == [2, 4, 1006]
        assert (events(span), has_failed(span)) == ([GONE], False)

    def test_as_send_says(self, made: Behind) -> None:
        span = self.talk(made, "a", "b", breaks_at=2)
        assert self.counted(span) == [1, 2, None]
        assert (events(span), has_failed(span)) == ([GONE], False)

    @pytest.mark.parametrize("code", [1000, 1006])
    def test_one_that_is_open_for_long_is_not_slow(
        self, behind: MakeBehind, monkeypatch: pytest.MonkeyPatch, code: int
    ) -> None:
        made, app, clock = behind("*=0", keep_slower_than=2.0, keep_total=True), FastAPI(), Clock(monkeypatch)

        @app.websocket("/")
        async def socket(websocket: WebSocket) -> None:
            await websocket.accept()
            clock.pass_seconds(3600)
            await websocket.receive_text()

        incoming = [{"type": "websocket.connect"}, {"type": "websocket.disconnect", "code": code}]
        asyncio.run(send(made.put_on(app), websocket_scope("/"), incoming=incoming))
        assert made.spans == []

    def test_one_that_is_refused_has_no_messages(self, behind: MakeBehind) -> None:
        made, app = behind("*=1"), FastAPI()

        @app.websocket("/")
        async def refuse(websocket: WebSocket) -> None:
            await websocket.close()

        asyncio.run(send(made.put_on(app), websocket_scope("/"), incoming=[{"type": "websocket.connect"}]))
        assert "websocket.messages_sent" not in (made.only.attributes or {})


class TestOpen:
    @pytest.fixture
    def soon(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(streams, "OPEN_AFTER", 0.02)

    @staticmethod
    async def shown(made: Behind) -> None:
        async def look() -> None:
            while not made.spans:  # noqa: ASYNC110 (nothing tells of a span)
                await asyncio.sleep(0.005)

        await asyncio.wait_for(look(), 20)

    @pytest.mark.usefixtures("soon")
    @pytest.mark.parametrize("first_chunk", [True, False], ids=["", "before its first event"])
    def test_a_stream_is_shown(self, behind: MakeBehind, *, first_chunk: bool) -> None:
        made, app = behind("*=1"), FastAPI()

        @app.get("/events/{room}")
        async def stream(room: str) -> StreamingResponse:
            async def chunks() -> Any:
                if first_chunk:
                    yield "data: x\n\n"
                await self.shown(made)
                yield "data: y\n\n"

            return StreamingResponse(chunks(), media_type="text/event-stream")

        ask(made, made.put_on(app), "/events/blue")
        shown, server = made.spans
        assert (shown.name, shown.kind) == ("GET /events/{room} (open)", SpanKind.INTERNAL)
        assert shown.attributes == {"http.method": "GET", "http.route": "/events/{room}"}
        assert shown.parent is not None
        assert shown.parent.span_id == server.get_span_context().span_id  # type: ignore[union-attr]
        assert shown.start_time == server.start_time
        assert (shown.end_time or 0) < (server.end_time or 0)

    @pytest.mark.usefixtures("soon")
    def test_a_web_socket_is_shown_once(self, behind: MakeBehind) -> None:
        made, app = behind("*=1"), FastAPI()

        @app.websocket("/ws")
        async def socket(websocket: WebSocket) -> None:
            await websocket.accept()
            await self.shown(made)
            await asyncio.sleep(0.05)  # a loop's timers go off in their order: a second one would have by now
            await websocket.close()

        incoming = [{"type": "websocket.connect"}]
        asyncio.run(asyncio.wait_for(send(made.put_on(app), websocket_scope("/ws"), incoming=incoming), 20))
        assert made.names == ["/ws (open)", "/ws"]

    @pytest.mark.parametrize("how", ["*=0", "*=1", "upstream"])
    def test_what_ends_before_is_not(self, behind: MakeBehind, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
        made, app, seen = behind("*=1" if how == "upstream" else how), FastAPI(), list[str]()
        made.fast_path.bypassed = how == "upstream"
        monkeypatch.setattr(upstream_path, "tracer", lambda: made.provider.get_tracer("tests"))
        timers: list[asyncio.TimerHandle] = []

        @app.websocket("/ws")
        async def socket(websocket: WebSocket) -> None:
            await websocket.accept()
            try:
                await websocket.receive_text()
            except WebSocketDisconnect:
                seen.append("gone")

        @app.get("/events")
        async def stream() -> StreamingResponse:
            return StreamingResponse(iter(["x", "y"]), media_type="text/event-stream")

        made.put_on(app)

        async def run() -> None:
            loop = asyncio.get_running_loop()
            call_later = loop.call_later

            def noted(delay: float, *args: Any, **options: Any) -> asyncio.TimerHandle:
                assert delay == 10.0
                timers.append(call_later(delay, *args, **options))
                return timers[-1]

            loop.call_later = noted  # type: ignore[assignment]
            incoming = [{"type": "websocket.connect"}, {"type": "websocket.disconnect", "code": 1000}]
            await send(app, websocket_scope("/ws"), incoming=incoming)
            await send(app, http_scope(path="/events"))
            await send(app, http_scope(path="/events"), breaks_at=2)

        asyncio.run(run())
        assert seen == ["gone"]
        assert made.names == ([] if how == "*=0" else ["/ws", "GET /events", "GET /events"])
        assert [timer.cancelled() for timer in timers] == [True] * len(made.spans)

    def test_without_a_loop_nothing_is_done(self) -> None:
        assert streams.show_open_later(object(), object()) is None  # type: ignore[arg-type]

    def test_a_processor_that_raises_is_reported(self, behind: MakeBehind, monkeypatch: pytest.MonkeyPatch) -> None:
        made, reported = behind("*=1"), []
        monkeypatch.setattr(streams, "report_error", lambda sentence, _: reported.append(sentence))

        class Tracer:
            def start_span(self, *_: Any, **__: Any) -> Any:
                raise RuntimeError("on purpose")

        span = made.provider.get_tracer("tests").start_span("a connection")
        streams._show_open(span, Tracer())  # type: ignore[arg-type]
        assert reported == ["A connection that is open could not be shown"]
