"""What `test_ids_model.py` needs to run programs: actors that do one thing at a time, and a server around them."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import logging.handlers
import queue
import re
import socket
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, NamedTuple

import loguru
import pytest
import structlog
import uvicorn
from fastapi import APIRouter, BackgroundTasks, FastAPI
from fastapi.responses import StreamingResponse
from opentelemetry import propagate
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.background import BackgroundTask

from tracebaton_configurator.asgi import clean_context, sampled, unsampled
from tracebaton_configurator.asgi.fast_path import FastPath
from tracebaton_configurator.asgi.instrumentation import _propagates_w3c_only
from tracebaton_configurator.asgi.middleware import add_sampling_middleware
from tracebaton_configurator.logs import hook, ids, standard
from tracebaton_configurator.propagation import threads
from tracebaton_configurator.propagation.trust import Trust
from tracebaton_configurator.propagation.w3c import propagator
from tracebaton_configurator.sampling.late_spans import LateSpans
from tracebaton_configurator.sampling.root_sampler import RuleRootSampler
from tracebaton_configurator.sampling.rule_set import RuleSet
from tracebaton_configurator.sampling.rules import effective_rules
from tracebaton_configurator.sampling.sampler import DecisionIdGenerator, TracebatonSampler

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    Command = Callable[[], Awaitable[object] | object]

DETACH_AFTER = 300.0
SECONDS = 20
"""How long anything may take. Nothing waits so long, unless it waits for ever."""
TOKEN = re.compile(r"\bx(\d+)x\b")


class End(NamedTuple):
    """What ends an actor, by an exception or without one."""

    error: Exception | None = None


class Owner:
    """The span whose ids lines have: the SERVER span of a request, or that of its background task.

    `recording` is a span that has not ended: it is current for as long as it lasts. `answered` is when its request was,
    shared by all of a request's.
    """

    def __init__(self, request: Asked, *, recording: bool) -> None:
        self.request = request
        self.recording = recording


class Asked:
    """A request, as its caller and the model know it. `answered` is None until it is."""

    def __init__(self, path: str, traceparent: str, *, sampled: bool) -> None:
        self.path = path
        self.traceparent = traceparent
        self.sampled = sampled
        self.answered: float | None = None


class Actor:
    """Code of the application's somewhere: it does what it is told, one thing at a time, until it is told to end."""

    def __init__(self, owner: Owner | None, *, in_thread: bool = False) -> None:
        self.owner = owner
        self.in_thread = in_thread
        self.inbox: queue.SimpleQueue[tuple[Command | End, Future[None]]] = queue.SimpleQueue()
        self.told = asyncio.Event()
        self.begun = False
        self.task: asyncio.Task[None] | None = None
        self.on_cancelled: Callable[[], object] = bool

    async def do(self, command: Command | End) -> None:
        done: Future[None] = Future()
        self.inbox.put((command, done))
        self.told.set()
        await asyncio.wait_for(asyncio.wrap_future(done), SECONDS)

    async def live(self) -> None:
        self.begun = True
        try:
            while True:
                await self.told.wait()
                self.told.clear()
                command, done = self.inbox.get_nowait()
                if isinstance(command, End):
                    break
                try:
                    result = command()
                    if isawaitable(result):
                        await result
                except Exception as error:  # noqa: BLE001 (for who asked)
                    done.set_exception(error)
                else:
                    done.set_result(None)
                del command, done
        except asyncio.CancelledError:
            self.on_cancelled()
            raise
        done.set_result(None)
        if command.error is not None:
            raise command.error

    def work(self) -> None:
        self.begun = True
        while True:
            command, done = self.inbox.get()
            if isinstance(command, End):
                break
            try:
                command()
            except Exception as error:  # noqa: BLE001 (see above)
                done.set_exception(error)
            else:
                done.set_result(None)
            del command, done
        done.set_result(None)
        if command.error is not None:
            raise command.error


class Connection(NamedTuple):
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


