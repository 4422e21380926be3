"""Leaves an open span, baggage and a context variable of its own behind where every connection inherits them."""

from __future__ import annotations

from contextvars import ContextVar

from fastapi import FastAPI, Request
from opentelemetry import baggage, context, trace

OWN: ContextVar[str] = ContextVar("own", default="")
OWN.set("kept")
_span = trace.get_tracer("start").start_span("start", context=context.Context())
context.attach(baggage.set_baggage("left", "over", trace.set_span_in_context(_span)))

app = FastAPI()


@app.api_route("/recorded", methods=["GET", "POST"])
async def recorded(request: Request) -> dict[str, str]:
    await request.body()
    return {"own": OWN.get(), "baggage": str(dict(baggage.get_all()))}


@app.post("/unrecorded")
async def unrecorded(request: Request) -> None:
    await request.body()
