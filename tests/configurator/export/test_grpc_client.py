"""One unary call over HTTP/2, whatever the other side makes of it."""

from __future__ import annotations

import socket
import struct
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from fault_kinds import Blackholed, CutResponse, GrpcStatus, Healthy, TooLarge
from fault_receiver import FaultyReceiver
from h2.errors import ErrorCodes
from h2.events import DataReceived, PingAckReceived, RequestReceived, StreamEnded
from h2.settings import SettingCodes
from hyperframe.frame import DataFrame, GoAwayFrame
from peers import Deadline, Http2, Peer, hang, payload, span_ids

from tracebaton_configurator.export.export_result import ExportResult, Outcome
from tracebaton_configurator.export.grpc_client import GrpcClient
from tracebaton_configurator.settings.endpoint import Endpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DELIVERED = ExportResult(Outcome.DELIVERED)


@pytest.fixture
def receiver() -> Iterator[FaultyReceiver]:
    with FaultyReceiver("grpc") as made:
        yield made


def client_of(url: str, **more: Any) -> GrpcClient:
    return GrpcClient(Endpoint(url, "grpc", **more))


def call(url: str, message: bytes | None = None, seconds: float = 10) -> ExportResult:
    return client_of(url).send(message or payload(), Deadline(seconds))


def served(script: Callable[[Http2, int], None], settings: dict[Any, int] | None = None) -> Peer:
    """A peer of which every connection speaks HTTP/2."""
    return Peer(lambda connection, number: script(Http2(connection, settings), number))


