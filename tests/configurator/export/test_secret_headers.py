"""Nothing that is said about delivery quotes a header, a password or a key that was set."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Any

import pytest
from peers import Deadline, Http2, Peer, hang, payload

from tracebaton_configurator.export.grpc_client import GrpcClient
from tracebaton_configurator.export.http_client import HttpClient
from tracebaton_configurator.settings.endpoint import Endpoint

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

TOKEN = "s3cret-t0ken"  # noqa: S105


def said_by(client: Any, seconds: float = 10) -> str:
    try:
        return str(client.send(payload(), Deadline(seconds)).reason)
    finally:
        client.close()


@pytest.mark.parametrize("name", ["te", "connection", ":path", "Upper", "bad name", "transfer-encoding"])
def test_a_header_that_h2_refuses(name: str) -> None:
    with Peer(lambda connection, _: hang(connection, 0)) as peer:
        said = said_by(GrpcClient(Endpoint(peer.url, "grpc", headers=((name, TOKEN),))), 0.2)
    assert TOKEN not in said


@pytest.mark.parametrize("name", ["x-key", "host", "content-length", "bad name"])
@pytest.mark.parametrize("value", [f"{TOKEN}\r\nX-Evil: 1", f"{TOKEN}\0", f" {TOKEN}"])
def test_a_header_that_h11_refuses(name: str, value: str) -> None:
    with Peer(lambda connection, _: hang(connection, 0)) as peer:
        said = said_by(HttpClient(Endpoint(f"{peer.url}/v1/traces", "http/protobuf", headers=((name, value),))))
    assert TOKEN not in said
    assert said


def grpc_answering(message: str) -> Callable[[socket.socket, int], None]:
    def script(connection: socket.socket, _: int) -> None:
        http2 = Http2(connection)
        http2.answer_at_once(http2.request(), [("grpc-status", "16"), ("grpc-message", message)])
        hang(connection, 0)

    return script


def http_answering(body: bytes) -> Callable[[socket.socket, int], None]:
    head = b"HTTP/1.1 401 No\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n" % len(body)

    def script(connection: socket.socket, _: int) -> None:
        connection.recv(65536)
        connection.sendall(head + body)
        hang(connection, 0)

    return script


@pytest.mark.parametrize("before", ["", "x" * 284, "x" * 290])
def test_a_receiver_that_repeats_the_token(before: str) -> None:
    """Masked before it is cut, or its beginning would stay."""
    headers = (("authorization", f"Bearer {TOKEN}"),)
    with Peer(grpc_answering(f"{before}no: {TOKEN}%20or Bearer {TOKEN}")) as peer:
        assert "s3c" not in said_by(GrpcClient(Endpoint(peer.url, "grpc", headers=headers)))
    with Peer(http_answering(f"{before}no: {TOKEN} or Bearer {TOKEN}".encode())) as peer:
        assert "s3c" not in said_by(HttpClient(Endpoint(peer.url, "http/protobuf", headers=headers)))


def test_the_rest_of_what_it_says_stays() -> None:
    with Peer(grpc_answering(f"the token {TOKEN} has expired")) as peer:
        said = said_by(GrpcClient(Endpoint(peer.url, "grpc", headers=(("x-key", TOKEN), ("x-debug", "1")))))
    assert said == "UNAUTHENTICATED: the token *** has expired"


def test_credentials_of_the_url_and_of_the_proxy() -> None:
    basic = b64encode(b"me:p@ss-w0rd").decode()

    def script(connection: socket.socket, _: int) -> None:
        connection.recv(65536)
        connection.sendall(f"HTTP/1.1 407 {basic} or p@ss-w0rd or k3y-of-mine\r\n\r\n".encode())

    with Peer(script) as peer:
        proxy = peer.url.replace("//", "//me:p%40ss-w0rd@")
        endpoint = Endpoint("https://collector.example/v1?api_key=k3y-of-mine", "grpc", proxy=proxy)
        said = said_by(GrpcClient(endpoint))
    assert said == "the proxy refused: HTTP/1.1 407 *** or *** or ***"
