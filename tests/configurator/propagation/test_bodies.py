"""The span of a call lasts until its answer has been read: real servers, httpx and aiohttp."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import gc
import gzip
import os
import pickle
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import aiohttp
import httpx
import pytest
from hypercorn.asyncio import serve
from hypercorn.config import Config
from opentelemetry import trace
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import NonRecordingSpan, StatusCode

from tracebaton_configurator.propagation import bodies, http_clients

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from opentelemetry.sdk.trace import ReadableSpan

PIECE = b"x" * 100


class Server:
    """Answers by raw sockets, in a thread, as the path says; what it sends next waits for `go`, where it says so."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        server = asyncio.run_coroutine_threadsafe(asyncio.start_server(self._serve, "127.0.0.1", 0), self._loop)
        self._server = server.result()
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                path = head.split(b" ")[1].decode()
                if not await getattr(self, f"_{path.strip('/')}")(writer):
                    break
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _plain(self, writer: asyncio.StreamWriter) -> bool:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello")
        return True

    async def _nothing(self, writer: asyncio.StreamWriter) -> bool:
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        return True

    async def _gzip(self, writer: asyncio.StreamWriter) -> bool:
        body = gzip.compress(b"hello" * 1000)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
        return True

    async def _redirect(self, writer: asyncio.StreamWriter) -> bool:
        writer.write(b"HTTP/1.1 302 Found\r\nlocation: /plain\r\ncontent-length: 0\r\n\r\n")
        return True

    async def _many(self, writer: asyncio.StreamWriter) -> bool:
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        for _ in range(10_000):
            writer.write(b"%x\r\n%s\r\n" % (len(PIECE), PIECE))
            await writer.drain()
        writer.write(b"0\r\n\r\n")
        return True

    async def _slowly(self, writer: asyncio.StreamWriter) -> bool:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello")
        await writer.drain()
        await asyncio.to_thread(self.go.wait, 20)
        writer.write(b"world")
        return True

    async def _dies(self, writer: asyncio.StreamWriter) -> bool:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello")
        await writer.drain()
        await asyncio.to_thread(self.go.wait, 20)
        return False

    def close(self) -> None:
        self.go.set()

        async def end() -> None:
            self._server.close()
            tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._loop.stop()

        asyncio.run_coroutine_threadsafe(end(), self._loop)
        self._thread.join(10)
        self._loop.close()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