class Application:
    """A FastAPI application on uvicorn, traced, in this process; what it logs, and the spans that come of it.

    `parts` are the actors that its endpoints, streams and background tasks are, by the token in the path.
    """

    def __init__(self, patch: pytest.MonkeyPatch, loop: str, http: str) -> None:
        self.clock = 1000.0
        self.parts: dict[str, Actor] = {}
        self.background: dict[str, Actor] = {}
        self.at_start = Actor(None)
        self.output = io.StringIO()
        self.later: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
        self.executor = ThreadPoolExecutor(60)
        self._undo: list[Callable[[], object]] = []
        self._trace(patch)
        self._set_up_logging(patch)
        self.loop = new_loop(loop)
        self.server = uvicorn.Server(uvicorn.Config(self._application(), http=http, log_config=None))
        self.server.config.load()
        self.server.lifespan = self.server.config.lifespan_class(self.server.config)
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.run(self.server.startup([self.socket]))

    def run(self, done: Awaitable[Any]) -> Any:
        return self.loop.run_until_complete(asyncio.wait_for(done, SECONDS))

    def _trace(self, patch: pytest.MonkeyPatch) -> None:
        before = propagate.get_global_textmap()
        self._undo.append(lambda: propagate.set_global_textmap(before))
        propagate.set_global_textmap(CompositePropagator([TraceContextTextMapPropagator(), W3CBaggagePropagator()]))
        propagator.install()
        sampler = TracebatonSampler(RuleRootSampler(RuleSet(effective_rules("/u/*=0, *=1"))), follows_parents=True)
        generator = DecisionIdGenerator(RandomIdGenerator())
        self.memory = InMemorySpanExporter()
        self.provider = TracerProvider(sampler=sampler, id_generator=generator, shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self.memory))
        self.fast_path = FastPath(sampler, generator, Trust(True), w3c_only=_propagates_w3c_only())  # noqa: FBT003
        self.switched: tuple[Any, ...] = (sampler, generator, self.fast_path)
        self.late_spans = LateSpans(errors=False, slower_than=None)
        patch.setattr(uvicorn.Server, "startup", uvicorn.Server.startup)
        clean_context._patch_uvicorn(uvicorn.server)
        threads.install(DETACH_AFTER)
        self._undo += [around.before for around in threads.around().values() if around.before]
        for module in (ids, sampled, unsampled):
            patch.setattr(module, "monotonic", lambda: self.clock)
        patch.setattr(unsampled, "monotonic_ns", lambda: int(self.clock * 1e9))

    def _set_up_logging(self, patch: pytest.MonkeyPatch) -> None:
        patch.setattr(standard, "is_standard", lambda stream: stream is self.output)
        patch.setattr(standard, "is_in_memory", lambda _: False)
        self._undo.append(hook.install("json", "shop"))
        root = logging.getLogger()
        self.handler = logging.StreamHandler(self.output)
        patch.setattr(root, "handlers", [self.handler])  # those of pytest would collect it all
        for name in ("uvicorn", "uvicorn.access", "uvicorn.error"):  # another test may have had uvicorn configure them
            servers = logging.getLogger(name)
            patch.setattr(servers, "handlers", [])
            patch.setattr(servers, "propagate", True)
            patch.setattr(servers, "disabled", False)
            patch.setattr(servers, "level", logging.NOTSET)
            servers.manager._clear_cache()  # type: ignore[attr-defined]
        level = root.level
        self._undo.append(lambda: root.setLevel(level))
        root.setLevel(logging.INFO)
        self.later_log = logging.Logger("later", logging.INFO)
        self.later_log.addHandler(logging.handlers.QueueHandler(self.later))
        loguru.logger.remove()
        loguru.logger.add(self.output)
        structlog.configure(
            processors=[structlog.processors.add_log_level, structlog.processors.KeyValueRenderer()],
            logger_factory=structlog.WriteLoggerFactory(self.output),  # type: ignore[arg-type]
        )
        self.says = (logging.getLogger("model").info, loguru.logger.info, structlog.get_logger().info)
        patch.setattr(
            threading,
            "excepthook",
            lambda of: logging.getLogger("model").error("a thread failed", exc_info=of[:3]),
        )

    def say(self, number: int) -> None:
        """Log a line about that, in one of three libraries."""
        self.says[number % len(self.says)](f"x{number}x")

    def _application(self) -> FastAPI:
        @asynccontextmanager
        async def lifespan(_: FastAPI) -> AsyncIterator[None]:
            task = asyncio.create_task(self.at_start.live())
            yield
            await task

        call = BackgroundTask.__call__
        self._undo.append(lambda: setattr(BackgroundTask, "__call__", call))
        self._undo.append(lambda: delattr(BackgroundTask, "_otel_original_call"))
        outer = FastAPI(lifespan=lifespan)
        for app in (mounted := FastAPI(), outer):
            router = APIRouter()
            self._endpoints(router)
            for prefix in ("/s", "/u") if app is outer else ("",):
                app.include_router(router, prefix=prefix)
            FastAPIInstrumentor.instrument_app(app, tracer_provider=self.provider, exclude_spans=["send", "receive"])
            add_sampling_middleware(app, self)
        for prefix in ("/s", "/u"):
            outer.mount(f"{prefix}/mounted", mounted)
            outer.mount(f"{prefix}/raw", self._raw)
        return outer

    def _endpoints(self, router: APIRouter) -> None:
        @router.get("/task/{token}")
        async def in_task(token: str, tasks: BackgroundTasks) -> None:
            await self.parts[token].live()
            if token in self.background:
                after = self.background[token]
                tasks.add_task(after.work if after.in_thread else after.live)

        @router.get("/thread/{token}")
        def in_thread(token: str) -> None:
            self.parts[token].work()

        @router.get("/stream/{token}")
        async def stream(token: str) -> StreamingResponse:
            async def parts() -> AsyncIterator[str]:
                yield "x"
                await self.parts[token].live()
                yield "x"

            return StreamingResponse(parts())

    async def _raw(self, scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await self.parts[scope["path"].rpartition("/")[2]].live()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    async def connect(self) -> Connection:
        return Connection(*await asyncio.open_connection(*self.socket.getsockname()))

    async def shut_down(self) -> None:
        await self.at_start.do(End())
        await self.server.shutdown([self.socket])

    def undo(self) -> None:
        self.executor.shutdown()
        self.loop.close()
        loguru.logger.remove()
        structlog.reset_defaults()
        while self._undo:
            self._undo.pop()()

    def lines(self) -> list[tuple[list[int], dict[str, Any]]]:
        """Of each line the tokens in it, and what it says."""
        found = [(sorted({int(one) for one in TOKEN.findall(line)}), json.loads(line)) for line in self._lines()]
        return [one for one in found if one[1].get("logger") != "tracebaton"]

    def _lines(self) -> list[str]:
        return self.output.getvalue().splitlines()

    async def wait_for(self, is_so: Callable[[], bool], what: object) -> None:
        for turn in range(SECONDS * 1000):
            if is_so():
                return
            await asyncio.sleep(0 if turn < 20 else 0.001)
        pytest.fail(f"{what} did not come: {self._lines()[-5:]}")

    def has(self, number: int) -> bool:
        return re.search(rf"\bx{number}x\b", self.output.getvalue()) is not None


async def read_answer(reader: asyncio.StreamReader) -> None:
    """Read an answer to its end, or to that of the connection."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: (\d+)", head)
    with suppress(asyncio.IncompleteReadError):
        await (reader.readexactly(int(length[1])) if length else reader.readuntil(b"0\r\n\r\n"))


def new_loop(name: str) -> asyncio.AbstractEventLoop:
    if name == "asyncio":
        return asyncio.new_event_loop()
    import uvloop

    return uvloop.new_event_loop()


async def wait_for_ever() -> None:
    await asyncio.get_running_loop().create_future()


async def fail(number: int) -> None:
    raise_error(number)


def raise_error(number: int) -> None:
    raise ValueError(f"x{number}x")
