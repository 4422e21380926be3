"""A FastAPI application with a little of everything, on every server that people run it with."""

# /// equality
# command = ["uvicorn", "fastapi_whole:app", "--port", "{port}"]
# requests = [
#   "GET /json?a=1&a=2",
#   "POST /items {\"name\": \"baton\", \"price\": 2.5}",
#   "POST /items {\"name\": 1}",
#   "GET /items/7",
#   "GET /items/seven",
#   "GET /missing",
#   "DELETE /json",
#   "HEAD /json",
#   "OPTIONS /json",
#   "GET /stream",
#   "GET /events",
#   "GET /teapot",
#   "GET /error",
#   "GET /middle-error",
#   "GET /background",
#   "GET /redirect",
#   "GET /slash/",
#   {method = "GET", path = "/cookies", headers = {Cookie = "a=1; b=2", Accept-Encoding = "gzip"}},
#   {method = "POST", path = "/large", body = "0123456789abcdef", repeat = 65536},
#   "GET /large",
#   "GET /mounted/inner",
#   "GET /mounted/missing",
#   "GET /static/fastapi_whole.py",
#   {method = "GET", path = "/static/fastapi_whole.py", headers = {Range = "bytes=3-30"}},
#   "GET /static/missing",
#   "GET /openapi.json",
#   "GET /docs",
#   "GET /sync",
#   "WS /echo one two three",
#   "WS /refused one",
#   "WS /fails one",
#   {method = "GET", path = "/json", headers = {traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", baggage = "a=1"}},
#   {method = "GET", path = "/json", headers = {traceparent = "nonsense", tracestate = "=,=", baggage = ";;"}},
# ]
#
# [cases.uvicorn]
# [cases.uvicorn-workers]
# command = ["uvicorn", "fastapi_whole:app", "--port", "{port}", "--workers", "2"]
# [cases.uvicorn-h11-asyncio]
# command = ["uvicorn", "fastapi_whole:app", "--port", "{port}", "--http", "h11", "--loop", "asyncio", "--root-path", "/api"]
# [cases.gunicorn]
# command = ["gunicorn", "-k", "uvicorn_worker.UvicornWorker", "-w", "1", "-b", "127.0.0.1:{port}", "--access-logfile", "-", "fastapi_whole:app"]
# [cases.hypercorn]
# command = ["hypercorn", "-b", "127.0.0.1:{port}", "--access-logfile", "-", "fastapi_whole:app"]
# env = {PYTHONPATH = "{here}"}
# [cases.granian]
# command = ["granian", "--interface", "asgi", "--port", "{port}", "--no-ws", "fastapi_whole:app"]
# ///

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

from fastapi import BackgroundTasks, Cookie, FastAPI, HTTPException, Request, Response, WebSocket
from fastapi.responses import JSONResponse, RedirectResponse, StreamingResponse
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel

logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s [%(name)s] %(message)s")
log = logging.getLogger("shop")


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, str]]:
    log.info("lifespan begins")
    yield {"opened": "yes"}
    log.info("lifespan ends")


class Item(BaseModel):
    name: str
    price: float


class TeapotError(Exception):
    pass


app = FastAPI(lifespan=lifespan)
inner = FastAPI()
app.mount("/mounted", inner)
app.mount("/static", StaticFiles(directory=Path(__file__).parent))


@app.exception_handler(TeapotError)
async def teapot_answer(_: Request, error: TeapotError) -> JSONResponse:
    log.warning("a teapot: %s", error)
    return JSONResponse({"teapot": str(error)}, status_code=418)


@app.middleware("http")
async def middle(request: Request, call_next):
    if request.url.path == "/middle-error":
        raise RuntimeError("in the middleware")
    response = await call_next(request)
    response.headers["X-Middle"] = request.method
    return response


@inner.get("/inner")
async def mounted(request: Request) -> dict[str, str]:
    return {"path": request.url.path, "root": request.scope["root_path"]}


@app.get("/json")
async def as_json(request: Request) -> dict[str, object]:
    log.info("asked for json", extra={"items": 3})
    return {"query": request.query_params.multi_items(), "state": request.state.opened, "text": "ä€😀\n"}


@app.post("/items", status_code=201)
async def create(item: Item) -> Item:
    return item


@app.get("/items/{number}")
async def one(number: int) -> dict[str, int]:
    return {"number": number}


@app.get("/sync")
def sync() -> dict[str, str]:
    log.info("in a thread")
    return {"thread": "pool"}


@app.get("/stream")
async def stream() -> StreamingResponse:
    async def chunks() -> AsyncIterator[bytes]:
        for number in range(200):
            yield b"chunk %d\n" % number
            await asyncio.sleep(0)

    return StreamingResponse(chunks(), media_type="text/plain")


@app.get("/events")
async def events() -> StreamingResponse:
    async def chunks() -> AsyncIterator[str]:
        for number in range(5):
            yield f"event: tick\ndata: {number}\n\n"
            await asyncio.sleep(0.001)

    return StreamingResponse(chunks(), media_type="text/event-stream")


@app.get("/teapot")
async def teapot() -> None:
    raise TeapotError("short and stout")


@app.get("/error")
async def error() -> None:
    log.error("about to fail")
    raise ValueError("as it was meant to")


@app.get("/middle-error")
async def never() -> None:
    raise HTTPException(404)


@app.get("/background")
async def background(tasks: BackgroundTasks) -> dict[str, str]:
    tasks.add_task(log.info, "the background task of a request")
    return {"task": "added"}


@app.get("/redirect")
async def redirect() -> RedirectResponse:
    return RedirectResponse("/json", status_code=307)


@app.get("/slash")
async def slash() -> None:
    return None


@app.get("/cookies")
async def cookies(response: Response, a: Annotated[str, Cookie()], b: Annotated[str, Cookie()]) -> dict[str, str]:
    response.set_cookie("c", a + b, httponly=True)
    response.set_cookie("d", "4", max_age=60)
    return {"a": a, "b": b}


@app.post("/large")
async def take_large(request: Request) -> dict[str, int]:
    return {"size": len(await request.body())}


@app.get("/large")
async def give_large() -> Response:
    return Response(b"0123456789abcdef" * 65536, media_type="application/octet-stream")


@app.websocket("/echo")
async def echo(socket: WebSocket) -> None:
    await socket.accept()
    async for text in socket.iter_text():
        await socket.send_text(f"echo {text}")


@app.websocket("/refused")
async def refused(socket: WebSocket) -> None:
    await socket.close(1008)


@app.websocket("/fails")
async def fails(socket: WebSocket) -> None:
    await socket.accept()
    await socket.receive_text()
    raise ValueError("in a websocket")
