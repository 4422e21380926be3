"""Secrets in URLs, on every path that a span's attributes come from. It also sets an exporter of its own up."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
from fastapi import FastAPI, WebSocket
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.sdk.trace import ReadableSpan


class FileExporter(SpanExporter):
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        with Path(os.environ["OWN_SPANS"]).open("a") as file:
            file.writelines(span.to_json() for span in spans)
        return SpanExportResult.SUCCESS


provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(FileExporter()))
trace.set_tracer_provider(provider)
app = FastAPI()


@app.get("/ok")
async def ok() -> str:
    return "ok"


@app.websocket("/ws")
async def ws(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text(socket.query_params["token"])
    await socket.close()


@app.get("/call")
async def call() -> None:
    """Asks a server that knows no such path, and fails with httpx's own message, which quotes the URL."""
    base = os.environ["SELF"].replace("//", "//me:hush-password@")
    with trace.get_tracer("app").start_as_current_span("asking", attributes={"callback": f"{base}/cb?iban=hush-iban"}):
        async with httpx.AsyncClient() as client:
            response = await client.get(f"{base}/nothing?api_key=hush-key&page=1")
            response.raise_for_status()
