"""The current context is got past OpenTelemetry's own functions, where it is kept as they keep it."""

from __future__ import annotations

import contextvars
import logging
import os
import subprocess
import sys
from typing import TYPE_CHECKING

from opentelemetry import context as api
from opentelemetry.context import Context

from tracebaton_configurator.logs import upstream

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_it_is_the_same_context() -> None:
    token = upstream.attach(Context({"a": 1}))
    try:
        assert api.get_current() == upstream.get_current() == {"a": 1}
        inner = api.attach(Context({"a": 2}))
        assert upstream.get_current() == {"a": 2}
        upstream.detach(inner)
        assert api.get_current() == {"a": 1}
    finally:
        api.detach(token)
    assert "a" not in upstream.get_current()


def test_it_takes_no_way_through_opentelemetrys_functions() -> None:
    """Fails where what is private there has another name: then the own functions are upstream's."""
    assert upstream.get_current is not api.get_current
    assert upstream.attach is not api.attach
    assert upstream.detach is not api.detach


def test_what_was_attached_elsewhere_is_a_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    token = contextvars.copy_context().run(upstream.attach, Context({"a": 1}))
    with caplog.at_level(logging.ERROR, "opentelemetry.context"):
        upstream.detach(token)
    assert "Failed to detach context" in caplog.text


OTHER = """
from opentelemetry.context.context import Context, _RuntimeContext

class Other(_RuntimeContext):
    def __init__(self):
        self.current = Context()
    def attach(self, context):
        before, self.current = self.current, context
        return before
    def get_current(self):
        return self.current
    def detach(self, token):
        self.current = token
"""
USES_IT = """
from opentelemetry import context as api
from tracebaton_configurator.logs import upstream
token = upstream.attach(api.Context({"a": 1}))
assert type(api._RUNTIME_CONTEXT).__name__ == "Other"
assert api.get_current() == upstream.get_current() == {"a": 1}
upstream.detach(token)
assert api.get_current() == upstream.get_current() == {}
"""


def test_where_a_process_keeps_it_elsewhere_so_does_this(tmp_path: Path) -> None:
    (tmp_path / "other_context.py").write_text(OTHER)
    meta = tmp_path / "other_context-1.0.dist-info"
    meta.mkdir()
    (meta / "METADATA").write_text("Metadata-Version: 2.1\nName: other-context\nVersion: 1.0\n")
    (meta / "entry_points.txt").write_text("[opentelemetry_context]\nother = other_context:Other\n")
    env = {**os.environ, "PYTHONPATH": str(tmp_path), "OTEL_PYTHON_CONTEXT": "other"}
    subprocess.run([sys.executable, "-c", USES_IT], env=env, check=True, timeout=60)


REPLACES_IT = """
from opentelemetry import context as api, trace
from opentelemetry.context.contextvars_context import ContextVarsRuntimeContext
from opentelemetry.sdk.trace import TracerProvider

class Theirs(ContextVarsRuntimeContext):
    pass

api._RUNTIME_CONTEXT = Theirs()

import asyncio
from fastapi import FastAPI
from tracebaton_configurator.logs.ids import current_ids

app = FastAPI()
seen = []

@app.get("/{number}")
async def answer(number: int):
    outer = trace.get_current_span()
    with trace.get_tracer("test").start_as_current_span("inner") as inner:
        seen.append(trace.get_current_span() is inner)
        seen.append(inner.get_span_context().trace_id == outer.get_span_context().trace_id != 0)
        seen.append(current_ids().trace_id == f"{outer.get_span_context().trace_id:032x}")

async def call(number):
    async def receive():
        return {"type": "http.request"}
    async def send(message):
        pass
    scope = {"type": "http", "method": "GET", "path": f"/{number}", "raw_path": b"/",
             "query_string": b"", "headers": [],
             "client": None, "server": None, "scheme": "http", "root_path": "", "http_version": "1.1"}
    await app(scope, receive, send)

for number in range(20):
    asyncio.run(call(number))
print(seen.count(True), len(seen))
"""


def test_who_replaces_it_later_is_followed(tmp_path: Path) -> None:
    """As sentry_sdk does in one of its set-ups."""
    script = tmp_path / "replaces_it.py"
    script.write_text(REPLACES_IT)
    for rate in ("1", "0"):
        done = subprocess.run(
            [sys.executable, "-m", "tracebaton", "run", sys.executable, script],
            env={
                **os.environ,
                "OTEL_TRACES_SAMPLER_ARG": f"*={rate}",
                "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",
            },
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        assert done.stdout.split() == ["60", "60"], (rate, done)
