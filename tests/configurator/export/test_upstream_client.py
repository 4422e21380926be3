"""Targets of gRPC that are no URLs go by upstream's exporter, and mean to the queue what others do.

The server is a real one on a Unix socket. Its client is upstream's channel; what the answers mean is ours.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceResponse,
)
from peers import Deadline, payload, span_ids

from tracebaton_configurator.export.export_result import ExportResult, Outcome
from tracebaton_configurator.export.exporters import make_client
from tracebaton_configurator.settings.endpoint import Endpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Answer = Callable[[bytes, grpc.ServicerContext], bytes]

METHOD = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"


class Receiver:
    """Listens on a Unix socket; `answer` makes what it says, and is plain success by itself."""

    def __init__(self, target: str) -> None:
        self.target = target
        self.answer: Answer = lambda _, __: b""
        self.taken: list[bytes] = []
        self.metadata: dict[str, Any] = {}
        self._server: grpc.Server | None = None

    def _export(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        self.metadata = dict(context.invocation_metadata())
        answer = self.answer(request, context)
        self.taken.append(request)
        return answer

    def start(self) -> None:
        service, method = METHOD.strip("/").split("/")
        handlers = {method: grpc.unary_unary_rpc_method_handler(self._export)}
        self._server = grpc.server(ThreadPoolExecutor(2))
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
        self._server.add_insecure_port(self.target)
        self._server.start()

    def stop(self) -> None:
        if self._server is not None:
            self._server.stop(None).wait(10)


@pytest.fixture
def directory() -> Iterator[Path]:
    """Short, for the path of a Unix socket has 107 bytes at most."""
    with tempfile.TemporaryDirectory(prefix="baton-") as name:
        yield Path(name)


@pytest.fixture
def receiver(directory: Path) -> Iterator[Receiver]:
    made = Receiver(f"unix://{directory}/otlp.sock")
    made.start()
    yield made
    made.stop()


def endpoint(target: str, **more: Any) -> Endpoint:
    return Endpoint(target, "grpc", insecure_target=True, **more)


def send(receiver: Receiver, sent: bytes | None = None, seconds: float = 10, **more: Any) -> ExportResult:
    client = make_client("otlp", endpoint(receiver.target, **more))
    try:
        return client.send(payload() if sent is None else sent, Deadline(seconds))
    finally:
        client.close()


def refusal(code: grpc.StatusCode, details: str, *trailers: tuple[str, str | bytes]) -> Answer:
    def answer(_: bytes, context: grpc.ServicerContext) -> bytes:
        context.set_trailing_metadata(trailers)
        context.abort(code, details)
        raise AssertionError

    return answer


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_spans_arrive_with_the_headers_that_were_set(receiver: Receiver, compression: str) -> None:
    sent = payload(3)
    result = send(receiver, sent, compression=compression, headers=(("api-key", "secret"),))
    assert result == ExportResult(Outcome.DELIVERED)
    (taken,) = receiver.taken
    assert span_ids(taken) == [1, 2, 3]
    assert receiver.metadata["api-key"] == "secret"


def test_an_abstract_socket() -> None:
    receiver = Receiver(f"unix-abstract:tracebaton-{os.urandom(6).hex()}")
    receiver.start()
    try:
        assert send(receiver).outcome is Outcome.DELIVERED
    finally:
        receiver.stop()


def test_what_it_left_out_and_said(receiver: Receiver) -> None:
    partial = ExportTracePartialSuccess(rejected_spans=1, error_message="too old")
    receiver.answer = lambda _, __: ExportTraceServiceResponse(partial_success=partial).SerializeToString()
    assert send(receiver, payload(2)) == ExportResult(Outcome.DELIVERED, "too old", rejected=1)


def test_it_says_when_to_come_again(receiver: Receiver) -> None:
    status = Status(code=14)
    info = RetryInfo()
    info.retry_delay.FromSeconds(7)
    status.details.add().Pack(info)
    details = ("grpc-status-details-bin", status.SerializeToString())
    receiver.answer = refusal(grpc.StatusCode.UNAVAILABLE, "100 % full", details)
    assert send(receiver) == ExportResult(Outcome.RETRY, "UNAVAILABLE: 100 % full", 7.0)


@pytest.mark.parametrize(
    ("code", "details", "outcome"),
    [
        ("UNAVAILABLE", "later", Outcome.RETRY),
        ("RESOURCE_EXHAUSTED", "received message larger than max (5 vs. 4)", Outcome.SPLIT),
        ("INVALID_ARGUMENT", "no", Outcome.REFUSED),
    ],
)
def test_what_it_refuses(receiver: Receiver, code: str, details: str, outcome: Outcome) -> None:
    receiver.answer = refusal(grpc.StatusCode[code], details)
    assert send(receiver) == ExportResult(outcome, f"{code}: {details}")


def test_one_that_never_answers_costs_the_deadline(receiver: Receiver) -> None:
    over = threading.Event()

    def hang(_: bytes, __: grpc.ServicerContext) -> bytes:
        over.wait(30)
        return b""

    receiver.answer = hang
    result = send(receiver, seconds=0.2)
    over.set()
    assert (result.outcome, result.reason[:17]) == (Outcome.RETRY, "DEADLINE_EXCEEDED")


def test_one_that_is_not_there_is_found_as_soon_as_it_is(directory: Path) -> None:
    """A channel of gRPC's would not look again for a while, which grows to two minutes."""
    receiver = Receiver(f"unix://{directory}/otlp.sock")
    client = make_client("otlp", endpoint(receiver.target))
    for _ in range(3):
        result = client.send(payload(), Deadline(10))
        assert (result.outcome, result.reason[:11]) == (Outcome.RETRY, "UNAVAILABLE")
    receiver.start()
    try:
        assert client.send(payload(), Deadline(10)).outcome is Outcome.DELIVERED
    finally:
        client.close()
        receiver.stop()


