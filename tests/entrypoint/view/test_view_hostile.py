"""`tracebaton view` as a process that is sent what no exporter would send: bounded memory, and room for the others."""

from __future__ import annotations

import json
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from hostile import (
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
from hpack import Encoder
from hyperframe.frame import ContinuationFrame, DataFrame, HeadersFrame, PingFrame, RstStreamFrame, SettingsFrame

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TRACES = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
HEAD = (
    b"POST /v1/traces HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-protobuf\r\nContent-Length: %d\r\n\r\n"
)
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
        "said",
        [b"", b"POST /v1/traces HTTP/1.1\r\nX: ", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"],
        ids=["", "head", "preface"],
    )
    def test_half_open(self, view: Any, good: bytes, port: str, said: bytes) -> None:
        with ExitStack() as stack:
            for _ in range(300):
                connect(stack, getattr(view, port)).sendall(said)
            self.serves(view, good)

    def test_idle_connections(self, view: Any, good: bytes) -> None:
        with ExitStack() as stack:
            for _ in range(100):
                connection = connect(stack, view.http)
                connection.sendall(HEAD % len(good) + good)
                assert connection.recv(100).startswith(b"HTTP/1.1 200 ")
            self.serves(view, good)

    def test_slow_bodies(self, view: Any, good: bytes) -> None:
        """All but the end of sixteen large bodies: more than is held for all clients together."""
        length = 15 << 20
        with ExitStack() as stack:
            for _ in range(16):
                connection = connect(stack, view.http)
                with suppress(ConnectionError):
                    connection.sendall(HEAD % length + bytes(length - 1))
            self.serves(view, good)

    def test_slow_calls(self, view: Any, good: bytes) -> None:
        """Calls over gRPC whose message does not come."""
        with ExitStack() as stack:
            calls = []
            for _ in range(20):
                channel = stack.enter_context(grpc.insecure_channel(view.grpc))
                calls += [channel.stream_unary(TRACES).future(never()) for _ in range(10)]
            self.serves(view, good)
            for call in calls:
                call.cancel()

    def test_slow_clients_end(self, view: Any) -> None:
        """Who begins and does not go on is cut off, on both ports; so is who drips."""
        with ExitStack() as stack:
            silent, begun, dripping = (connect(stack, url) for url in (view.grpc, view.http, view.http))
            begun.sendall(b"POST /v1/traces HTTP/1.1\r\n")
            dripping.sendall(b"POST /v1/traces HTTP/1.1\r\nHost: localhost\r\nX: ")
            deadline = time.monotonic() + 20
            while time.monotonic() < deadline and not ends_within(dripping, 0.5):
                with suppress(OSError):
                    dripping.sendall(b"x")
            assert time.monotonic() < deadline
            assert ends_within(silent, 5)
            assert ends_within(begun, 5)

    def test_a_body_without_end(self, view: Any, good: bytes) -> None:
        """It is neither kept nor read for ever."""
        before = memory(view.process.pid, peak=False)
        forget_peak(view.process.pid)
        with ExitStack() as stack:
            connection = connect(stack, view.http)
            connection.sendall(HEAD.replace(b"Content-Length: %d", b"Transfer-Encoding: chunked"))
            chunk = b"100000\r\n" + bytes(1 << 20) + b"\r\n"
            with pytest.raises(ConnectionError):
                connection.sendall(chunk * 1000)
        assert memory(view.process.pid) - before < MORE
        self.serves(view, good)


class TestFloods:
    """Of HTTP/2 frames, each of which asks for something; the connection is ended, and others are served."""

    PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + SettingsFrame(0).serialize()
    HEADERS = Encoder().encode(
        [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", TRACES),
            (":authority", "localhost"),
            ("content-type", "application/grpc"),
        ]
    )

    def rapid_reset(self) -> Iterator[bytes]:
        for stream in range(1, 100_000, 2):
            yield HeadersFrame(stream, self.HEADERS, flags=["END_HEADERS"]).serialize()
            yield RstStreamFrame(stream, error_code=8).serialize()

    def long_headers(self) -> Iterator[bytes]:
        yield HeadersFrame(1, self.HEADERS).serialize()
        for _ in range(60):
            yield ContinuationFrame(1, b"\x00\x01a\x7f\x80\x7e" + b"x" * 16000).serialize()

    def large_headers(self) -> Iterator[bytes]:
        """An entry of 4 KB in the table of the other side, named again and again by a byte each."""
        entry = Encoder().encode([("x", "y" * 3900)])
        yield HeadersFrame(1, entry + b"\xbe" * 10_000, flags=["END_HEADERS"]).serialize()

    def frames(self, kind: str) -> Iterator[bytes]:
        if kind in {"rapid_reset", "long_headers", "large_headers"}:
            yield from getattr(self, kind)()
            return
        if kind == "empty data":
            yield HeadersFrame(1, self.HEADERS, flags=["END_HEADERS"]).serialize()
        frame = {
            "pings": PingFrame(0, b"12345678").serialize(),
            "settings": SettingsFrame(0, {3: 100}).serialize(),
            "empty data": DataFrame(1, b"").serialize(),
            "unknown": b"\0\0\0\xfa\0\0\0\0\0",
            "a frame too long": b"\xff\xff\xff\x00\0\0\0\0\1",
        }[kind]
        yield from (frame for _ in range(50_000))

    @pytest.mark.parametrize(
        "kind",
        [
            *("rapid_reset", "long_headers", "large_headers"),
            *("pings", "settings", "empty data", "unknown", "a frame too long"),
        ],
    )
    def test_it_ends(self, view: Any, good: bytes, kind: str) -> None:
        assert export(view, good) is grpc.StatusCode.OK
        before = memory(view.process.pid, peak=False)
        forget_peak(view.process.pid)
        with ExitStack() as stack:
            connections = [connect(stack, view.grpc) for _ in range(4)]
            for connection in connections:
                connection.settimeout(20)
                with suppress(ConnectionError):
                    connection.sendall(self.PREFACE + b"".join(self.frames(kind)))
            assert all(ends_within(connection, 8) for connection in connections)
        assert memory(view.process.pid) - before < 50
        assert export(view, good) is grpc.StatusCode.OK


class TestWebPages:
    """Of a browser on this machine nothing is taken, however it got here."""

    @pytest.mark.parametrize(
        "headers",
        [
            {"Host": "evil.example"},
            {"Host": "evil.example:4318"},
            {"Host": "localhost.evil.example"},
            {"Host": "127.0.0.1.evil.example"},
            {"Host": "localhost@evil.example"},
            {"Host": "192.0.2.1"},
            {"Host": ""},
            {"Origin": "https://evil.example"},
            {"Origin": "null"},
            {"Origin": "http://localhost:1"},
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site"},
            {"Host": "evil.example", "Origin": "http://evil.example"},
        ],
        ids=str,
    )
    def test_refused(self, view: Any, good: bytes, headers: dict[str, str]) -> None:
        assert post(view.http, good, headers) == 403

    @pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
    def test_a_form(self, view: Any, good: bytes, kind: str) -> None:
        """What a page may send without asking first."""
        assert post(view.http, good, {"Content-Type": kind}) == 415

    @pytest.mark.parametrize(
        "host", ["localhost", "LOCALHOST:1", "127.0.0.1:4318", "[::1]:4318", "host.docker.internal"]
    )
    def test_ours(self, view: Any, good: bytes, host: str) -> None:
        assert post(view.http, good, {"Host": host}) == 200

    def test_own_origin(self, view: Any, good: bytes) -> None:
        assert post(view.http, good, {"Origin": view.http, "Sec-Fetch-Site": "same-origin"}) == 200

    def test_grpc(self, view: Any, good: bytes) -> None:
        with grpc.insecure_channel(view.grpc, options=[("grpc.default_authority", "evil.example")]) as channel:
            with pytest.raises(grpc.RpcError) as refused:
                channel.unary_unary(TRACES)(good, timeout=20)
            assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED

    def test_all_addresses(self, start_view: Callable[..., Any], good: bytes) -> None:
        """Beyond loopback a name is any name, as of a service in compose; a page is a page."""
        view = start_view("--host", "0.0.0.0")
        assert post(view.http, good, {"Host": "view:4318"}) == 200
        assert post(view.http, good, {"Host": "view:4318", "Origin": "http://view:4318"}) == 403
        assert post(view.http, good, {"Host": "view:4318", "Sec-Fetch-Site": "cross-site"}) == 403
        assert post(view.http, good, {"Host": "192.0.2.1:4318", "Origin": "http://192.0.2.1:4318"}) == 200


def never() -> Iterator[bytes]:
    time.sleep(20)
    yield b""