class TestARealServer:
    """grpcio's."""

    @pytest.mark.parametrize("compression", ["none", "gzip"])
    @pytest.mark.parametrize("size", [10, 70_000, 5_000_000])
    def test_takes_messages_of_any_size(self, receiver: FaultyReceiver, size: int, compression: str) -> None:
        client = client_of(receiver.endpoint, compression=compression)
        for first in (1, 2):
            assert client.send(payload(1, first, size), Deadline(20)) == DELIVERED
        assert sorted(span.span_id for span in receiver.spans()) == [f"{number:016x}" for number in (1, 2)]

    def test_says_when_to_come_back(self, receiver: FaultyReceiver) -> None:
        receiver.fault = GrpcStatus("UNAVAILABLE", retry_after=1.5)
        assert call(receiver.endpoint) == ExportResult(Outcome.RETRY, "UNAVAILABLE: a fault was injected", 1.5)

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

    def test_sees_many_calls_and_the_connection_is_renewed(
        self, receiver: FaultyReceiver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("tracebaton_configurator.export.grpc_client._MOST_CALLS", 3)
        client = client_of(receiver.endpoint)
        assert [client.send(payload(1, number), Deadline(10)) for number in range(1, 9)] == [DELIVERED] * 8
        assert receiver.duplicates == 0


class TestAnswers:
    def test_trailers_only(self) -> None:
        head = [("grpc-status", "3"), ("grpc-message", "a%20b")]

        def script(http2: Http2, _: int) -> None:
            http2.answer_at_once(http2.request(), head)
            hang(http2.socket, 0)

        with served(script) as peer:
            assert call(peer.url) == ExportResult(Outcome.REFUSED, "INVALID_ARGUMENT: a b")

    def test_before_everything_was_sent(self) -> None:
        """The window is never opened: only an answer that is heard meanwhile ends the call."""

        def script(http2: Http2, _: int) -> None:
            stream = http2.until(DataReceived, windows=False).stream_id
            message = "grpc: received message larger than max (200000 vs. 1000)"
            http2.answer_at_once(stream, [("grpc-status", "8"), ("grpc-message", message)])
            hang(http2.socket, 0)

        with served(script) as peer:
            client = client_of(peer.url)
            for calls in (1, 2):
                assert client.send(payload(1, 1, 200_000), Deadline(10)).outcome is Outcome.SPLIT
                assert peer.accepted == calls  # half of a call is no state to go on from

    def test_and_a_connection_that_is_reset_behind_it(self) -> None:
        """The batch has been taken: sent again, it would be there twice."""
        taken = []

        def script(http2: Http2, _: int) -> None:
            stream = http2.request()
            taken.append(stream)
            http2.http2.ping(b"12345678")
            http2.answer(stream)
            http2.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

        with served(script) as peer:
            client = client_of(peer.url)
            replies = [client.send(payload(), Deadline(10)) for _ in range(5)]
        # The answer itself may be lost with the reset, and is not known then.
        assert replies.count(DELIVERED) == len(taken) - sum(result.outcome is Outcome.RETRY for result in replies)

    def test_an_answer_and_garbage_behind_it(self) -> None:
        def script(http2: Http2, _: int) -> None:
            stream = http2.request()
            http2.http2.send_headers(stream, [(":status", "200"), ("grpc-status", "0")], end_stream=True)
            http2.socket.sendall(http2.http2.data_to_send() + b"garbage, and a lot of it")
            hang(http2.socket, 0)

        with served(script) as peer:
            client = client_of(peer.url)
            assert client.send(payload(), Deadline(10)) == DELIVERED
            assert client.send(payload(), Deadline(10)) == DELIVERED
            assert peer.accepted == 2

    def test_headers_in_several_frames_and_padding(self) -> None:
        def script(http2: Http2, _: int) -> None:
            stream = http2.request()
            long = [("x-long", "y" * 40_000)]  # more than a frame: CONTINUATION
            http2.http2.send_headers(stream, [(":status", "200"), ("content-type", "application/grpc"), *long])
            http2.http2.send_data(stream, b"\0\0\0\0\0", pad_length=200)
            http2.http2.send_headers(stream, [("grpc-status", "0")], end_stream=True)
            http2.flush()
            hang(http2.socket, 0)

        with served(script) as peer:
            assert call(peer.url) == DELIVERED

    def test_one_byte_at_a_time(self) -> None:
        def script(http2: Http2, _: int) -> None:
            stream = http2.request()
            http2.http2.send_headers(stream, [(":status", "200"), ("grpc-status", "14")], end_stream=True)
            for byte in http2.http2.data_to_send():
                http2.socket.sendall(bytes((byte,)))
            hang(http2.socket, 0)

        with served(script) as peer:
            assert call(peer.url).reason == "UNAVAILABLE"

    def test_that_are_not_utf_8_or_no_number(self) -> None:
        def script(http2: Http2, _: int) -> None:
            stream = http2.request()
            head: Any = [(b":status", b"200"), (b"grpc-status", "²".encode()), (b"grpc-message", b"\xff\xfe!")]
            http2.http2.send_headers(stream, head, end_stream=True)
            http2.flush()
            hang(http2.socket, 0)

        with served(script) as peer:
            result = call(peer.url)
            assert result.outcome is Outcome.REFUSED
            assert result.reason.startswith("UNKNOWN: ")

    def test_that_have_no_end_end_with_the_time(self) -> None:
        """The data never stops coming, so nothing is ever waited for."""

        def script(http2: Http2, _: int) -> None:
            stream = http2.request()
            http2.http2.send_headers(stream, [(":status", "200")])
            http2.flush()
            while True:  # empty frames need no window
                http2.socket.sendall(DataFrame(stream).serialize() * 1000)

        with served(script) as peer:
            result = call(peer.url, seconds=0.5)
            assert result.outcome is Outcome.RETRY


class TestFlowControl:
    def test_a_window_that_shrinks_below_zero_and_opens_late(self) -> None:
        """What the client has sent before it hears of the settings is more than they allow."""
        message = payload(1, 1, 300_000)
        got: list[bytes] = []

        def script(http2: Http2, _: int) -> None:
            while len(http2.bodies.get(1, b"")) < 65_535:
                http2.receive(windows=False)
            http2.http2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 1000, SettingCodes.MAX_FRAME_SIZE: 20_000})
            http2.http2.increment_flow_control_window(1_000_000)
            http2.http2.increment_flow_control_window(70_000, 1)
            http2.flush()
            http2.until(DataReceived)
            http2.http2.increment_flow_control_window(1_000_000, 1)
            stream = http2.request()
            got.append(http2.bodies[stream])
            http2.answer(stream)
            hang(http2.socket, 0)

        with served(script) as peer:
            assert call(peer.url, message) == DELIVERED
        assert got[0][5:] == message

    def test_pings_are_answered_meanwhile(self) -> None:
        def script(http2: Http2, _: int) -> None:
            stream = http2.request()
            for number in range(3):
                http2.http2.ping(number.to_bytes(8, "big"))
                http2.flush()
                http2.until(PingAckReceived)
            http2.answer(stream)
            hang(http2.socket, 0)

        with served(script) as peer:
            assert call(peer.url) == DELIVERED

    @pytest.mark.parametrize("most", [1, 2])
    def test_few_streams_at_a_time_are_enough(self, most: int) -> None:
        with served(lambda http2, _: http2.serve(), {SettingCodes.MAX_CONCURRENT_STREAMS: most}) as peer:
            client = client_of(peer.url)
            assert [client.send(payload(), Deadline(10)) for _ in range(4)] == [DELIVERED] * 4
            assert peer.accepted == 1

    def test_no_stream_at_all_is_a_reason_to_try_later(self) -> None:
        def script(http2: Http2, _: int) -> None:
            http2.http2.reset_stream(http2.request(), ErrorCodes.REFUSED_STREAM)
            http2.http2.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: 0})
            http2.flush()
            hang(http2.socket, 0)

        with served(script) as peer:
            client = client_of(peer.url)
            refused = ExportResult(Outcome.RETRY, "the receiver reset the call (REFUSED_STREAM)")
            # The second call finds that no stream may be opened, and tries a new connection.
            assert [client.send(payload(), Deadline(10)) for _ in range(2)] == [refused, refused]


