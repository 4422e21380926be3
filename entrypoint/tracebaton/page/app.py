"""The page's server: files, answers as JSON, and what happens as it happens. GET and nothing else."""

from __future__ import annotations

import sqlite3
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from tracebaton.page.otlp import otlp_json
from tracebaton.page.shared import shared_html
from tracebaton.store.documents import to_json
from tracebaton.store.reader import AskError
from tracebaton.store.schema import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from tracebaton.page.live import Live
    from tracebaton.store.reader import Reader
    from tracebaton.view.access import Access

__all__ = ["page_app"]

_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = [
    (b"content-security-policy", _POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
_VIEWS = ("/", "/traces", "/trace", "/compare", "/compare/{rest}", "/services", "/live")


def page_app(reader: Reader, live: Live, access: Access) -> ASGIApp:
    """An ASGI application; what `access` refuses gets 403 and a sentence."""
    static = _static()

    def answers(ask: Callable[[Request], str]) -> Callable[[Request], Any]:
        async def answer(request: Request) -> Response:
            return await run_in_threadpool(_answered, ask, request)

        return answer

    async def index(_: Request) -> Response:
        return _file(static, "index.html")

    async def asset(request: Request) -> Response:
        return _file(static, request.path_params["name"])

    async def trace(request: Request) -> Response:
        trace_id, dot, form = request.path_params["name"].rpartition(".")
        if not dot or form not in {"html", "json"}:
            return _file(static, "index.html")
        return await run_in_threadpool(_download, reader, trace_id, form)

    async def events(_: Request) -> Response:
        if live.is_full:
            return JSONResponse({"error": "too many pages are open"}, 503)
        headers = {"cache-control": "no-store"}
        return StreamingResponse(live.events(), media_type="text/event-stream", headers=headers)

    def number(request: Request, name: str, default: int) -> int:
        text = request.query_params.get(name, "")
        if text and not (text.isascii() and text.isdigit() and len(text) < 19):
            raise AskError(400, f"{name} {text!r:.80} is no whole number")
        return int(text or default)

    def compared(request: Request) -> str:
        return to_json(reader.compare(request.path_params["id"], request.query_params.get("with", "")))

    routes = [
        Route("/api/traces", answers(lambda request: to_json(reader.traces(request.query_params)))),
        Route("/api/trace/{id}", answers(lambda request: reader.trace_json(request.path_params["id"]))),
        Route("/api/compare/{id}", answers(compared)),
        Route("/api/services", answers(lambda request: to_json(reader.services(number(request, "since_us", 0))))),
        Route("/api/rate", answers(lambda request: to_json(reader.rate(number(request, "buckets", 60))))),
        Route("/api/live", events),
        Route("/static/{name}", asset),
        Route("/trace/{name}", trace),
        *(Route(path, index) for path in _VIEWS),
    ]
    return _Guarded(Starlette(routes=routes), access)


class _Guarded:
    """Refuses strangers, and puts the headers on every answer."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), *_HEADERS]}
            await send(message)

        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        sentence = self._access.refusal(headers)
        app = self._app if sentence is None else JSONResponse({"error": sentence}, 403)
        await app(scope, receive, send_guarded)


def _answered(ask: Callable[[Request], str], request: Request) -> Response:
    headers = {"cache-control": "no-store"}
    try:
        return Response(ask(request), media_type="application/json", headers=headers)
    except AskError as error:
        return JSONResponse({"error": str(error)}, error.status, headers=headers)
    except (StoreError, sqlite3.Error) as error:
        return JSONResponse({"error": f"the store cannot be read: {error}"}, 500, headers=headers)


def _download(reader: Reader, trace_id: str, form: str) -> Response:
    try:
        found = reader.trace(trace_id)
    except AskError as error:
        return JSONResponse({"error": str(error)}, error.status)
    except (StoreError, sqlite3.Error) as error:
        return JSONResponse({"error": f"the store cannot be read: {error}"}, 500)
    body = shared_html(found) if form == "html" else to_json(otlp_json(found)).encode()
    media_type = "text/html; charset=utf-8" if form == "html" else "application/json"
    headers = {
        "cache-control": "no-store",
        "content-disposition": f'attachment; filename="trace-{found["trace_id"]}.{form}"',
    }
    return Response(body, media_type=media_type, headers=headers)


def _file(static: dict[str, tuple[bytes, str]], name: str) -> Response:
    if name not in static:
        return JSONResponse({"error": "there is no such file"}, 404)
    body, kind = static[name]
    return Response(body, headers={"content-type": kind, "cache-control": "no-cache"})


def _static() -> dict[str, tuple[bytes, str]]:
    """All of them, read once: no path that a request names is ever opened."""
    found = {}
    for one in files("tracebaton.page").joinpath("static").iterdir():
        suffix = one.name[one.name.rfind(".") :]
        if suffix in _TYPES:
            found[one.name] = (one.read_bytes(), _TYPES[suffix])
    return found
