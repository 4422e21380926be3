"""Logs from wherever code of an application runs. Each line begins with the path of the request that it belongs to."""

import asyncio
import logging
import logging.handlers
import os
import queue
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import httpx
from fastapi import BackgroundTasks, Depends, FastAPI, Request, WebSocket
from fastapi.responses import JSONResponse, StreamingResponse

logging.basicConfig(level=logging.INFO)
logging.getLogger("httpx").setLevel(logging.WARNING)
log = logging.getLogger("ids")
released = asyncio.Event()
kept = set()

# Lines that wait in a queue until somebody asks for them.
waiting: "queue.Queue[logging.LogRecord]" = queue.Queue()
later = logging.getLogger("later")
later.addHandler(logging.handlers.QueueHandler(waiting))
later.propagate = False


class OurError(Exception):
    pass


async def periodically() -> None:
    while True:
        log.info("(none) periodic")
        await asyncio.sleep(0.02)


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    log.info("(none) starting")
    task = asyncio.create_task(periodically())
    yield
    task.cancel()
    log.info("(none) stopping")


app = FastAPI(lifespan=lifespan)
mounted = FastAPI()
app.mount("/sub", mounted)


class Middleware:
    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        log.info("%s middleware, before", scope["path"])
        await self.app(scope, receive, send)
        log.info("%s middleware, after", scope["path"])


@app.middleware("http")
async def decorated(request: Request, call_next: Any) -> Any:
    log.info("%s decorated, before", request.scope["path"])
    return await call_next(request)


app.add_middleware(Middleware)


@app.exception_handler(OurError)
async def on_our_error(request: Request, error: OurError) -> JSONResponse:
    log.error("%s handler", request.url.path)
    return JSONResponse({}, status_code=418)


def dependency(request: Request) -> Iterator[int]:
    log.info("%s before", request.url.path)
    yield 1
    log.info("%s after", request.url.path)


@app.get("/plain")
async def plain() -> None:
    log.info("/plain endpoint")


@app.get("/thread")
def thread() -> None:
    log.info("/thread endpoint")


@app.get("/dependency")
def with_dependency(_: Annotated[int, Depends(dependency)]) -> None:
    log.info("/dependency endpoint")


@app.get("/background")
async def background(tasks: BackgroundTasks) -> None:
    async def task() -> None:
        log.info("/background async")

    tasks.add_task(task)
    tasks.add_task(log.info, "/background thread")


@app.get("/handler")
async def handled() -> None:
    raise OurError


@app.get("/fail")
async def fail() -> None:
    raise ValueError("/fail unhandled")


async def said(text: str) -> None:
    log.info(text)


@app.get("/task")
async def task() -> None:
    await asyncio.create_task(said("/task in a task"))
    await asyncio.gather(said("/task gathered"), said("/task gathered too"))


@app.get("/outlives")
async def outlives() -> None:
    async def wait() -> None:
        await released.wait()
        log.info("/outlives after the end")

    kept.add(asyncio.create_task(wait()))


@app.get("/release")
async def release() -> None:
    released.set()


@app.get("/to-thread")
async def to_thread() -> None:
    await asyncio.to_thread(log.info, "/to-thread in a thread")


@app.get("/executor")
async def executor() -> None:
    await asyncio.get_running_loop().run_in_executor(None, log.info, "/executor in a thread")


@app.get("/stream")
async def stream() -> StreamingResponse:
    async def parts() -> AsyncIterator[str]:
        for number in range(2):
            log.info("/stream part %d", number)
            yield "x"

    return StreamingResponse(parts())


@app.get("/sync-stream")
def sync_stream() -> StreamingResponse:
    def parts() -> Iterator[str]:
        for number in range(2):
            log.info("/sync-stream part %d", number)
            yield "x"

    return StreamingResponse(parts())


@app.get("/call")
async def call() -> None:
    log.info("/call endpoint")
    async with httpx.AsyncClient() as client:
        await client.get(os.environ["NEXT_URL"])


@app.get("/queued")
async def queued() -> None:
    later.info("/queued endpoint")


@app.get("/drain")
async def drain() -> None:
    """Writes lines of other requests in the middle of this one."""
    console = logging.StreamHandler()
    while not waiting.empty():
        console.handle(waiting.get())


@app.get("/mix/{number}")
async def mix(number: int) -> None:
    for _ in range(3):
        log.info("/mix/%d endpoint", number)
        await asyncio.sleep(0.001 * (number % 7))
    await asyncio.to_thread(log.info, "/mix/%d thread", number)


@app.websocket("/socket")
async def socket(websocket: WebSocket) -> None:
    await websocket.accept()
    log.info("/socket accepted")
    await websocket.send_text(await websocket.receive_text())
    log.info("/socket answered")
    await websocket.close()


@mounted.get("/mounted")
async def in_mounted() -> None:
    log.info("/sub/mounted endpoint")
