"""tracebaton.view.http_receiver, over real sockets"""

from __future__ import annotations

import gzip
import http.client
import json
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from google.rpc.status_pb2 import Status
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    MakeRequest = Callable[..., ExportTraceServiceRequest]

PROTOBUF = {"Content-Type": "application/x-protobuf"}
JSON = {"Content-Type": "application/json; charset=utf-8"}
DOCUMENT = {
    "resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": "01" * 16, "spanId": "02" * 8, "name": "from json"}]}]}]
}


class Client:
    """One kept-alive connection."""

    def __init__(self, url: str) -> None:
        self.connection = http.client.HTTPConnection(url, timeout=20)

    def send(
        self, body: Any = None, headers: dict[str, str] | None = None, path: str = "/v1/traces", method: str = "POST"
    ) -> tuple[int, http.client.HTTPResponse, bytes]:
        self.connection.request(method, path, body, headers or {}, encode_chunked=False)
        response = self.connection.getresponse()
        return response.status, response, response.read()


@pytest.fixture
def client(listening: Any) -> Iterator[Client]:
    client = Client(listening.http)
    yield client
    client.connection.close()


class TestAccepted:
    def test_protobuf(self, client: Client, listening: Any, make_request: MakeRequest) -> None:
        status, response, body = client.send(make_request("a", "b").SerializeToString(), PROTOBUF)
        assert (status, response.headers["Content-Type"], body) == (200, "application/x-protobuf", b"")
        assert listening.names() == ["a", "b"]

    def test_json(self, client: Client, listening: Any) -> None:
        """JSON is answered in JSON."""
        status, response, body = client.send(json.dumps(DOCUMENT), JSON)
        assert (status, response.headers["Content-Type"], json.loads(body)) == (200, "application/json", {})
        assert listening.names() == ["from json"]

    @pytest.mark.parametrize("as_json", [False, True])
    def test_gzip(self, client: Client, listening: Any, make_request: MakeRequest, *, as_json: bool) -> None:
        plain = json.dumps(DOCUMENT).encode() if as_json else make_request("from json").SerializeToString()
        headers = {**(JSON if as_json else PROTOBUF), "Content-Encoding": "gzip"}
        assert client.send(gzip.compress(plain), headers)[0] == 200
        assert listening.names() == ["from json"]

    def test_chunked(self, client: Client, listening: Any, make_request: MakeRequest) -> None:
        """As the exporter of Node.js sends what it compresses."""
        plain = make_request("a" * 100).SerializeToString()
        client.connection.request("POST", "/v1/traces", iter([plain[:50], plain[50:]]), PROTOBUF, encode_chunked=True)
        assert client.connection.getresponse().read() == b""
        assert listening.names() == ["a" * 100]

    def test_empty_request(self, client: Client) -> None:
        assert client.send(b"", PROTOBUF)[0] == 200
        assert client.send(b"{}", JSON)[0] == 200

    @pytest.mark.parametrize("path", ["/v1/metrics", "/v1/logs"])
    def test_other_signals(self, client: Client, listening: Any, path: str) -> None:
        assert client.send(b"\x0a\x00", PROTOBUF, path)[0] == 200
        status, _, body = client.send(b'{"resourceLogs": []}', JSON, path)
        assert (status, body) == (200, b"{}")
        assert listening.names() == []

    def test_invalid_ids(self, client: Client, make_request: MakeRequest) -> None:
        """What is dropped is told, as a partial success."""
        _, _, body = client.send(make_request("a", trace_id=b"short").SerializeToString(), PROTOBUF)
        assert ExportTraceServiceResponse.FromString(body).partial_success.rejected_spans == 1
        _, _, body = client.send(json.dumps(DOCUMENT).replace("01" * 16, "0101"), JSON)
        assert json.loads(body)["partialSuccess"]["rejectedSpans"] == "1"