@pytest.fixture
def server_of_http_2() -> Iterator[str]:
    """Its address: hypercorn, in clear text; `/5` answers in five pieces."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(int(scope["path"].strip("/"))):
            await send({"type": "http.response.body", "body": PIECE, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    config = Config()
    listener = socket.create_server(("127.0.0.1", 0))
    config.bind = [f"fd://{listener.detach()}"]
    config.accesslog = config.errorlog = None
    loop, over = asyncio.new_event_loop(), threading.Event()

    async def ended() -> None:
        await asyncio.to_thread(over.wait)

    port = socket.socket(fileno=os.dup(int(config.bind[0].removeprefix("fd://")))).getsockname()[1]
    thread = threading.Thread(target=lambda: loop.run_until_complete(serve(app, config, shutdown_trigger=ended)))
    thread.start()
    yield f"http://127.0.0.1:{port}"
    over.set()
    thread.join(10)
    loop.close()


class Spans:
    def __init__(self) -> None:
        self.memory = InMemorySpanExporter()
        self.provider = TracerProvider(shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self.memory))

    @property
    def all(self) -> list[ReadableSpan]:
        return list(self.memory.get_finished_spans())

    @property
    def only(self) -> ReadableSpan:
        (span,) = self.all
        return span


@pytest.fixture
def spans() -> Iterator[Spans]:
    """Those of httpx, instrumented as in a process of ours."""
    made = Spans()
    kinds = ((httpx.HTTPTransport, "handle_request"), (httpx.AsyncHTTPTransport, "handle_async_request"))
    before = [kind.__dict__[name] for kind, name in kinds]
    instrumentor = HTTPXClientInstrumentor()
    before_httpx = http_clients.around()["httpx"].before
    assert before_httpx is not None
    before_httpx()
    instrumentor.instrument(tracer_provider=made.provider)
    yield made
    instrumentor.uninstrument()
    for (kind, name), method in zip(kinds, before, strict=True):
        setattr(kind, name, method)
    gc.collect()
    assert not bodies.any_open(), "a span was left open"


def told(span: ReadableSpan) -> tuple[Any, list[str], StatusCode]:
    """The size of the body, the events, the status."""
    events = [event.name for event in span.events]
    return (span.attributes or {}).get("http.response.body.size"), events, span.status.status_code


class TestHttpx:
    @pytest.mark.parametrize(
        ("path", "size"), [("plain", 5), ("nothing", 0), ("gzip", len(gzip.compress(b"hello" * 1000)))]
    )
    def test_a_body_that_is_read_at_once(self, server: Server, spans: Spans, path: str, size: int) -> None:
        with httpx.Client() as client:
            answer = client.get(f"{server.url}/{path}")
        assert told(spans.only) == (size, [], StatusCode.UNSET)
        assert pickle.loads(pickle.dumps(answer)).content == answer.content  # noqa: S301 (its own)
        assert answer.num_bytes_downloaded == size
        assert isinstance(answer.stream, httpx.SyncByteStream)

    def test_a_stream_ends_with_its_last_byte(self, server: Server, spans: Spans) -> None:
        with httpx.Client() as client, client.stream("GET", f"{server.url}/slowly") as answer:
            pieces = answer.iter_raw()
            assert next(pieces) == b"hello"
            assert spans.all == []
            began = time.time_ns()
            server.go.set()
            assert b"".join(pieces) == b"world"
            assert spans.only.end_time is not None
            assert spans.only.end_time >= began
        assert told(spans.only) == (10, ["http.response.first_byte"], StatusCode.UNSET)
        assert spans.only.events[0].timestamp < began

    def test_ten_thousand_pieces_are_one_span(self, server: Server, spans: Spans) -> None:
        with httpx.Client() as client, client.stream("GET", f"{server.url}/many") as answer:
            size = sum(map(len, answer.iter_bytes()))
        assert size == 1_000_000
        assert told(spans.only) == (size, ["http.response.first_byte"], StatusCode.UNSET)

    def test_a_server_that_dies_is_an_error(self, server: Server, spans: Spans) -> None:
        server.go.set()
        with httpx.Client() as client, pytest.raises(httpx.RemoteProtocolError):
            client.get(f"{server.url}/dies")
        span = spans.only
        assert told(span) == (5, ["exception"], StatusCode.ERROR)
        assert (span.attributes or {})["error.type"] == "RemoteProtocolError"

    def test_a_timeout_while_reading_is_an_error(self, server: Server, spans: Spans) -> None:
        with httpx.Client(timeout=0.2) as client, pytest.raises(httpx.ReadTimeout):
            client.get(f"{server.url}/slowly")
        assert told(spans.only) == (5, ["exception"], StatusCode.ERROR)

    def test_a_stream_that_is_closed_early_is_none(self, server: Server, spans: Spans) -> None:
        with httpx.Client() as client, client.stream("GET", f"{server.url}/slowly") as answer:
            for piece in answer.iter_raw():
                assert piece == b"hello"
                break
        assert told(spans.only) == (5, [], StatusCode.UNSET)

    def test_one_that_is_abandoned_ends_with_its_last_byte(self, server: Server, spans: Spans) -> None:
        client = httpx.Client()
        answer = client.send(client.build_request("GET", f"{server.url}/slowly"), stream=True)
        assert next(answer.iter_raw()) == b"hello"
        read = time.time_ns()
        del answer
        gc.collect()
        assert spans.all == [], "the collector may have stopped a thread that holds a lock"
        assert http_clients.is_reading()
        client.get(f"{server.url}/plain")
        abandoned, _ = spans.all
        assert (abandoned.end_time or 0) <= read
        assert told(abandoned) == (5, [], StatusCode.UNSET)
        client.close()

    def test_one_that_is_abandoned_ends_with_the_process(
        self, server: Server, spans: Spans, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        held: set[object] = set()
        monkeypatch.setattr(http_clients, "hold_signal", held.add)
        monkeypatch.setattr(http_clients, "let_go_of_signal", held.discard)
        client = httpx.Client()
        client.send(client.build_request("GET", f"{server.url}/slowly"), stream=True)
        gc.collect()
        assert len(held) == 1, "a span would be lost"
        http_clients.end_bodies()
        assert told(spans.only) == (0, [], StatusCode.UNSET)
        assert held == set()
        client.close()

    def test_redirects_are_a_span_each(self, server: Server, spans: Spans) -> None:
        with httpx.Client(follow_redirects=True) as client:
            assert client.get(f"{server.url}/redirect").text == "hello"
        statuses = [(span.attributes or {})["http.status_code"] for span in spans.all]
        assert statuses == [302, 200]

    def test_what_is_open_ends_with_the_process(self, server: Server, spans: Spans) -> None:
        with httpx.Client() as client, client.stream("GET", f"{server.url}/slowly") as answer:
            assert next(answer.iter_raw()) == b"hello"
            assert http_clients.is_reading()
            http_clients.end_bodies()
            assert told(spans.only) == (5, [], StatusCode.UNSET)
            assert not http_clients.is_reading()
        assert len(spans.all) == 1

    @pytest.mark.filterwarnings(
        "ignore:This process:DeprecationWarning"
    )  # the server's thread, which the child has not
    def test_a_forked_child_leaves_it_to_its_parent(self, server: Server, spans: Spans) -> None:
        with httpx.Client() as client, client.stream("GET", f"{server.url}/slowly") as answer:
            assert next(answer.iter_raw()) == b"hello"
            child = os.fork()
            if child == 0:
                answer.close()
                http_clients.end_bodies()
                os._exit(len(spans.all))
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, "the child has ended a span"
            assert spans.all == []
        assert told(spans.only) == (5, [], StatusCode.UNSET)

    def test_streams_that_share_a_connection_of_http_2(self, server_of_http_2: str, spans: Spans) -> None:
        async def read(client: httpx.AsyncClient, count: int) -> int:
            async with client.stream("GET", f"{server_of_http_2}/{count}") as answer:
                assert answer.http_version == "HTTP/2"
                return sum([len(piece) async for piece in answer.aiter_raw()])

        async def main() -> list[int]:
            async with httpx.AsyncClient(http1=False, http2=True) as client:
                return await asyncio.gather(*(read(client, count) for count in (1, 5, 50)))

        sizes = asyncio.run(main())
        assert sizes == [100, 500, 5000]
        found = {(span.attributes or {})["http.response.body.size"]: told(span)[1] for span in spans.all}
        assert found.keys() == set(sizes)
        assert found[5000] == ["http.response.first_byte"]

    def test_each_try_is_a_span(self, server: Server, spans: Spans) -> None:
        """Of an application's that tries again where the answer has broken off."""
        server.go.set()
        with httpx.Client() as client:
            for path in ("dies", "plain"):
                with contextlib.suppress(httpx.RemoteProtocolError):
                    client.get(f"{server.url}/{path}")
        assert [told(span)[2] for span in spans.all] == [StatusCode.ERROR, StatusCode.UNSET]

    @pytest.mark.parametrize("path", ["plain", "many", "gzip", "nothing"])
    def test_the_same_with_asyncio(self, server: Server, spans: Spans, path: str) -> None:
        async def main() -> int:
            async with httpx.AsyncClient() as client, client.stream("GET", f"{server.url}/{path}") as answer:
                assert isinstance(answer.stream, httpx.AsyncByteStream)
                await answer.aread()
                return answer.num_bytes_downloaded

        size = asyncio.run(main())
        assert told(spans.only)[0] == size
        assert spans.only.status.status_code is StatusCode.UNSET

    def test_asyncio_server_that_dies(self, server: Server, spans: Spans) -> None:
        async def main() -> None:
            async with httpx.AsyncClient() as client:
                server.go.set()
                await client.get(f"{server.url}/dies")

        with pytest.raises(httpx.RemoteProtocolError):
            asyncio.run(main())
        assert told(spans.only) == (5, ["exception"], StatusCode.ERROR)

    def test_asyncio_cancelled_while_reading(self, server: Server, spans: Spans) -> None:
        async def main() -> None:
            async with httpx.AsyncClient() as client:
                begun = asyncio.Event()

                async def read() -> None:
                    async with client.stream("GET", f"{server.url}/slowly") as answer:
                        async for _ in answer.aiter_raw():
                            begun.set()

                task = asyncio.create_task(read())
                await begun.wait()
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task

        asyncio.run(main())
        assert told(spans.only) == (5, [], StatusCode.UNSET)

    def test_asyncio_never_finished(self, server: Server, spans: Spans) -> None:
        async def main() -> None:
            client = httpx.AsyncClient()
            answer = await client.send(client.build_request("GET", f"{server.url}/slowly"), stream=True)
            pieces: AsyncIterator[bytes] = answer.aiter_bytes()
            assert await anext(pieces) == b"hello"
            del pieces, answer
            gc.collect()
            await client.aclose()

        asyncio.run(main())
        gc.collect()
        http_clients.end_bodies()
        assert told(spans.only) == (5, [], StatusCode.UNSET)

    def test_two_streams_at_once(self, server: Server, spans: Spans) -> None:
        async def main() -> None:
            async with httpx.AsyncClient() as client:
                answers = await asyncio.gather(*(client.get(f"{server.url}/{path}") for path in ("many", "plain")))
                assert [len(answer.content) for answer in answers] == [1_000_000, 5]

        asyncio.run(main())
        assert sorted((span.attributes or {})["http.response.body.size"] for span in spans.all) == [5, 1_000_000]

    def test_a_span_above_that_is_not_upstreams_is_left_alone(self, server: Server, spans: Spans) -> None:
        tracer = spans.provider.get_tracer("model client")
        HTTPXClientInstrumentor().uninstrument()
        with httpx.Client() as client, tracer.start_as_current_span("chat"):
            with client.stream("GET", f"{server.url}/slowly"):
                pass
            assert spans.all == []
        assert spans.only.name == "chat"


