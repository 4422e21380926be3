"""What `features.py` asks: an ordinary service that logs text, without a word about tracing in it."""

import logging
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing

import httpx
from fastapi import FastAPI, Request

logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
CALL = "import sys, httpx; httpx.get(sys.argv[1], trust_env=False)"

app = FastAPI()
app.state.arrived = {}


def next_url(request: Request, by: str) -> str:
    """Of the service that is called, which is this one."""
    return f"{request.base_url}arrive/{by}"


@app.get("/arrive/{by}")
async def arrive(by: str, request: Request) -> None:
    app.state.arrived[by] = request.headers.get("traceparent", "")


@app.get("/arrived/{by}")
async def arrived(by: str) -> dict[str, str]:
    """The header that the last call `by` this way came with."""
    return {"traceparent": app.state.arrived.get(by, "")}


@app.get("/call")
async def call(request: Request) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        await client.get(next_url(request, "call"))


@app.get("/thread")
def thread(request: Request) -> None:
    url = next_url(request, "thread")
    worker = threading.Thread(target=lambda: httpx.get(url, trust_env=False))
    worker.start()
    worker.join()


@app.get("/program")
def program(request: Request) -> None:
    subprocess.run([sys.executable, "-c", CALL, next_url(request, "program")], check=True)


@app.get("/line")
async def line() -> None:
    logging.getLogger("agent").info("a line of the application")


@app.get("/query")
async def query() -> dict[str, str]:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("SELECT 1").fetchall()
    return {"text": "hello"}


@app.get("/fail")
async def fail() -> None:
    raise RuntimeError("as asked")


@app.get("/hello")
@app.get("/health")
async def hello() -> dict[str, str]:
    return {"text": "hello"}
