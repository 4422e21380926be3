"""Says with which headers it was called."""

from __future__ import annotations

from fastapi import FastAPI, Request, WebSocket
from fastapi.responses import RedirectResponse

app = FastAPI()


@app.get("/headers")
async def headers(request: Request) -> dict[str, str]:
    return {"traceparent": request.headers.get("traceparent", "")}


@app.get("/other")
async def other(request: Request) -> dict[str, str]:
    return await headers(request)


@app.get("/away")
async def away() -> RedirectResponse:
    return RedirectResponse("/headers")


@app.websocket("/baggage")
async def with_baggage(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_json(websocket.headers.getlist("baggage"))
    await websocket.close()


@app.get("/moved/headers")
async def moved() -> RedirectResponse:
    return RedirectResponse("/headers")


@app.websocket("/socket")
async def socket(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_json({"traceparent": websocket.headers.get("traceparent", "")})
    await websocket.close()
