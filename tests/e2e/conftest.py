"""Real processes: the demo's agents, a real redis-server, and receivers."""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "docker" / "demo"), str(Path(__file__).parent), str(ROOT / "tests" / "faults")]

from harness import System  # noqa: E402
from processes import wait_for  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.e2e)


@pytest.fixture(scope="session")
def receiving() -> Iterator[System]:
    """The receiver that tests have one after the other; `system` hands it on."""
    with System() as made:
        made.start_receiver()
        yield made
    assert made.left_behind() == []


@pytest.fixture
def system(receiving: System) -> Iterator[System]:
    """With a receiver that has got nothing yet."""
    receiver = receiving.children["receiver"]
    _let_it_print_what_it_has(receiving)
    os.truncate(receiver.stdout, 0)  # what it prints is appended
    with System() as made:
        made.grpc_endpoint, made.http_endpoint = receiving.grpc_endpoint, receiving.http_endpoint
        made.children["receiver"] = receiver
        yield made
        made.stop_agents()
        del made.children["receiver"]
    assert made.left_behind() == []
    assert receiver.returncode is None, receiver.output_end()


def _let_it_print_what_it_has(receiving: System) -> None:
    """Spans are printed in the order in which they came: all of the test before, once one that comes now is."""
    mark = secrets.token_bytes(16)
    request = ExportTraceServiceRequest()
    span = request.resource_spans.add().scope_spans.add().spans.add()
    span.trace_id, span.span_id, span.name = mark, mark[:8], "mark"
    headers = {"Content-Type": "application/x-protobuf"}
    url, stdout = f"{receiving.http_endpoint}/v1/traces", receiving.children["receiver"].stdout
    with httpx.Client(verify=False, trust_env=False) as client:
        client.post(url, content=request.SerializeToString(), headers=headers).raise_for_status()
    assert wait_for(lambda: mark.hex().encode() in stdout.read_bytes(), 20, 0.002)


@pytest.fixture
def root() -> Path:
    return ROOT
