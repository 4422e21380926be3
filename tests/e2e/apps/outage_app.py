"""An application that makes as many spans as it is asked for, and says which.

OUTAGE_HANDLER set: it has a SIGTERM handler of its own, which hands on to the one that it found.
OUTAGE_LARGEST_FILE: from then on no file of this process grows beyond so many bytes, as on a disk that is full.
"""

from __future__ import annotations

import os
import resource
import signal
from typing import TYPE_CHECKING

from fastapi import FastAPI
from opentelemetry import trace

if TYPE_CHECKING:
    from types import FrameType

    from opentelemetry.trace import Span

TRACER = trace.get_tracer("outages")

app = FastAPI()


@app.get("/make/{pieces}")
async def make(pieces: int) -> list[str]:
    """The ids of this request's own span and of those below it, as `<trace id>:<span id>`."""
    ballast = {"ballast": "x" * 100}  # about as much as a span usually carries
    made = [trace.get_current_span(), *(TRACER.start_span("piece", attributes=ballast) for _ in range(pieces))]
    for piece in made[1:]:
        piece.end()
    return [_id(span) for span in made]


def _id(span: Span) -> str:
    context = span.get_span_context()
    return f"{context.trace_id:032x}:{context.span_id:016x}"


def _install_handler() -> None:
    found = signal.getsignal(signal.SIGTERM)

    def clean_up(number: int, frame: FrameType | None) -> None:
        print("the application's own handler ran", flush=True)  # noqa: T201 (the test waits for it)
        if callable(found):
            found(number, frame)
        else:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)

    signal.signal(signal.SIGTERM, clean_up)


if os.environ.get("OUTAGE_HANDLER"):
    _install_handler()
if _largest := os.environ.get("OUTAGE_LARGEST_FILE"):
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(_largest), int(_largest)))
