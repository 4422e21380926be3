"""`tracebaton view` as a process that is sent what no exporter would send: bounded memory, and room for the others."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from hostile import (
    address_of,
    connect,
    ends_within,
    field,
    forget_peak,
    gzipped,
    memory,
    nested,
    post,
    request_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TRACES = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
GZIP = {"Content-Encoding": "gzip"}
JSON = {"Content-Type": "application/json"}
MORE = 150
"""MiB that hostile payloads may cost beyond what a freshly started viewer holds."""


@pytest.fixture(scope="module")
def view(start_view_once: Callable[..., Any]) -> Any:
    return start_view_once("--quiet-after", "0.1", stdout=subprocess.DEVNULL)


@pytest.fixture
def good(make_request: Callable[..., Any]) -> bytes:
    body: bytes = make_request("good").SerializeToString()
    return body


def export(view: Any, body: bytes, **options: Any) -> grpc.StatusCode:
    with grpc.insecure_channel(view.grpc, options=[("grpc.max_send_message_length", -1)]) as channel:
        try:
            channel.unary_unary(TRACES)(body, timeout=30, **options)
        except grpc.RpcError as error:
            status: grpc.StatusCode = error.code()
            return status
    return grpc.StatusCode.OK


def zeros() -> bytes:
    return bytes(60 << 20)


PAYLOADS = {
    "zeros": lambda: bytes(60 << 20),
    "a long text": lambda: request_of(field(5, b"x" * (15 << 20))),
    "attributes": lambda: request_of(b"\x4a\x00" * (6 << 20)),
    "array elements": lambda: request_of(field(9, field(2, field(5, b"\x0a\x00" * (6 << 20))))),
    "spans": lambda: field(1, field(2, b"\x12\x00" * (6 << 20))),
    "scopes": lambda: field(1, b"\x12\x00" * (6 << 20)),
    "resources": lambda: b"\x0a\x00" * (6 << 20),
    "events": lambda: request_of(b"\x5a\x00" * (6 << 20)),
    "nested": lambda: nested(3000),
}
DOCUMENTS = {
    "empty spans": lambda: b'{"resourceSpans":[{"scopeSpans":[{"spans":[' + b"{}," * (4 << 20) + b"{}]}]}]}",
    "lists": lambda: b'{"x":[' + b"[]," * (4 << 20) + b"[]]}",
    "numbers": lambda: b'{"x":[' + b"1.5," * (3 << 20) + b"1]}",
    "nested lists": lambda: b"[" * (12 << 20),
    "a wide text": lambda: json.dumps({"x": "x" * (14 << 20) + "\U0001f6a6"}, ensure_ascii=False).encode(),
}


class TestMemory:
    """Twelve at once; with the bytes of a single one on the wire there are few."""

    @pytest.mark.parametrize("kind", PAYLOADS)
    def test_protobuf(self, view: Any, good: bytes, kind: str) -> None:
        plain = PAYLOADS[kind]()
        bomb = gzipped([plain])
        before = self.start(view, good)
        with ThreadPoolExecutor(12) as pool:
            sent = [pool.submit(post, view.http, bomb, GZIP) for _ in range(6)]
            sent += [pool.submit(export, view, plain, compression=grpc.Compression.Gzip) for _ in range(6)]
            for one in sent:
                one.result(60)
        assert memory(view.process.pid) - before < MORE
        assert post(view.http, good) == 200

    @pytest.mark.parametrize("kind", DOCUMENTS)
    def test_json(self, view: Any, good: bytes, kind: str) -> None:
        bomb = gzipped([DOCUMENTS[kind]()])
        before = self.start(view, good)
        with ThreadPoolExecutor(12) as pool:
            for one in [pool.submit(post, view.http, bomb, {**JSON, **GZIP}) for _ in range(12)]:
                one.result(60)
        assert memory(view.process.pid) - before < MORE
        assert post(view.http, good) == 200

    def start(self, view: Any, good: bytes) -> float:
        assert post(view.http, good) == 200
        assert export(view, good) is grpc.StatusCode.OK
        forget_peak(view.process.pid)
        return memory(view.process.pid, peak=False)


class TestRoom:
    """Nobody who hangs keeps others out."""

    def serves(self, view: Any, good: bytes) -> None:
        begun = time.monotonic()
        assert post(view.http, good) == 200
        assert export(view, good) is grpc.StatusCode.OK
        assert time.monotonic() - begun < 5

    @pytest.mark.parametrize("port", ["http", "grpc"])
    @pytest.mark.parametrize(
        "said", [b"", b"POST /v1/traces HTTP/1.1\r\nX: ", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"], ids=["", "head", "preface"]
    )
    def test_half_open(self, view: Any, good: bytes, port: str, said: bytes) -> None:
        with ExitStack() as stack:
            for _ in range(300):
                connect(stack, getattr(view, port)).sendall(said)
            self.serves(view, good)

    def test_idle_connections(self, view: Any, good: bytes) -> None:
        head = f"POST /v1/traces HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-protobuf\r\nContent-Length: {len(good)}\r\n\r\n"
        with ExitStack() as stack:
            for _ in range(100):
                connection = connect(stack, view.http)
                connection.sendall(head.encode() + good)
                assert connection.recv(100).startswith(b"HTTP/1.1 200 ")
            self.serves(view, good)

    def test_slow_bodies(self, view: Any, good: bytes) -> None:
        """All but the end of sixteen large bodies: more than is held for all clients together."""
        head = "POST /v1/traces HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-protobuf\r\nContent-Length: {}\r\n\r\n"
        length = 15 << 20
        with ExitStack() as stack:
            for _ in range(16):
                connection = connect(stack, view.http)
                try:
                    connection.sendall(head.format(length).encode() + bytes(length - 1))
                except OSError:
                    pass
            self.serves(view, good)

    def test_slow_calls(self, view: Any, good: bytes) -> None:
        """Calls over gRPC whose message does not come."""
        with ExitStack() as stack:
            calls = []
            for _ in range(20):
                channel = stack.enter_context(grpc.insecure_channel(view.grpc))
                for _ in range(10):
                    calls.append(channel.stream_unary(TRACES)(never()))
            self.serves(view, good)
            for call in calls:
                call.cancel()

    def test_slow_heads_end(self, view: Any) -> None:
        """A client that drips a byte a second is cut off."""
        with socket.create_connection(address_of(view.http)) as http, socket.create_connection(address_of(view.grpc)) as h2:
            http.sendall(b"POST /v1/traces HTTP/1.1\r\n")
            assert ends_within(h2, 15)
            assert ends_within(http, 15)


def never() -> Iterator[bytes]:
    time.sleep(20)
    yield b""
