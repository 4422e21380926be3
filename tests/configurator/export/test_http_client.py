"""One POST a batch over HTTP/1.1, whatever the other side makes of it."""

from __future__ import annotations

import threading
import zlib
from typing import TYPE_CHECKING, Any

import pytest
from fault_kinds import Blackholed, CutResponse, Healthy, HttpStatus, TooLarge
from fault_receiver import FaultyReceiver
from peers import Deadline, Peer, hang, payload, read_http, span_ids

from tracebaton_configurator.export.export_result import ExportResult, Outcome
from tracebaton_configurator.export.http_client import HttpClient
from tracebaton_configurator.settings.endpoint import Endpoint

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

DELIVERED = ExportResult(Outcome.DELIVERED)
TAKEN = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n"


@pytest.fixture
def receiver() -> Iterator[FaultyReceiver]:
    with FaultyReceiver("http/protobuf") as made:
        yield made


def client_of(url: str, **more: Any) -> HttpClient:
    return HttpClient(Endpoint(f"{url}/v1/traces", "http/protobuf", **more))


def call(url: str, message: bytes | None = None, seconds: float = 10) -> ExportResult:
    return client_of(url).send(message or payload(), Deadline(seconds))


def answering(*answers: bytes, close: bool = False) -> Peer:
    """Answers each request of a connection with the next of them, and the last again and again."""

    def script(connection: socket.socket, _: int) -> None:
        left = list(answers)
        while True:
            read_http(connection)
            connection.sendall(left[0])
            if close:
                return
            left = left[1:] or left

    return Peer(script)


class TestARealServer:
    @pytest.mark.parametrize("compression", ["none", "gzip", "deflate"])
    @pytest.mark.parametrize("size", [10, 5_000_000])
    def test_takes_messages_of_any_size(self, receiver: FaultyReceiver, size: int, compression: str) -> None:
        client = client_of(receiver.endpoint, compression=compression)
        for first in (1, 2):
            assert client.send(payload(1, first, size), Deadline(20)) == DELIVERED
        assert sorted(span.span_id for span in receiver.spans()) == [f"{number:016x}" for number in (1, 2)]

    def test_says_when_to_come_back(self, receiver: FaultyReceiver) -> None:
        receiver.fault = HttpStatus(503, "7")
        assert call(receiver.endpoint) == ExportResult(Outcome.RETRY, "HTTP status 503: a fault was injected", 7.0)

    def test_refuses_what_is_too_large(self, receiver: FaultyReceiver) -> None:
        receiver.fault = TooLarge(1000)
        assert call(receiver.endpoint, payload(1, 1, 2000)).outcome is Outcome.SPLIT

    def test_that_has_died_and_come_back_is_connected_to_again(self, receiver: FaultyReceiver) -> None:
        client = client_of(receiver.endpoint)
        assert client.send(payload(1, 1), Deadline(10)) == DELIVERED
        receiver.fault = CutResponse()
        assert client.send(payload(1, 2), Deadline(10)).outcome is Outcome.RETRY
        receiver.fault = Healthy()
        assert client.send(payload(1, 2), Deadline(10)) == DELIVERED


