"""`docker stop` right after the last request: no span is lost, and the end is the one it was."""

from __future__ import annotations

import signal
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import grpc
import httpx
import pytest
from harness import TRACED, UNTRACED
from launches import BARE, CHOSEN
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from processes import HOST, wait_for
from spans import servers, wait_for_spans

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness import System

# The queue is not sent by itself during the test: what arrives was sent at the end.
HELD = {"OTEL_BSP_SCHEDULE_DELAY": "60000", "OTEL_TRACES_SAMPLER": "parentbased_always_on"}


def send(url: str, count: int) -> None:
    with httpx.Client() as client:
        for _ in range(count):
            assert client.get(f"{url}/openapi.json").status_code == 200


@pytest.mark.parametrize(
    ("launcher", "environ"), [(TRACED, {}), (BARE, CHOSEN)], ids=["tracebaton run", "bare launcher"]
)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_20_of_20_spans_arrive(
    system: System, launcher: Sequence[str], environ: dict[str, str], number: signal.Signals
) -> None:
    system.start_redis()
    url = system.start_agent("agent-a", env={**HELD, **environ}, launcher=launcher)
    untraced = system.start_agent("untraced", launcher=UNTRACED)
    send(url, 20)
    for name in ("agent-a", "untraced"):
        system.children[name].signal(number)
        wait_for(lambda name=name: system.children[name].returncode is not None, 10)
    spans = wait_for_spans(system, lambda spans: len(servers(spans)) >= 20)
    assert len(servers(spans)) == 20
    assert system.children["agent-a"].returncode == system.children["untraced"].returncode
    if number == signal.SIGTERM:
        assert system.children["agent-a"].returncode == -signal.SIGTERM  # what a shell and docker call 143
    del untraced


def test_and_by_upstreams_exporter_where_the_endpoint_is_a_unix_socket(system: System) -> None:
    system.start_redis()
    received: list[bytes] = []

    def take(request: bytes, _: grpc.ServicerContext) -> bytes:
        received.append(request)
        return b""

    server = grpc.server(ThreadPoolExecutor(1))
    handlers = {"Export": grpc.unary_unary_rpc_method_handler(take)}
    service = "opentelemetry.proto.collector.trace.v1.TraceService"
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    with tempfile.TemporaryDirectory(prefix="baton-") as directory:
        server.add_insecure_port(f"unix://{directory}/otlp.sock")
        server.start()
        try:
            environ = {**HELD, "OTEL_EXPORTER_OTLP_ENDPOINT": f"unix://{directory}/otlp.sock"}
            send(system.start_agent("agent-a", env=environ), 20)
            system.children["agent-a"].signal(signal.SIGTERM)
            wait_for(lambda: system.children["agent-a"].returncode is not None, 10)
            assert system.children["agent-a"].returncode == -signal.SIGTERM
        finally:
            server.stop(None).wait(10)
    requests = [ExportTraceServiceRequest.FromString(one) for one in received]
    scopes = [scope for one in requests for resource in one.resource_spans for scope in resource.scope_spans]
    assert sum(len(scope.spans) for scope in scopes) == 20


@pytest.mark.parametrize("port_answers", [False, True], ids=["refused", "accepts and never answers"])
def test_a_collector_that_is_not_there_does_not_delay_the_end(system: System, *, port_answers: bool) -> None:
    """Docker stop kills after 10 s; the whole exit takes at most the timeout and a second."""
    import socket

    with socket.socket() as listener:
        listener.bind((HOST, 0))
        if port_answers:
            listener.listen()
        system.start_redis()
        environ = {
            **HELD,
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{HOST}:{listener.getsockname()[1]}",
            "OTEL_TRACEBATON_SHUTDOWN_TIMEOUT": "2s",
        }
        url = system.start_agent("agent-a", env=environ)
        send(url, 5)
        started = time.monotonic()
        system.children["agent-a"].signal(signal.SIGTERM)
        wait_for(lambda: system.children["agent-a"].returncode is not None, 10)
        assert time.monotonic() - started < 3.0
        assert system.children["agent-a"].returncode == -signal.SIGTERM


def test_workers_flush_too_and_have_the_services_name(system: System) -> None:
    system.start_redis()
    url = system.start_agent("agent-a", env={**HELD, "OTEL_SERVICE_NAME": ""}, arguments=["--workers", "2"])
    send(url, 20)
    system.stop_agents()
    spans = wait_for_spans(system, lambda spans: len(servers(spans)) >= 20)
    assert len(servers(spans)) == 20
    # Derived from `uvicorn main:app` in docker/demo, and handed down to the spawned workers.
    assert {span.service for span in servers(spans)} == {"demo"}
    assert system.children["agent-a"].pid not in {span.resource["process.pid"] for span in servers(spans)}


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
@pytest.mark.parametrize("ending", ["pass", "raise SystemExit(3)", "1/0"])
def test_a_script_that_ends_at_once_delivers_its_only_span(system: System, protocol: str, ending: str) -> None:
    """The exporter is built by the first export, which is here the last thing that the process does."""
    code = f"from opentelemetry import trace; trace.get_tracer('t').start_span('only').end(); {ending}"
    environ = {
        **HELD,
        "OTEL_EXPORTER_OTLP_ENDPOINT": system.grpc_endpoint if protocol == "grpc" else system.http_endpoint,
        "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
    }
    script = system.start("script", [*TRACED, "python", "-c", code], env=environ)
    wait_for(lambda: script.returncode is not None, 20)
    assert script.returncode == {"pass": 0, "raise SystemExit(3)": 3, "1/0": 1}[ending]
    assert [span.name for span in wait_for_spans(system, bool)] == ["only"]
