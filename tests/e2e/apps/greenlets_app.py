"""A WSGI application for servers of greenlets: in each request a span of its own, and one for a call over httpx."""

from __future__ import annotations

import json
import os
from typing import Any

import httpx
from opentelemetry import trace

tracer = trace.get_tracer("greenlets")


def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    with tracer.start_as_current_span("work") as span:
        httpx.get(os.environ["BACKEND"])
    start_response("200 OK", [("Content-Type", "application/json")])
    ids = span.get_span_context()
    return [json.dumps({"trace_id": f"{ids.trace_id:032x}", "pid": os.getpid()}).encode()]
