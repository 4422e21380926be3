"""What nobody catches within a request. Each answer is the trace id of its request."""

import asyncio
import threading
import warnings

from fastapi import FastAPI
from opentelemetry import trace

app = FastAPI()


def trace_id() -> str:
    return f"{trace.get_current_span().get_span_context().trace_id:032x}"


class Finalized:
    def __del__(self) -> None:
        raise ValueError("in /finalizer!")


def fail(path: str) -> None:
    try:
        raise KeyError("a cause")
    except KeyError as error:
        raise ValueError(f"in {path}!") from error


@app.get("/thread")
def thread() -> str:
    one = threading.Thread(target=fail, args=("/thread",))
    one.start()
    one.join()
    return trace_id()


@app.get("/timer")
async def timer() -> str:
    one = threading.Timer(0.01, fail, ("/timer",))
    one.start()
    await asyncio.to_thread(one.join)
    return trace_id()


@app.get("/warning")
async def warning() -> str:
    warnings.warn("in /warning!", UserWarning, stacklevel=1)
    return trace_id()


@app.get("/finalizer")
def finalizer() -> str:
    Finalized()
    return trace_id()
