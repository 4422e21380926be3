"""A request begins in a clean OpenTelemetry context, whatever was left in the one that its server starts it in."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING

import pytest
from launching import APPS, delivered
from processes import HOST

if TYPE_CHECKING:
    from harness import System

UVICORN = ("uvicorn", "leaky_app:app", "--host", HOST, "--port", "{port}", "--no-access-log")
SERVERS = {
    **{f"uvicorn {http} {loop}": (*UVICORN, "--http", http, "--loop", loop)
       for http in ("h11", "httptools") for loop in ("asyncio", "uvloop")},
    "uvicorn worker": (*UVICORN, "--workers", "2"),
    "gunicorn": ("gunicorn", "leaky_app:app", "-k", "uvicorn_worker.UvicornWorker", "-b", f"{HOST}:{{port}}"),
    "hypercorn": ("hypercorn", "leaky_app:app", "--bind", f"{HOST}:{{port}}"),
    "granian": ("granian", "leaky_app:app", "--interface", "asgi", "--host", HOST, "--port", "{port}"),
}  # fmt: skip
# More than a server takes without pausing, so that it goes on reading at the end of a request, within its context.
BIG = b"x" * 300_000
PARENT = f"{0xABCDEF:032x}"


def request(method: str, path: str, body: bytes = b"", *headers: str) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", f"Host: {HOST}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def answers(connection: socket.socket, count: int) -> list[str]:
    """The bodies of so many answers, which come with a length."""
    file, found = connection.makefile("rb"), []
    for _ in range(count):
        assert b" 200 " in file.readline()
        headers = dict(line.lower().strip().split(b": ", 1) for line in iter(file.readline, b"\r\n"))
        found.append(file.read(int(headers[b"content-length"])).decode())
    return found


@pytest.mark.parametrize("server", SERVERS)
def test_a_server_span_has_the_parent_of_its_headers_or_none(system: System, server: str) -> None:
    port = system.free_port()
    environ = {
        "OTEL_SERVICE_NAME": "leaky",
        "OTEL_EXPORTER_OTLP_ENDPOINT": system.grpc_endpoint,
        "OTEL_TRACES_SAMPLER_ARG": "/unrecorded=0, *=1",
        "PYTHONPATH": str(APPS),
    }
    command = ["tracebaton", "run", *(part.format(port=port) for part in SERVERS[server])]
    system.start("leaky", command, env=environ, cwd=APPS).wait_for_ports(port)
    system.agents.append("leaky")
    with socket.create_connection((HOST, port), 10) as connection:
        said = []
        for path in ("/unrecorded", "/recorded"):  # each leaves something to the connection
            connection.sendall(request("POST", path, BIG))
            said += answers(connection, 1)[path == "/unrecorded" :]
        # Sent at once: the next one is begun by what answers the one before.
        connection.sendall(request("GET", "/recorded") * 3)
        said += answers(connection, 3)
        connection.sendall(request("GET", "/recorded", b"", f"traceparent: 00-{PARENT}-{0x1234:016x}-01"))
        said += answers(connection, 1)
    system.stop_agents()
    spans = [span for span in delivered(system, "leaky") if span["scope"]["name"] != "start"]
    assert [(span["kind"], span["parent_span_id"] or None) for span in spans] == [
        *[("SERVER", None)] * 4,
        ("SERVER", f"{0x1234:016x}"),
    ]
    assert len({span["trace_id"] for span in spans}) == 5
    assert [json.loads(one) for one in said] == [{"own": "kept", "baggage": "{}"}] * 5
