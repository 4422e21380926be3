"""An application that logfire traces already."""

from __future__ import annotations

import logfire
from fastapi import FastAPI
from opentelemetry import trace

logfire.configure(send_to_logfire=False, console=False)
app = FastAPI()
logfire.instrument_fastapi(app)


@app.get("/work")
async def work() -> dict[str, str]:
    with logfire.span("of logfire"), trace.get_tracer("app").start_as_current_span("of the application"):
        return {"trace_id": f"{trace.get_current_span().get_span_context().trace_id:032x}"}
