"""A Starlette application that is not FastAPI's, under upstream's instrumentation for it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from harness import TRACED
from processes import HOST
from spans import servers, wait_for_spans

if TYPE_CHECKING:
    from harness import System

# See the Makefile.
OTHERS = Path(sys.prefix, "other-instrumentations")
pytestmark = pytest.mark.skipif(
    not (OTHERS / "opentelemetry" / "instrumentation" / "starlette").is_dir(),
    reason="opentelemetry-instrumentation-starlette is not there: a Starlette application was NOT tested",
)

APPLICATION = """
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

async def hello(request):
    return PlainTextResponse(request.path_params["name"])

async def fail(request):
    raise ValueError("no")

app = Starlette(routes=[Route("/hello/{name}", hello), Route("/fail", fail)])
"""


def start(system: System, directory: Path, rate: str) -> str:
    (directory / "starry.py").write_text(APPLICATION)
    port = system.free_port()
    environ = {
        "OTEL_SERVICE_NAME": "starry",
        "OTEL_TRACES_SAMPLER_ARG": rate,
        "OTEL_EXPORTER_OTLP_ENDPOINT": system.grpc_endpoint,
        "PYTHONPATH": str(OTHERS),
    }
    command = [*TRACED, "uvicorn", "starry:app", "--host", HOST, "--port", str(port)]
    system.start("starry", command, env=environ, cwd=directory).wait_for_ports(port)
    system.agents.append("starry")
    return f"http://{HOST}:{port}"


def test_a_recorded_request_is_one_span(system: System, tmp_path: Path) -> None:
    url = start(system, tmp_path, "1")
    assert httpx.get(f"{url}/hello/you").text == "you"
    system.stop_agents()
    (span,) = wait_for_spans(system, bool)
    assert (span.kind, span.name, span.trace_state) == ("SERVER", "GET /hello/{name}", "ot=th:0")


def test_an_unrecorded_one_is_none_unless_it_fails(system: System, tmp_path: Path) -> None:
    url = start(system, tmp_path, "0")
    assert httpx.get(f"{url}/hello/you").text == "you"
    assert httpx.get(f"{url}/fail").status_code == 500
    system.stop_agents()
    (span,) = servers(wait_for_spans(system, bool))
    assert (span.name, span.attributes["tracebaton.kept"]) == ("GET /fail", "error")
    (line,) = [line for line in system.logs("starry") if "exc_info" in line]
    assert (line["trace_id"], line["span_id"], line["trace_flags"]) == (span.trace_id, span.span_id, "00")
