"""Makes as many calls over httpx as its path says, and answers with the trace headers that arrived with each."""

import os

import httpx
from fastapi import FastAPI, Request

app = FastAPI()
ECHO = f"http://127.0.0.1:{os.environ['PORT']}/echo"


@app.get("/echo")
async def echo(request: Request) -> dict[str, str]:
    return {name: request.headers[name] for name in ("traceparent", "tracestate") if name in request.headers}


@app.get("/calls/{count}")
async def calls(count: int) -> list[dict[str, str]]:
    async with httpx.AsyncClient() as client:
        return [(await client.get(ECHO)).json() for _ in range(count)]