class TestAnswers:
    @pytest.mark.parametrize(
        ("answer", "result"),
        [
            pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n" + TAKEN, DELIVERED, id="100"),
            pytest.param(
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n\x0a\x00\r\n0\r\nX-Trailer: 1\r\n\r\n",
                DELIVERED,
                id="chunked",
            ),
            pytest.param(b"HTTP/1.1 204 No Content\r\n\r\n", DELIVERED, id="204"),
            pytest.param(
                b"HTTP/1.1 307 Temporary Redirect\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
                ExportResult(Outcome.REFUSED, "HTTP status 307"),
                id="redirect",
            ),
            pytest.param(
                b"HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>",
                ExportResult(Outcome.RETRY, "HTTP status 502"),
                id="proxy",
            ),
        ],
    )
    def test_and_the_connection_goes_on(self, answer: bytes, result: ExportResult) -> None:
        with answering(answer) as peer:
            client = client_of(peer.url)
            assert [client.send(payload(), Deadline(10)) for _ in range(3)] == [result] * 3
            assert peer.accepted == 1

    @pytest.mark.parametrize(
        "answer",
        [
            pytest.param(TAKEN.replace(b"Content-Length", b"Connection: close\r\nContent-Length"), id="close"),
            pytest.param(b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nthanks", id="1.0"),
            pytest.param(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nthanks", id="without a length"),
            pytest.param(TAKEN, id="closed without a word"),
        ],
    )
    def test_that_end_the_connection(self, answer: bytes) -> None:
        with answering(answer, close=True) as peer:
            client = client_of(peer.url)
            assert [client.send(payload(), Deadline(10)) for _ in range(3)] == [DELIVERED] * 3
            assert peer.accepted == 3

    def test_before_the_body_is_read(self) -> None:
        """It answers, closes, and resets what is still being sent."""

        def script(connection: socket.socket, _: int) -> None:
            connection.recv(100)
            connection.sendall(b"HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")

        with Peer(script) as peer:
            assert call(peer.url, payload(1, 1, 20_000_000)) == ExportResult(Outcome.SPLIT, "HTTP status 413")

    def test_and_the_body_is_never_read(self) -> None:
        def script(connection: socket.socket, _: int) -> None:
            connection.recv(100)
            connection.sendall(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n")
            hang(connection, 0)

        with Peer(script) as peer:
            client = client_of(peer.url)
            for calls in (1, 2):
                result = client.send(payload(1, 1, 20_000_000), Deadline(10))
                assert result == ExportResult(Outcome.SPLIT, "HTTP status 413")
                assert peer.accepted == calls  # half of a request is no state to go on from

    def test_that_are_cut(self) -> None:
        with answering(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", close=True) as peer:
            assert call(peer.url).outcome is Outcome.RETRY

    def test_that_are_not_http(self) -> None:
        with answering(
            b"\0\0\6\4\0\0\0\0\0\0\4\0\0\xff\xff\r\n\r\n"
        ) as peer:  # HTTP/2, as where OTLP is spoken over gRPC
            result = call(peer.url)
            assert result.outcome is Outcome.RETRY
            assert "does not speak HTTP/1.1" in result.reason

    def test_that_have_no_end_end_with_the_time(self) -> None:
        def script(connection: socket.socket, _: int) -> None:
            read_http(connection)
            connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            while True:
                connection.sendall(b"1000\r\n" + b"x" * 0x1000 + b"\r\n")

        with Peer(script) as peer:
            assert call(peer.url, seconds=0.5) == ExportResult(Outcome.RETRY, "no answer in time")


class TestIdleConnections:
    def test_one_that_is_closed_as_the_request_arrives_is_replaced(self) -> None:
        """Keep-alive ran out: the server had not yet closed when the client looked, and never answers."""
        requests = []

        def script(connection: socket.socket, number: int) -> None:
            requests.append(read_http(connection))
            connection.sendall(TAKEN)
            if number == 0:
                requests.append(read_http(connection))
                return
            hang(connection, 0)

        with Peer(script) as peer:
            client = client_of(peer.url)
            assert [client.send(payload(), Deadline(10)) for _ in range(2)] == [DELIVERED] * 2
            assert (peer.accepted, len(requests)) == (2, 3)

    def test_one_on_which_somebody_spoke_unasked_is_replaced(self) -> None:
        with answering(TAKEN + b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n") as peer:
            client = client_of(peer.url)
            assert [client.send(payload(), Deadline(10)) for _ in range(3)] == [DELIVERED] * 3
            assert peer.accepted == 3

    def test_a_new_one_that_is_closed_without_an_answer_is_reason_to_wait(self) -> None:
        with Peer(lambda connection, _: None) as peer:
            assert call(peer.url).outcome is Outcome.RETRY
            assert peer.accepted == 1


class TestTheEndIsBroughtForward:
    def cut(self, url: str, message: bytes | None = None) -> None:
        deadline, replies = Deadline(60), []
        thread = threading.Thread(target=lambda: replies.append(client_of(url).send(message or payload(), deadline)))
        thread.start()
        thread.join(0.2)
        assert thread.is_alive()
        deadline.cut()
        thread.join(5)
        assert replies == [ExportResult(Outcome.RETRY, "no answer in time")]

    def test_while_connecting(self, receiver: FaultyReceiver) -> None:
        receiver.fault = Blackholed()
        self.cut(receiver.endpoint)

    def test_while_shaking_hands(self) -> None:
        with Peer(hang) as peer:
            self.cut(peer.url.replace("http:", "https:"))

    def test_while_waiting_for_an_answer(self) -> None:
        with Peer(hang) as peer:
            self.cut(peer.url)

    def test_while_sending(self) -> None:
        with Peer(hang) as peer:
            self.cut(peer.url, payload(1, 1, 40_000_000))


class TestRequests:
    def taken(self, endpoint: Endpoint, message: bytes) -> tuple[bytes, dict[bytes, bytes], bytes]:
        """Request line, headers and body of what arrives at a peer that the endpoint's URL has as `{}`."""
        requests: list[bytes] = []

        def script(connection: socket.socket, _: int) -> None:
            requests.append(read_http(connection))
            connection.sendall(TAKEN)

        with Peer(script) as peer:
            url = endpoint.url.format(peer.port)
            sent = HttpClient(
                Endpoint(url, endpoint.protocol, endpoint.compression, 10.0, endpoint.headers, endpoint.proxy)
            ).send(message, Deadline(10))
            assert sent == DELIVERED
        head, _, body = requests[0].partition(b"\r\n\r\n")
        line, *headers = head.split(b"\r\n")
        return line, dict(header.lower().split(b": ", 1) for header in headers), body

    def test_what_is_asked_for(self) -> None:
        endpoint = Endpoint("http://u:p%40@127.0.0.1:{}/a/b?tenant=c", "http/protobuf", headers=(("api-key", "kä"),))
        line, headers, body = self.taken(endpoint, payload(3))
        assert line == b"POST /a/b?tenant=c HTTP/1.1"
        assert headers[b"content-type"] == b"application/x-protobuf"
        assert headers[b"authorization"] == b"basic dtpwqa=="  # lowered with all others
        assert headers[b"api-key"] == "kä".encode()
        assert span_ids(body) == [1, 2, 3]

    @pytest.mark.parametrize(("compression", "wbits"), [("gzip", 31), ("deflate", 15)])
    def test_compression(self, compression: str, wbits: int) -> None:
        endpoint = Endpoint("http://127.0.0.1:{}/", "http/protobuf", compression)
        _, headers, body = self.taken(endpoint, payload(2))
        assert headers[b"content-encoding"] == compression.encode()
        assert span_ids(zlib.decompress(body, wbits)) == [1, 2]

    def test_a_header_that_http_does_not_allow_is_not_shown(self) -> None:
        with answering(TAKEN) as peer:
            result = client_of(peer.url, headers=(("authorization", "Bearer secret\n"),)).send(payload(), Deadline(10))
        assert result.outcome is Outcome.RETRY
        assert "headers" in result.reason
        assert "secret" not in result.reason

    def test_the_port_of_a_url_without_one_is_the_schemes(self) -> None:
        assert HttpClient(Endpoint("http://c/v1/traces", "http/protobuf"))._address.port == 80
        assert HttpClient(Endpoint("https://c/v1/traces", "http/protobuf"))._address.port == 443
