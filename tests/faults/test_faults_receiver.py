"""The receiver that misbehaves does what it is told, as clients that are not ours see it: grpcio and httpx."""

from __future__ import annotations

import time
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

import grpc
import httpx
import pytest
from fault_kinds import (
    Blackholed,
    CutRequest,
    CutResponse,
    Flapping,
    GrpcStatus,
    Hanging,
    Healthy,
    HttpStatus,
    Partial,
    Refused,
    Slow,
    TooLarge,
)
from fault_receiver import FaultyReceiver
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import SpanKind
from processes import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
BOTH = pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])


def batch(count: int = 1, first: int = 1) -> bytes:
    request = ExportTraceServiceRequest()
    spans = request.resource_spans.add().scope_spans.add().spans
    for number in range(first, first + count):
        spans.add(trace_id=b"\1" * 16, span_id=number.to_bytes(8, "big"), name=f"span {number}", kind=2)
    return request.SerializeToString()


class Client:
    """Raw requests over a connection of their own; what fails is raised as grpc.RpcError or httpx.HTTPError."""

    def __init__(self, receiver: FaultyReceiver) -> None:
        self._receiver = receiver
        self._http = httpx.Client(base_url=receiver.endpoint)
        self._channel: Any = None

    def export(self, body: bytes, timeout: float = 2.0) -> Any:
        """What the receiver answered: ExportTraceServiceResponse, or the httpx.Response of a failure."""
        if self._receiver.protocol == "grpc":
            if self._channel is None:
                options = [("grpc.initial_reconnect_backoff_ms", 50), ("grpc.max_reconnect_backoff_ms", 100)]
                self._channel = grpc.insecure_channel(self._receiver.endpoint.removeprefix("http://"), options)
            return ExportTraceServiceResponse.FromString(self._channel.unary_unary(EXPORT)(body, timeout=timeout))
        headers = {"Content-Type": "application/x-protobuf"}
        response = self._http.post("/v1/traces", content=body, headers=headers, timeout=timeout)
        return ExportTraceServiceResponse.FromString(response.content) if response.is_success else response

    def fails(self, body: bytes, timeout: float = 2.0) -> Exception:
        with pytest.raises((grpc.RpcError, httpx.HTTPError)) as failure:
            self.export(body, timeout)
        return failure.value

    def recovers(self, body: bytes) -> None:
        """Export again and again until it works: a connection that has been reset may be noticed by being used."""

        def works() -> bool:
            try:
                self.export(body)
            except (grpc.RpcError, httpx.HTTPError):
                return False
            return True

        assert wait_for(works, 10)

    def close(self) -> None:
        self._http.close()
        if self._channel is not None:
            self._channel.close()


@pytest.fixture
def receiver(protocol: Any) -> Iterator[FaultyReceiver]:
    with FaultyReceiver(protocol) as made:
        yield made


@pytest.fixture
def client(receiver: FaultyReceiver) -> Iterator[Client]:
    made = Client(receiver)
    yield made
    made.close()