@pytest.mark.parametrize("value", ["s3cr3t-of-mine", "s3cr3t-of-mine\n"])
def test_no_message_shows_what_a_header_holds(receiver: Receiver, value: str) -> None:
    receiver.answer = refusal(grpc.StatusCode.UNAUTHENTICATED, "s3cr3t-of-mine is no key")
    result = send(receiver, headers=(("x-key", value),))
    assert result.outcome is not Outcome.DELIVERED
    assert "s3cr3t" not in result.reason


def test_http_does_not_know_such_targets() -> None:
    with pytest.raises(ValueError, match="otlp_proto_http"):
        make_client("otlp_proto_http", endpoint("unix:///run/otlp.sock"))


def test_nothing_of_grpc_is_imported_for_urls() -> None:
    program = """
import sys
from tracebaton_configurator.export.exporters import make_client
from tracebaton_configurator.settings.endpoint import Endpoint
make_client("otlp", Endpoint("http://127.0.0.1:1", "grpc")).send(b"", lambda: 1.0)
print([name for name in ("grpc", "opentelemetry.exporter") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"


def test_a_fork_leaves_the_channel_alone_and_ends(receiver: Receiver) -> None:
    """What gRPC has running does not survive a fork: its channel is neither closed nor collected in the child."""
    program = f"""
import gc, os, sys
from tracebaton_configurator.export.exporters import make_client
from tracebaton_configurator.settings.endpoint import Endpoint
client = make_client("otlp", Endpoint({receiver.target!r}, "grpc", insecure_target=True))
print(client.send(b"", lambda: 10.0).outcome.name, flush=True)
child = os.fork()
if not child:
    del client
    gc.collect()
    print("child", flush=True)
    sys.exit(7)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
print(client.send(b"", lambda: 10.0).outcome.name)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.returncode) == ("DELIVERED\nchild\n7\nDELIVERED\n", 0), done.stderr
