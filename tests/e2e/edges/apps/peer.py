"""Says with which headers it was called."""

from __future__ import annotations

from fastapi import FastAPI, Request

app = FastAPI()


@app.get("/headers")
async def headers(request: Request) -> dict[str, str]:
    return {"traceparent": request.headers.get("traceparent", "")}