def test_pieces_can_be_closed_as_those_of_httpx(server: Server, spans: Spans) -> None:
    async def ask() -> None:
        async with httpx.AsyncClient() as client:
            request = client.build_request("GET", f"{server.url}/many")
            answer = await client._transport.handle_async_request(request)
            pieces: Any = answer.stream.__aiter__()  # type: ignore[union-attr]
            assert await pieces.__anext__()
            await pieces.aclose()
            await answer.aclose()

    asyncio.run(ask())
    assert spans.only.name == "GET"


class TestHooksThatReadTheBody:
    """As one of upstream's own tests does: what such a hook sets after that belongs to the span."""

    def test_httpx(self, server: Server, spans: Spans) -> None:
        def read(span: trace.Span, _: Any, response: Any) -> None:
            span.set_attribute("body", b"".join(response.stream))
            span.set_attribute("later", 1)

        self.instrument(spans, response_hook=read)
        with httpx.Client() as client, client.stream("GET", f"{server.url}/plain"):
            pass
        self.check(spans)

    def test_httpx_async(self, server: Server, spans: Spans) -> None:
        async def read(span: trace.Span, _: Any, response: Any) -> None:
            span.set_attribute("body", b"".join([piece async for piece in response.stream]))
            span.set_attribute("later", 1)

        async def ask() -> None:
            async with httpx.AsyncClient() as client, client.stream("GET", f"{server.url}/plain"):
                pass

        self.instrument(spans, async_response_hook=read)
        asyncio.run(ask())
        self.check(spans)

    @staticmethod
    def instrument(spans: Spans, **hooks: Any) -> None:
        instrumentor = HTTPXClientInstrumentor()
        instrumentor.uninstrument()
        instrumentor.instrument(tracer_provider=spans.provider, **hooks)

    @staticmethod
    def check(spans: Spans) -> None:
        attributes = spans.only.attributes or {}
        assert (attributes["body"], attributes["later"], attributes["http.response.body.size"]) == (b"hello", 1, 5)


