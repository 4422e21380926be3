"""Starlette without FastAPI, with an error page of its own and a pure ASGI middleware."""

# /// equality
# command = ["uvicorn", "starlette_app:app", "--port", "{port}"]
# requests = ["GET /", "GET /p/5", "GET /missing", "POST /", "GET /error", "GET /raised", "HEAD /", "WS /echo a b"]
# spans = 7
# ///

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket


class Counting:
    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.count = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.count += 1
        scope["count"] = self.count
        await self.app(scope, receive, send)


async def home(request: Request) -> JSONResponse:
    # By these keys in the scope, a mounted application knows that its request is traced already, or not to be traced.
    marks = ("tracebaton.recorded", "fastapi.telemetry")
    keys = sorted(key for key in map(str, request.scope) if key not in marks)
    return JSONResponse({"count": request.scope["count"], "keys": keys})


async def path(request: Request) -> PlainTextResponse:
    return PlainTextResponse(str(request.path_params["number"]))


async def error(_: Request) -> None:
    raise LookupError("unhandled")


async def raised(_: Request) -> None:
    raise HTTPException(503, "busy", headers={"Retry-After": "3"})


async def echo(socket: WebSocket) -> None:
    await socket.accept()
    async for text in socket.iter_text():
        await socket.send_text(text)


async def answer(_: Request, error: Exception) -> PlainTextResponse:
    return PlainTextResponse(f"sorry: {error}", status_code=500)


app = Starlette(
    routes=[
        Route("/", home),
        Route("/p/{number:int}", path),
        Route("/error", error),
        Route("/raised", raised),
        WebSocketRoute("/echo", echo),
    ],
    middleware=[Middleware(Counting)],
    exception_handlers={500: answer},
)
