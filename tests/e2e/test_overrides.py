"""An environment that other programs share: overrides send this project's telemetry elsewhere, and theirs stays."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from concurrent import futures
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2, logs_service_pb2_grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PROGRAM = str(Path(sysconfig.get_path("scripts"), "tracebaton"))
SIGNALS = {"/v1/traces", "/v1/metrics", "/v1/logs"}
# A traced program that starts one which needs the standard variables, and prints what that finds.
SCRIPT = """
import logging, os, subprocess, sys
import fastapi
from opentelemetry import metrics, trace
with trace.get_tracer("x").start_as_current_span("work"):
    logging.getLogger("shop").warning("in it")
metrics.get_meter("x").create_counter("c").add(1)
show = "import os, json; print(json.dumps({k: v for k, v in os.environ.items() if k.startswith('OTEL_')}))"
subprocess.run([sys.executable, "-c", show], check=True)
"""


@contextmanager
def http_receiver() -> Iterator[tuple[str, list[tuple[str, bytes]]]]:
    got: list[tuple[str, bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append((self.path, self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", got
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def grpc_receiver() -> Iterator[tuple[str, list[tuple[str, bytes]]]]:
    got: list[tuple[str, bytes]] = []

    def take(path: str, answer: Any) -> Callable[..., Any]:
        def export(_: Any, request: Any, __: Any) -> Any:
            got.append((path, request.SerializeToString()))
            return answer()

        return export

    server = grpc.server(futures.ThreadPoolExecutor(4))
    for name, path, messages, services in (
        ("Trace", "/v1/traces", trace_service_pb2, trace_service_pb2_grpc),
        ("Metrics", "/v1/metrics", metrics_service_pb2, metrics_service_pb2_grpc),
        ("Logs", "/v1/logs", logs_service_pb2, logs_service_pb2_grpc),
    ):
        export = take(path, getattr(messages, f"Export{name}ServiceResponse"))
        servicer = type(name, (getattr(services, f"{name}ServiceServicer"),), {"Export": export})()
        getattr(services, f"add_{name}ServiceServicer_to_server")(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"http://127.0.0.1:{port}", got
    finally:
        server.stop(None).wait()


def run(directory: Path, environ: dict[str, str]) -> tuple[dict[str, str], str]:
    """What the program that the traced one starts finds in its environment, and the log."""
    path = directory / "app.py"
    path.write_text(SCRIPT)
    outside = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL", "_OTEL"))}
    done = subprocess.run(
        [PROGRAM, "run", sys.executable, str(path)],
        env={**outside, **environ}, cwd=directory, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), done.stderr


@pytest.mark.parametrize(
    ("receiver", "protocol"), [(http_receiver, "http/protobuf"), (grpc_receiver, "grpc")], ids=["http", "grpc"]
)
def test_everything_goes_where_the_overrides_say(tmp_path: Path, receiver: Any, protocol: str) -> None:
    with receiver() as (ours, got), http_receiver() as (theirs, leaked):
        standard = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": theirs,
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{theirs}/v1/traces",
            "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": f"{theirs}/v1/metrics",
            "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
            "OTEL_EXPORTER_OTLP_INSECURE": "false",
            "OTEL_TRACES_EXPORTER": "none",
            "OTEL_SERVICE_NAME": "company",
            "OTEL_RESOURCE_ATTRIBUTES": "service.name=company",
        }
        overrides = {
            "OTEL_TRACEBATON_ENDPOINT": ours,
            "OTEL_TRACEBATON_TRACES_EXPORTER": "otlp",
            "OTEL_TRACEBATON_METRICS_EXPORTER": "otlp",
            "OTEL_TRACEBATON_LOGS_EXPORTER": "otlp",
            "OTEL_TRACEBATON_SERVICE_NAME": "shop",
            "OTEL_TRACEBATON_STRICT": "true",
        }
        below, log = run(tmp_path, {**standard, **overrides})
    assert leaked == []
    assert {path for path, _ in got} == SIGNALS, log
    assert all(b"shop" in body and b"company" not in body for _, body in got)
    assert {name: below.get(name) for name in standard} == standard
    assert "service 'shop'" in log
    assert "ERROR" not in log


def test_metrics_and_logs_can_be_left_to_the_others(tmp_path: Path) -> None:
    with http_receiver() as (url, got):
        standard = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": url,
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_METRICS_EXPORTER": "otlp",
            "OTEL_LOGS_EXPORTER": "otlp",
        }
        overrides = {"OTEL_TRACEBATON_METRICS_EXPORTER": "none", "OTEL_TRACEBATON_LOGS_EXPORTER": "none"}
        below, log = run(tmp_path, {**standard, **overrides})
    assert {path for path, _ in got} == {"/v1/traces"}
    assert {name: below.get(name) for name in standard} == standard
    assert "upstream's path" not in log


def test_an_exporter_that_there_is_not_is_said_of_the_override(tmp_path: Path) -> None:
    names = ("TRACES_EXPORTER", "METRICS_EXPORTER", "LOGS_EXPORTER")
    wrong = {f"OTEL_TRACEBATON_{name}": "otpl" for name in names} | {f"OTEL_{name}": "none" for name in names}
    _, log = run(tmp_path, wrong)
    for name in names:
        assert f"OTEL_TRACEBATON_{name}='otpl' is unknown" in log
    assert log.count('"ERROR"') == 3