class TestGoingAway:
    """RFC 9113, 6.8: as a Collector does when it is stopped, or when a connection has reached its age."""

    def test_a_call_under_way_is_finished(self) -> None:
        """First without a limit, with a PING to learn that it was heard, as grpc-go does; then with the limit."""

        def script(http2: Http2, number: int) -> None:
            stream = http2.request()
            if number == 0:
                http2.socket.sendall(GoAwayFrame(0, last_stream_id=2**31 - 1, error_code=0).serialize())
                http2.http2.ping(b"goaway!!")
                http2.flush()
                http2.until(PingAckReceived)
                http2.socket.sendall(GoAwayFrame(0, last_stream_id=stream, error_code=0).serialize())
            http2.answer(stream)
            hang(http2.socket, 0)

        with served(script) as peer:
            client = client_of(peer.url)
            assert client.send(payload(), Deadline(10)) == DELIVERED
            assert peer.accepted == 1
            assert client.send(payload(), Deadline(10)) == DELIVERED
            assert peer.accepted == 2

    def test_a_large_message_is_still_sent_to_its_end(self) -> None:
        def script(http2: Http2, _: int) -> None:
            http2.until(DataReceived, windows=False)
            http2.socket.sendall(GoAwayFrame(0, last_stream_id=1, error_code=0).serialize())
            http2.http2.increment_flow_control_window(1_000_000)
            http2.http2.increment_flow_control_window(1_000_000, 1)
            http2.flush()
            http2.answer(http2.request())
            hang(http2.socket, 0)

        with served(script) as peer:
            assert call(peer.url, payload(1, 1, 400_000)) == DELIVERED

    def test_a_call_that_came_too_late_is_made_again(self) -> None:
        def script(http2: Http2, number: int) -> None:
            http2.answer(http2.request())
            if number == 0:
                http2.until(RequestReceived)
                http2.socket.sendall(GoAwayFrame(0, last_stream_id=1, error_code=0).serialize())
            hang(http2.socket, 0)

        with served(script) as peer:
            client = client_of(peer.url)
            assert client.send(payload(), Deadline(10)) == DELIVERED
            assert client.send(payload(), Deadline(10)) == DELIVERED
            assert peer.accepted == 2

    def test_on_a_new_connection_it_waits(self) -> None:
        def script(http2: Http2, _: int) -> None:
            http2.request()
            http2.socket.sendall(GoAwayFrame(0, last_stream_id=0, error_code=11).serialize())
            hang(http2.socket, 0)

        with served(script) as peer:
            result = call(peer.url)
            assert result == ExportResult(Outcome.RETRY, "the receiver ended the connection (ENHANCE_YOUR_CALM)")
            assert peer.accepted == 1

    def test_an_idle_connection_that_was_closed_is_replaced(self) -> None:
        def script(http2: Http2, _: int) -> None:
            http2.answer(http2.request())
            http2.socket.shutdown(socket.SHUT_WR)
            hang(http2.socket, 0)

        with served(script) as peer:
            client = client_of(peer.url)
            assert [client.send(payload(), Deadline(10)) for _ in range(3)] == [DELIVERED] * 3
            assert peer.accepted == 3

    def test_a_reset_call_is_made_again_later(self) -> None:
        def script(http2: Http2, _: int) -> None:
            http2.http2.reset_stream(http2.request(), ErrorCodes.CANCEL)
            http2.flush()
            http2.serve()

        with served(script) as peer:
            client = client_of(peer.url)
            assert client.send(payload(), Deadline(10)) == ExportResult(
                Outcome.RETRY, "the receiver reset the call (CANCEL)"
            )
            assert client.send(payload(), Deadline(10)) == DELIVERED
            assert peer.accepted == 1