def test_what_is_not_recorded_is_not_watched() -> None:
    assert not bodies.hold(NonRecordingSpan(trace.INVALID_SPAN_CONTEXT))


def test_a_span_is_held_once(spans: Spans) -> None:
    span = spans.provider.get_tracer("x").start_span("call")
    assert bodies.hold(span)
    assert not bodies.hold(span)
    body = bodies.Body(span)
    span.end()
    assert spans.all == []
    body.done()
    body.done()
    assert spans.only.name == "call"


@contextlib.contextmanager
def traced_aiohttp(spans: Spans) -> Iterator[Callable[[], aiohttp.ClientSession]]:
    """Sessions with a span of the kind that aiohttp's instrumentations make."""

    async def start(_: Any, context: Any, params: Any) -> None:
        context.span = spans.provider.get_tracer("aiohttp").start_span(params.method)

    async def end(_: Any, context: Any, params: Any) -> None:
        bodies.watch_aiohttp(params.response, context.span)
        context.span.end()

    config = aiohttp.TraceConfig()
    config.on_request_start.append(start)
    config.on_request_end.append(end)
    yield lambda: aiohttp.ClientSession(trace_configs=[config])


class TestAiohttp:
    @pytest.mark.parametrize(("path", "size"), [("plain", 5), ("nothing", 0), ("many", 1_000_000)])
    def test_it_ends_with_its_body(self, server: Server, spans: Spans, path: str, size: int) -> None:
        async def main() -> None:
            with traced_aiohttp(spans) as session_of:
                async with session_of() as session, session.get(f"{server.url}/{path}") as answer:
                    assert len(await answer.read()) == size

        asyncio.run(main())
        assert told(spans.only) == (size, [], StatusCode.UNSET)

    def test_a_stream_ends_with_its_last_byte(self, server: Server, spans: Spans) -> None:
        async def main() -> None:
            with traced_aiohttp(spans) as session_of:
                async with session_of() as session, session.get(f"{server.url}/slowly") as answer:
                    assert await answer.content.readexactly(5) == b"hello"
                    assert spans.all == []
                    server.go.set()
                    assert await answer.read() == b"world"
                    assert told(spans.only) == (10, [], StatusCode.UNSET)

        asyncio.run(main())
        assert len(spans.all) == 1

    def test_a_server_that_dies_is_an_error(self, server: Server, spans: Spans) -> None:
        async def main() -> None:
            with traced_aiohttp(spans) as session_of:
                async with session_of() as session:
                    server.go.set()
                    async with session.get(f"{server.url}/dies") as answer:
                        await answer.read()

        with pytest.raises(aiohttp.ClientPayloadError):
            asyncio.run(main())
        assert told(spans.only) == (5, ["exception"], StatusCode.ERROR)

    def test_one_that_is_closed_early_is_none(self, server: Server, spans: Spans) -> None:
        async def main() -> None:
            with traced_aiohttp(spans) as session_of:
                async with session_of() as session:
                    async with session.get(f"{server.url}/slowly") as answer:
                        assert await answer.content.readexactly(5) == b"hello"
                    assert told(spans.only) == (5, [], StatusCode.UNSET)

        asyncio.run(main())

    def test_what_is_open_ends_with_the_process(self, server: Server, spans: Spans) -> None:
        async def main() -> None:
            with traced_aiohttp(spans) as session_of:
                async with session_of() as session, session.get(f"{server.url}/slowly") as answer:
                    assert await answer.content.readexactly(5) == b"hello"
                    bodies.end_all()
                    assert told(spans.only) == (5, [], StatusCode.UNSET)

        asyncio.run(main())
        assert len(spans.all) == 1


def test_a_copy_of_a_stream_is_possible(server: Server, spans: Spans) -> None:
    with httpx.Client() as client, client.stream("GET", f"{server.url}/plain") as answer:
        assert isinstance(copy.copy(answer.stream), httpx.SyncByteStream)
        assert answer.read() == b"hello"
    assert len(spans.all) == 1
