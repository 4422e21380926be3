"""An application of tests/e2e/apps under uvicorn, and what it printed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
from processes import HOST

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness import System

    from tracebaton.view.spans import Span

APPS = Path(__file__).parent / "apps"
ID_NAMES = ("trace_id", "span_id", "trace_flags")


def start(system: System, name: str, app: str, launcher: Sequence[str], **environ: str) -> str:
    """Start the application as the process `name` and return its URL. Its access log, with ports in it, is off."""
    port = system.free_port()
    variables = {
        "OTEL_SERVICE_NAME": name,
        "OTEL_TRACES_SAMPLER_ARG": "1",
        "OTEL_EXPORTER_OTLP_ENDPOINT": system.grpc_endpoint,
        "PYTHONIOENCODING": "utf-8",
        **environ,
    }
    command = [*launcher, "uvicorn", f"{app}:app", "--host", HOST, "--port", str(port), "--no-access-log"]
    system.start(name, command, env=variables, cwd=APPS).wait_for_ports(port)
    system.agents.append(name)
    return f"http://{HOST}:{port}"


def get(url: str, *paths: str) -> None:
    for path in paths:
        assert httpx.get(f"{url}{path}").status_code == 200


def printed(system: System, name: str) -> list[str]:
    """The lines on its standard output."""
    return system.children[name].stdout.read_text(encoding="utf-8").splitlines()


def objects(lines: Sequence[str]) -> list[dict[str, Any]]:
    """The lines as the JSON objects that all of them have to be."""
    return [json.loads(line) for line in lines]


def without_ids(line: str) -> str:
    """The line with its ids taken out of the JSON object that it is or ends with; anything else as it is."""
    head, brace, body = line.partition("{")
    try:
        fields = json.loads(brace + body)
    except ValueError:
        return line
    return head + json.dumps({name: value for name, value in fields.items() if name not in ID_NAMES})


def ids_of(span: Span) -> dict[str, str]:
    return {"trace_id": span.trace_id, "span_id": span.span_id, "trace_flags": "01"}


def ids_in(line: dict[str, Any]) -> dict[str, Any]:
    return {name: line[name] for name in ID_NAMES if name in line}