class TestStrangers:
    def test_http_1(self) -> None:
        def script(connection: socket.socket, _: int) -> None:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\nnot here")
            hang(connection, 0)

        with Peer(script) as peer:
            result = call(peer.url)
            assert result.outcome is Outcome.RETRY
            assert "does not speak gRPC" in result.reason

    def test_one_that_closes_without_a_word(self) -> None:
        with Peer(lambda connection, _: None) as peer:
            result = call(peer.url)
            assert result.outcome is Outcome.RETRY

    def test_a_name_that_nobody_has(self) -> None:
        for host in ("nobody.invalid", "a" * 70, "a..b"):
            result = call(f"http://{host}:4317", seconds=10)
            assert result.outcome is Outcome.RETRY
            assert result.reason

    def test_ipv6(self) -> None:
        try:
            peer = served(lambda http2, _: http2.serve()) if not socket.has_ipv6 else _ipv6()
        except OSError:
            pytest.skip("this machine has no IPv6")
        with peer:
            assert call(peer.url) == DELIVERED


def _ipv6() -> Peer:
    return Peer(lambda connection, _: Http2(connection).serve(), host="::1")


class TestTheEndIsBroughtForward:
    """Another thread says that there is no time left: the call ends, wherever it is."""

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
        def script(http2: Http2, _: int) -> None:
            http2.http2.increment_flow_control_window(2**30)
            http2.flush()
            hang(http2.socket, 0)

        with served(script, {SettingCodes.INITIAL_WINDOW_SIZE: 2**30, SettingCodes.MAX_FRAME_SIZE: 2**23}) as peer:
            self.cut(peer.url, payload(1, 1, 40_000_000))

    def test_no_time_at_all(self, receiver: FaultyReceiver) -> None:
        assert call(receiver.endpoint, seconds=-1) == ExportResult(Outcome.RETRY, "no answer in time")


def test_what_is_asked_for() -> None:
    requests: list[tuple[dict[str, str], bytes]] = []

    def script(http2: Http2, _: int) -> None:
        head = dict(http2.until(RequestReceived).headers)
        stream = http2.until(StreamEnded).stream_id
        requests.append((head, http2.bodies[stream]))
        http2.answer(stream)
        hang(http2.socket, 0)

    with served(script) as peer:
        url = peer.url.replace("//", "//user:p%40ss@")
        client = client_of(url, headers=(("api-key", "kä"),))
        assert client.send(payload(3), Deadline(10)) == DELIVERED
    head, body = requests[0]
    assert head[":path"] == "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
    assert head[":authority"] == peer.url.removeprefix("http://")
    assert (head["te"], head["content-type"], head["api-key"]) == ("trailers", "application/grpc", "kä")
    assert head["authorization"] == "Basic dXNlcjpwQHNz"
    assert 0 < int(head["grpc-timeout"].removesuffix("m")) <= 10_000
    assert body[:5] == b"\0" + (len(body) - 5).to_bytes(4, "big")
    assert span_ids(body[5:]) == [1, 2, 3]


def test_nothing_is_imported_where_a_fork_could_cut_it_in_two(receiver: FaultyReceiver) -> None:
    code = f"""
import sys
from tracebaton_configurator.export import forks
with forks.importing():
    from tracebaton_configurator.export.grpc_client import GrpcClient
    from tracebaton_configurator.export.http_client import HttpClient
    from tracebaton_configurator.settings.endpoint import Endpoint
    clients = [GrpcClient(Endpoint(url, "grpc", "gzip")) for url in ({receiver.endpoint!r}, "http://127.0.0.1:1")]
    clients.append(HttpClient(Endpoint("http://127.0.0.1:1/x", "http/protobuf", "gzip")))
class Witness:
    def find_spec(self, name, *_):
        if not forks._lock._is_owned():
            print("imported:", name)
sys.meta_path.insert(0, Witness())
for client in clients:
    print(client.send(b"", lambda: 10.0).outcome)
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60).stdout
    assert out.split() == ["Outcome.DELIVERED", "Outcome.RETRY", "Outcome.RETRY"]


def test_a_receiver_that_is_slower_than_the_time_says_so() -> None:
    with Peer(hang) as peer:
        begun = time.monotonic()
        assert call(peer.url, seconds=0.3).reason == "no answer in time"
        assert time.monotonic() - begun >= 0.3
