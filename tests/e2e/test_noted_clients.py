"""The span of a call that was only noted is the one that a sampled request has for it: each client, each convention."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import launching
import pytest
from harness import TRACED
from processes import is_listening, wait_for

if TYPE_CHECKING:
    from harness import System

    from tracebaton.view.spans import Span

OTHERS = Path(sys.prefix, "other-instrumentations")
OWN = ("httpx", "httpx_async", "requests", "urllib3", "aiohttp", "redis", "redis_async", "redis_pipeline")
CONVENTIONS = ["", "http,database", "http/dup,database/dup"]


def start(system: System, path: str, conventions: str) -> str:
    """Its address."""
    system.start_redis()
    peer = launching.start(system, "peer", ["uvicorn", "hops_app:app", "--port", "{port}"])
    launching.wait_until_ready(peer)
    environ = {
        "OTEL_TRACES_SAMPLER": "tracebaton",
        "OTEL_TRACES_SAMPLER_ARG": "GET /sampled/{client}=1, *=0",
        "OTEL_BSP_SCHEDULE_DELAY": "100",
        "OTEL_SEMCONV_STABILITY_OPT_IN": conventions,
        "PEER": peer.url,
        "REDIS_URL": system.redis_url,
    }
    port = system.free_port()
    command = [*TRACED, "uvicorn", "noted_app:app", "--port", str(port)]
    child = system.start(
        "noted",
        command,
        env={
            **environ,
            "OTEL_SERVICE_NAME": "noted",
            "OTEL_EXPORTER_OTLP_ENDPOINT": system.grpc_endpoint,
            "PYTHONPATH": os.pathsep.join((str(launching.APPS), path)),
        },
        cwd=launching.APPS,
    )
    child.wait_until(lambda: is_listening(port), "listening", 30)
    return f"http://127.0.0.1:{port}"


def call_of(system: System, path: str) -> Span | None:
    """The one call of the request with that path."""
    spans = system.spans()
    for server in spans:
        shown = server.attributes.get("http.target") or server.attributes.get("url.path")
        if server.kind == "SERVER" and str(shown).partition("?")[0] == path:
            return next((span for span in spans if span.parent_span_id == server.span_id), None)
    return None


def told(span: Span) -> dict[str, Any]:
    attributes = {name: value for name, value in span.attributes.items() if name != "tracebaton.kept"}
    scope = (span.scope_name, span.scope_version)
    return {"name": span.name, "kind": span.kind, "status": span.status, "scope": scope, "attributes": attributes}


@pytest.mark.parametrize("conventions", CONVENTIONS)
def test_the_spans_of_calls_are_the_same(system: System, conventions: str) -> None:
    url = start(system, "", conventions)
    compare(system, url, OWN)


@pytest.mark.skipif(not (OTHERS / "opentelemetry").is_dir(), reason="other instrumentations are not here: NOT tested")
def test_so_are_those_of_the_official_instrumentations(system: System) -> None:
    url = start(system, str(OTHERS), "")
    compare(system, url, ("requests", "urllib3", "aiohttp", "sqlite3"))


def compare(system: System, url: str, clients: tuple[str, ...]) -> None:
    for name in clients:
        for decision in ("sampled", "unsampled"):
            # Each on a connection of its own: uvicorn closes it after an exception.
            assert httpx.get(f"{url}/{decision}/{name}").status_code == 500
    paths = [f"/{decision}/{name}" for name in clients for decision in ("sampled", "unsampled")]
    wait_for(lambda: all(call_of(system, path) is not None for path in paths), 15)
    for name in clients:
        sampled, unsampled = (call_of(system, f"/{decision}/{name}") for decision in ("sampled", "unsampled"))
        assert sampled is not None, name
        assert unsampled is not None, name
        assert unsampled.attributes.get("tracebaton.kept") == "error", name
        assert told(unsampled) == told(sampled), name
        assert "secret" not in str(unsampled.attributes), name
