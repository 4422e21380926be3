"""tracebaton.view.grpc_receiver, over real sockets"""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from h2.connection import H2Connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    MakeRequest = Callable[..., ExportTraceServiceRequest]

SERVICE = "/opentelemetry.proto.collector.{}.v1.{}Service/Export"
TRACES = SERVICE.format("trace", "Trace")


@pytest.fixture(scope="module")
def channel(listening: Any) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(listening.grpc, options=[("grpc.max_send_message_length", -1)]) as channel:
        yield channel


def call(channel: grpc.Channel, method: str, body: bytes, **options: Any) -> bytes:
    answer: bytes = channel.unary_unary(method)(body, timeout=20, **options)
    return answer


@pytest.mark.parametrize("compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip])
def test_export(
    channel: grpc.Channel, listening: Any, make_request: MakeRequest, compression: grpc.Compression
) -> None:
    answer = call(channel, TRACES, make_request("a", "b").SerializeToString(), compression=compression)
    assert not ExportTraceServiceResponse.FromString(answer).HasField("partial_success")
    assert listening.names() == ["a", "b"]


def test_invalid_ids(channel: grpc.Channel, listening: Any, make_request: MakeRequest) -> None:
    """What is dropped is told, as a partial success."""
    answer = call(channel, TRACES, make_request("a", trace_id=b"short").SerializeToString())
    assert ExportTraceServiceResponse.FromString(answer).partial_success.rejected_spans == 1
    assert listening.names() == []


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.binary(max_size=300))
def test_noise(channel: grpc.Channel, listening: Any, make_request: MakeRequest, body: bytes) -> None:
    """Random bytes are a message or INVALID_ARGUMENT, and the next export goes through."""
    try:
        ExportTraceServiceRequest.FromString(body)
        expected = grpc.StatusCode.OK
    except Exception:  # noqa: BLE001 -- whatever the parser calls it
        expected = grpc.StatusCode.INVALID_ARGUMENT
    try:
        call(channel, TRACES, body)
        status = grpc.StatusCode.OK
    except grpc.RpcError as error:
        status = error.code()
    assert status == expected
    listening.names()
    call(channel, TRACES, make_request("after").SerializeToString())
    assert listening.names() == ["after"]


@pytest.mark.parametrize(("signal", "service"), [("metrics", "Metrics"), ("logs", "Logs")])
def test_other_signals(channel: grpc.Channel, listening: Any, signal: str, service: str) -> None:
    """Metrics and logs are accepted and dropped."""
    answer = call(channel, SERVICE.format(signal, service), b"\x0a\x00")
    assert ExportLogsServiceResponse.FromString(answer) == ExportLogsServiceResponse()
    assert listening.names() == []


@pytest.mark.parametrize("compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip])
def test_too_large(channel: grpc.Channel, listening: Any, compression: grpc.Compression) -> None:
    """More than 16 MiB, or what decompresses to that, is refused."""
    with pytest.raises(grpc.RpcError) as failure:
        call(channel, TRACES, bytes(65 << 20), compression=compression)
    assert failure.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_unknown_method(channel: grpc.Channel) -> None:
    with pytest.raises(grpc.RpcError) as failure:
        call(channel, "/nobody/Knows", b"")
    assert failure.value.code() is grpc.StatusCode.UNIMPLEMENTED


class TestHangingCalls:
    @pytest.fixture
    def answers(self) -> Iterator[Iterator[bytes]]:
        """A message that does not come before the test is over."""
        over = threading.Event()

        def wait() -> Iterator[bytes]:
            over.wait(20)
            yield b""

        yield wait()
        over.set()

    def test_a_message_that_does_not_come(
        self, listen: Callable[..., AbstractContextManager[Any]], make_request: MakeRequest, answers: Iterator[bytes]
    ) -> None:
        """The call is told so, and the connection is as good as before."""
        with listen(request_seconds=0.3) as small, grpc.insecure_channel(small.grpc) as channel:
            with pytest.raises(grpc.RpcError) as failure:
                channel.stream_unary(TRACES)(answers, timeout=20)
            assert failure.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
            assert failure.value.details() == "the message did not arrive in time"
            call(channel, TRACES, make_request("after").SerializeToString())
            assert small.names() == ["after"]

    def test_a_client_that_goes(
        self, listening: Any, make_request: MakeRequest, channel: grpc.Channel, caplog: pytest.LogCaptureFixture
    ) -> None:
        """In the middle of many calls, of which one is taken back before; nobody says a word about it."""
        with socket.create_connection(listening.grpc.split(":"), timeout=20) as connection:
            head = [
                (":method", "POST"),
                (":scheme", "http"),
                (":path", TRACES),
                (":authority", "localhost"),
                ("content-type", "application/grpc"),
            ]
            client = H2Connection()
            client.initiate_connection()
            for stream in range(1, 41, 2):
                client.send_headers(stream, head)
                client.send_data(stream, bytes(100))
            client.reset_stream(1)
            connection.sendall(client.data_to_send())
            # Its answer shows that all of the above has been taken in.
            client.send_headers(41, head, end_stream=True)
            connection.sendall(client.data_to_send())
            while not any(
                getattr(event, "stream_id", 0) == 41 for event in client.receive_data(connection.recv(65536))
            ):
                pass
        call(channel, TRACES, make_request("after").SerializeToString())
        assert listening.names() == ["after"]
        assert not caplog.records