class TestRefused:
    """Every refusal leaves the connection as good as before: each test goes on with a valid export."""

    @pytest.fixture(autouse=True)
    def _still_serves(self, client: Client, listening: Any, make_request: MakeRequest) -> Iterator[None]:
        yield
        assert client.send(make_request("after").SerializeToString(), PROTOBUF)[0] == 200
        assert listening.names() == ["after"]

    def test_malformed_protobuf(self, client: Client) -> None:
        """400 with a google.rpc.Status."""
        status, response, body = client.send(b"\xff\xff", PROTOBUF)
        assert (status, response.headers["Content-Type"]) == (400, "application/x-protobuf")
        assert Status.FromString(body).code == 3
        assert "not an OTLP protobuf message" in Status.FromString(body).message

    def test_malformed_json(self, client: Client) -> None:
        status, response, body = client.send(b"{", JSON)
        assert (status, response.headers["Content-Type"]) == (400, "application/json")
        assert json.loads(body)["code"] == 3
        assert "not OTLP/JSON" in json.loads(body)["message"]

    def test_damaged_gzip(self, client: Client) -> None:
        assert client.send(b"no gzip", {**PROTOBUF, "Content-Encoding": "gzip"})[0] == 400

    def test_bomb(self, client: Client) -> None:
        bomb = gzip.compress(bytes(65 << 20))
        assert client.send(bomb, {**PROTOBUF, "Content-Encoding": "gzip"})[0] == 413

    def test_too_large(self, client: Client) -> None:
        assert client.send(bytes(65 << 20), PROTOBUF)[0] == 413

    def test_other_path(self, client: Client) -> None:
        assert client.send(b"x", PROTOBUF, "/v1/trace")[0] == 404
        assert client.send(method="GET", path="/")[0] == 404

    @pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"])
    def test_other_method(self, client: Client, method: str) -> None:
        status, response, _ = client.send(method=method)
        assert (status, response.headers["Allow"]) == (405, "POST")

    @pytest.mark.parametrize("headers", [{}, {"Content-Type": "text/plain"}, {**PROTOBUF, "Content-Encoding": "br"}])
    def test_other_content(self, client: Client, headers: dict[str, str]) -> None:
        assert client.send(b"x", headers)[0] == 415

    def test_no_length(self, client: Client) -> None:
        client.connection.putrequest("POST", "/v1/traces")
        client.connection.putheader(*next(iter(PROTOBUF.items())))
        client.connection.endheaders()
        response = client.connection.getresponse()
        assert response.status == 411
        response.read()

    @settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(body=st.binary(max_size=300), as_json=st.booleans())
    def test_noise(self, client: Client, listening: Any, body: bytes, *, as_json: bool) -> None:
        """Random bytes are a message or 400."""
        try:
            ExportTraceServiceRequest.FromString(body)
            expected = {200}
        except Exception:  # noqa: BLE001 -- whatever the parser calls it
            expected = {400}
        if as_json:
            expected = {200, 400}
        assert client.send(body, JSON if as_json else PROTOBUF)[0] in expected
        listening.names()


@pytest.mark.parametrize(
    "noise",
    [b"\x16\x03\x01\x02\x00", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\r\n" * 50, b"POST\r\n\r\n", b"A" * 70_000],
)
def test_no_http_at_all(listening: Any, client: Client, make_request: MakeRequest, noise: bytes) -> None:
    """TLS, HTTP/2 and rubbish on this port harm nobody."""
    host, port = listening.http.split(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(noise)
        with suppress(OSError):  # it may have been closed on the noise already
            connection.shutdown(socket.SHUT_WR)
            connection.recv(10_000)
    assert client.send(make_request("after").SerializeToString(), PROTOBUF)[0] == 200
    assert listening.names() == ["after"]


class TestHangingClients:
    @pytest.fixture
    def small(self, listen: Callable[..., AbstractContextManager[Any]]) -> Iterator[str]:
        """Room for two connections, for half a second each."""
        with listen(max_connections=2, request_seconds=0.5, idle_seconds=0.5) as made:
            yield made.http

    def test_room_is_made(self, small: str, make_request: MakeRequest, caplog: pytest.LogCaptureFixture) -> None:
        """The third is served at once, the one that has hung for longest goes, and nobody says a word about it."""
        host, port = small.split(":")
        address = (host, int(port))
        with (
            socket.create_connection(address, timeout=20) as silent,
            socket.create_connection(address, timeout=20) as slow,
        ):
            slow.sendall(b"POST /v1/traces HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nabc")
            client = Client(small)
            assert client.send(make_request("a").SerializeToString(), PROTOBUF)[0] == 200
            assert silent.recv(100) == b""
            assert slow.recv(100) == b""  # at its deadline
            assert Client(small).send(make_request("b").SerializeToString(), PROTOBUF)[0] == 200
            assert not caplog.records
            client.connection.close()

    def test_idle_ends(self, small: str, make_request: MakeRequest) -> None:
        client = Client(small)
        client.send(b"", PROTOBUF)
        assert client.connection.sock.recv(100) == b""
        client.connection.close()