@BOTH
class TestHealthy:
    def test_upstreams_exporter_delivers(self, receiver: FaultyReceiver) -> None:
        exporter: Any = (
            GrpcExporter(receiver.endpoint, insecure=True)
            if receiver.protocol == "grpc"
            else HttpExporter(f"{receiver.endpoint}/v1/traces")
        )
        provider = TracerProvider(resource=Resource({"service.name": "shop", "process.pid": 7}), shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        before = time.time()
        provider.get_tracer("t").start_span("GET /x", kind=SpanKind.SERVER, attributes={"n": 1}).end()
        provider.shutdown()
        (received,) = receiver.received()
        span = received.span
        assert (span.name, span.kind, span.attributes, span.service) == ("GET /x", "SERVER", {"n": 1}, "shop")
        assert span.resource["process.pid"] == 7
        assert before <= received.at <= time.time()
        assert received.request == 0

    def test_duplicates_are_counted_and_left_out_of_the_spans(self, receiver: FaultyReceiver, client: Client) -> None:
        client.export(batch(2))
        client.export(batch(2, first=2))
        assert [span.name for span in receiver.spans()] == ["span 1", "span 2", "span 3"]
        assert (receiver.accepted, receiver.duplicates) == (4, 1)
        assert [(one.number, one.outcome, one.spans) for one in receiver.requests] == [(0, "ok", 2), (1, "ok", 2)]


@BOTH
class TestConnections:
    def test_refused_and_back_on_the_same_port(self, receiver: FaultyReceiver, client: Client) -> None:
        client.export(batch())
        receiver.fault = Refused()
        client.fails(batch(first=2))
        receiver.fault = Healthy()
        client.recovers(batch(first=3))
        assert [span.name for span in receiver.spans()] == ["span 1", "span 3"]

    @pytest.mark.parametrize("fault", [Hanging(), Blackholed()])
    def test_silence_for_a_new_connection(self, receiver: FaultyReceiver, client: Client, fault: Any) -> None:
        receiver.fault = fault
        started = time.monotonic()
        error = client.fails(batch(), timeout=0.4)
        assert time.monotonic() - started >= 0.4
        if isinstance(error, grpc.RpcError):
            assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        else:
            assert type(error) is (httpx.ConnectTimeout if fault == Blackholed() else httpx.ReadTimeout)
        assert receiver.requests == []
        receiver.fault = Healthy()
        client.recovers(batch(first=2))
        assert [span.name for span in receiver.spans()] == ["span 2"]

    @pytest.mark.parametrize("fault", [Hanging(), Blackholed()])
    def test_silence_on_an_open_connection(self, receiver: FaultyReceiver, client: Client, fault: Any) -> None:
        client.export(batch())
        receiver.fault = fault
        client.fails(batch(first=2), timeout=0.4)
        receiver.fault = Healthy()
        client.recovers(batch(first=3))
        assert [span.name for span in receiver.spans()] == ["span 1", "span 3"]

    @pytest.mark.parametrize("after_one", [False, True])
    def test_cut_in_the_request(self, receiver: FaultyReceiver, client: Client, *, after_one: bool) -> None:
        if after_one:
            client.export(batch())
        receiver.fault = CutRequest()
        error = client.fails(batch(100, first=2))
        assert not isinstance(error, grpc.RpcError) or error.code() is grpc.StatusCode.UNAVAILABLE
        assert len(receiver.requests) == after_one
        receiver.fault = Healthy()
        client.recovers(batch(first=200))
        assert receiver.spans()[-1].name == "span 200"

    def test_cut_in_the_answer(self, receiver: FaultyReceiver, client: Client) -> None:
        receiver.set_fault(CutResponse(), times=1)
        error = client.fails(batch(2))
        assert not isinstance(error, grpc.RpcError) or error.code() is grpc.StatusCode.UNAVAILABLE
        client.recovers(batch(2))
        assert (receiver.accepted, receiver.duplicates) == (4, 2)
        assert receiver.outcomes == {"cut": 1, "ok": 1}

    def test_flapping(self, receiver: FaultyReceiver, client: Client) -> None:
        receiver.fault = Flapping(0.1)
        down = up = 0
        deadline = time.monotonic() + 20
        number = 1
        while (down < 2 or up < 2) and time.monotonic() < deadline:
            number += 1
            try:
                client.export(batch(first=number), timeout=0.3)
                up += 1
            except (grpc.RpcError, httpx.HTTPError):
                down += 1
        assert down >= 2
        assert up >= 2
        receiver.fault = Healthy()
        client.recovers(batch(first=number + 1))


@BOTH
class TestRequests:
    def test_slow(self, receiver: FaultyReceiver, client: Client) -> None:
        receiver.set_fault(Slow(0.3))
        started = time.monotonic()
        client.export(batch())
        assert time.monotonic() - started >= 0.3
        assert receiver.outcomes == {"ok": 1}

    def test_slow_beyond_the_clients_patience_is_taken_all_the_same(
        self, receiver: FaultyReceiver, client: Client
    ) -> None:
        receiver.set_fault(Slow(0.6))
        client.fails(batch(), timeout=0.2)
        assert receiver.wait_until(lambda: receiver.accepted == 1, 5)

    def test_partial_success(self, receiver: FaultyReceiver, client: Client) -> None:
        receiver.fault = Partial(2, "too old")
        partial = client.export(batch(5)).partial_success
        assert (partial.rejected_spans, partial.error_message) == (2, "too old")
        assert [span.name for span in receiver.spans()] == ["span 3", "span 4", "span 5"]
        assert receiver.outcomes == {"partial": 1}

    def test_so_many_times_and_then_healthy(self, receiver: FaultyReceiver, client: Client) -> None:
        receiver.set_fault(Partial(1), times=2)
        for first in (1, 2, 3):
            client.export(batch(first=first))
        assert [span.name for span in receiver.spans()] == ["span 3"]
        assert receiver.outcomes == {"partial": 2, "ok": 1}


@pytest.mark.parametrize("protocol", ["grpc"])
class TestGrpc:
    @pytest.mark.parametrize("retry_after", [None, 0.25])
    @pytest.mark.parametrize("code", ["UNAVAILABLE", "RESOURCE_EXHAUSTED", "INVALID_ARGUMENT", "UNAUTHENTICATED"])
    def test_a_status_with_and_without_retry_info(
        self, receiver: FaultyReceiver, client: Client, code: str, retry_after: float | None
    ) -> None:
        receiver.fault = GrpcStatus(code, retry_after)
        error: Any = client.fails(batch())
        assert (error.code().name, error.details()) == (code, "a fault was injected")
        details = dict(error.trailing_metadata()).get("grpc-status-details-bin")
        assert (details is None) == (retry_after is None)
        if details is not None:
            info = RetryInfo()
            (detail,) = Status.FromString(details).details
            assert detail.Unpack(info)
            assert info.retry_delay.ToNanoseconds() == 250_000_000
        assert receiver.spans() == []
        assert receiver.outcomes == {code: 1}

    def test_too_large(self, receiver: FaultyReceiver, client: Client) -> None:
        receiver.fault = TooLarge(1000)
        large, small = batch(100), batch(10)
        assert len(small) < 1000 < len(large)
        error: Any = client.fails(large)
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert error.details() == f"grpc: received message larger than max ({len(large)} vs. 1000)"
        client.export(small)
        assert len(receiver.spans()) == 10


@pytest.mark.parametrize("protocol", ["http/protobuf"])
class TestHttp:
    @pytest.mark.parametrize("status", [400, 401, 413, 429, 500, 502, 503])
    @pytest.mark.parametrize("retry_after", [None, "2", formatdate(2_000_000_000, usegmt=True)])
    def test_a_status_with_and_without_retry_after(
        self, receiver: FaultyReceiver, client: Client, status: int, retry_after: str | None
    ) -> None:
        receiver.fault = HttpStatus(status, retry_after)
        response = client.export(batch())
        assert response.status_code == status
        assert response.headers.get("Retry-After") == retry_after
        assert Status.FromString(response.content).message == "a fault was injected"
        assert receiver.spans() == []
        assert receiver.outcomes == {str(status): 1}

    def test_too_large(self, receiver: FaultyReceiver, client: Client) -> None:
        receiver.fault = TooLarge(1000)
        assert client.export(batch(100)).status_code == 413
        client.export(batch(10))
        assert len(receiver.spans()) == 10


@BOTH
def test_what_cannot_be_is_refused(receiver: FaultyReceiver) -> None:
    other: Any = HttpStatus(503) if receiver.protocol == "grpc" else GrpcStatus("UNAVAILABLE")
    with pytest.raises(TypeError, match="cannot be answered"):
        receiver.set_fault(other)
    with pytest.raises(TypeError, match="nobody counts"):
        receiver.set_fault(Refused(), times=1)
