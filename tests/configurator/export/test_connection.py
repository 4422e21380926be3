"""Connections: TLS with its files, proxies, and addresses that do not answer."""

from __future__ import annotations

import socket
import ssl
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from peers import Deadline, Http2, Peer, hang, payload, read_http

from tracebaton_configurator.export.connection import Connection
from tracebaton_configurator.export.export_result import ExportResult, Outcome
from tracebaton_configurator.export.grpc_client import GrpcClient
from tracebaton_configurator.export.http_client import HttpClient
from tracebaton_configurator.settings.endpoint import Endpoint

if TYPE_CHECKING:
    from pathlib import Path

DELIVERED = ExportResult(Outcome.DELIVERED)
TAKEN = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
BOTH = pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])


class Certificates:
    """An authority, and what it has signed: for the server at 127.0.0.1 and for a client. PEM files."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        # As private authorities are made in a hurry: without the extensions that X.509's strict reading asks for.
        (directory / "openssl.cnf").write_text("[req]\ndistinguished_name=dn\nprompt=no\n[dn]\nCN=test\n")
        self.authority = self._file("ca.pem")
        self._openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test authority",
                      "-keyout", self._file("ca.key"), "-out", self.authority,
                      "-addext", "basicConstraints=critical,CA:TRUE")  # fmt: skip
        self.server, self.server_key = self._signed("server", "subjectAltName=IP:127.0.0.1")
        self.client, self.client_key = self._signed("client", "extendedKeyUsage=clientAuth")
        self.locked_key = self._file("locked.key")
        self._openssl("rsa", "-aes256", "-passout", "pass:secret", "-in", self.client_key, "-out", self.locked_key)

    def context(self, protocol: str, *, of_clients: bool = False) -> ssl.SSLContext:
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.load_cert_chain(self.server, self.server_key)
        made.set_alpn_protocols(["h2" if protocol == "grpc" else "http/1.1"])
        if of_clients:
            made.verify_mode = ssl.CERT_REQUIRED
            made.load_verify_locations(self.authority)
        return made

    def _signed(self, name: str, extension: str) -> tuple[str, str]:
        key, request, certificate = (self._file(f"{name}.{kind}") for kind in ("key", "csr", "pem"))
        (self._directory / f"{name}.ext").write_text(extension)
        self._openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-keyout", key, "-out", request)
        self._openssl("x509", "-req", "-in", request, "-CA", self.authority, "-CAkey", self._file("ca.key"),
                      "-CAcreateserial", "-days", "2", "-extfile", self._file(f"{name}.ext"),
                      "-out", certificate)  # fmt: skip
        return certificate, key

    def _file(self, name: str) -> str:
        return str(self._directory / name)

    def _openssl(self, command: str, *arguments: str) -> None:
        environ = {"OPENSSL_CONF": self._file("openssl.cnf"), "PATH": "/usr/bin:/bin:/usr/local/bin"}
        subprocess.run(["openssl", command, *arguments], check=True, capture_output=True, env=environ, timeout=60)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


def take_one(protocol: str, connection: socket.socket) -> None:
    """Take every request on the connection, in either protocol."""
    if protocol == "grpc":
        Http2(connection).serve()
    while True:
        read_http(connection)
        connection.sendall(TAKEN)


def receiver(protocol: str, tls: ssl.SSLContext | None = None) -> Peer:
    return Peer(lambda connection, _: take_one(protocol, connection), tls=tls)


def send(url: str, protocol: str, message: bytes | None = None, seconds: float = 10, **more: Any) -> ExportResult:
    client = (GrpcClient if protocol == "grpc" else HttpClient)(Endpoint(url, protocol, **more))
    return client.send(message or payload(), Deadline(seconds))


@BOTH
class TestTls:
    def test_with_a_private_authority(self, certificates: Certificates, protocol: str) -> None:
        with receiver(protocol, certificates.context(protocol)) as peer:
            tls = (certificates.authority, None, None)
            assert send(peer.url, protocol, payload(1, 1, 3_000_000), tls=tls) == DELIVERED

    def test_of_an_authority_that_is_not_trusted_is_refused(self, certificates: Certificates, protocol: str) -> None:
        with receiver(protocol, certificates.context(protocol)) as peer:
            result = send(peer.url, protocol)
            assert result.outcome is Outcome.RETRY
            assert "certificate verify failed" in result.reason

    def test_for_another_name_is_refused(self, certificates: Certificates, protocol: str) -> None:
        with receiver(protocol, certificates.context(protocol)) as peer:
            url = peer.url.replace("127.0.0.1", "localhost")
            result = send(url, protocol, tls=(certificates.authority, None, None))
            assert result.outcome is Outcome.RETRY
            assert "localhost" in result.reason

    def test_with_a_client_certificate(self, certificates: Certificates, protocol: str) -> None:
        with receiver(protocol, certificates.context(protocol, of_clients=True)) as peer:
            trusted = certificates.authority
            known = (trusted, certificates.client_key, certificates.client)
            assert send(peer.url, protocol, tls=known) == DELIVERED
            assert send(peer.url, protocol, tls=(trusted, None, None)).outcome is Outcome.RETRY

    def test_a_key_with_a_password_does_not_wait_for_one(self, certificates: Certificates, protocol: str) -> None:
        with receiver(protocol, certificates.context(protocol)) as peer:
            tls = (certificates.authority, certificates.locked_key, certificates.client)
            result = send(peer.url, protocol, tls=tls)
            assert result.outcome is Outcome.RETRY
            assert certificates.locked_key in result.reason

    def test_a_file_that_is_not_there_is_named(self, certificates: Certificates, protocol: str) -> None:
        with receiver(protocol, certificates.context(protocol)) as peer:
            for tls in (("/nowhere/ca.pem", None, None), (None, None, "/nowhere/client.pem")):
                result = send(peer.url, protocol, tls=tls)
                assert result.outcome is Outcome.RETRY
                assert "/nowhere/" in result.reason

    def test_a_server_without_it(self, certificates: Certificates, protocol: str) -> None:
        with receiver("http/protobuf") as peer:
            url = peer.url.replace("http:", "https:")
            assert send(url, protocol, seconds=1, tls=(certificates.authority, None, None)).outcome is Outcome.RETRY


class Proxy(Peer):
    """A forward proxy: tunnels for CONNECT, and answers plain requests itself. Remembers the heads of requests."""

    def __init__(self, refusal: bytes = b"") -> None:
        self.heads: list[bytes] = []
        self._refusal = refusal
        super().__init__(self._handle)

    def _handle(self, connection: socket.socket, _: int) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            byte = connection.recv(1)
            if not byte:
                return
            head += byte
        self.heads.append(head)
        if self._refusal:
            connection.sendall(self._refusal)
            return
        if not head.startswith(b"CONNECT"):
            connection.sendall(TAKEN)
            hang(connection, 0)
        host, port = head.split()[1].decode().rsplit(":", 1)
        with socket.create_connection((host, int(port))) as onward:
            # The beginning of what the server says first comes in one piece with the proxy's own answer.
            onward.settimeout(0.3)
            try:
                first = onward.recv(65536)
            except TimeoutError:
                first = b""
            onward.settimeout(None)
            connection.sendall(b"HTTP/1.1 200 Connection established\r\nVia: test\r\n\r\n" + first[:5])
            connection.sendall(first[5:])
            self._pipe(connection, onward)

    @staticmethod
    def _pipe(client: socket.socket, server: socket.socket) -> None:
        import select

        while True:
            for one in select.select([client, server], [], [], 10)[0]:
                data = one.recv(65536)
                if not data:
                    return
                (server if one is client else client).sendall(data)


class TestProxies:
    def test_grpc_goes_through_a_tunnel(self) -> None:
        with receiver("grpc") as peer, Proxy() as proxy:
            at = proxy.url.replace("//", "//user:p%40ss@")
            assert send(peer.url, "grpc", payload(1, 1, 200_000), proxy=at) == DELIVERED
            (head,) = proxy.heads
        assert head.startswith(f"CONNECT 127.0.0.1:{peer.port} HTTP/1.1\r\n".encode())
        assert b"Proxy-Authorization: Basic dXNlcjpwQHNz\r\n" in head

    @BOTH
    def test_tls_goes_through_a_tunnel(self, certificates: Certificates, protocol: str) -> None:
        with receiver(protocol, certificates.context(protocol)) as peer, Proxy() as proxy:
            assert send(peer.url, protocol, proxy=proxy.url, tls=(certificates.authority, None, None)) == DELIVERED
            assert proxy.heads[0].startswith(b"CONNECT ")

    def test_plain_http_is_asked_of_the_proxy(self) -> None:
        with Proxy() as proxy:
            at = proxy.url.replace("//", "//user:secret@")
            assert send("http://collector.example:4318/v1/traces", "http/protobuf", proxy=at) == DELIVERED
            (head,) = proxy.heads
        assert head.startswith(b"POST http://collector.example:4318/v1/traces HTTP/1.1\r\n")
        assert b"proxy-authorization: basic " in head.lower()

    def test_one_that_refuses_is_quoted(self) -> None:
        with Proxy(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n") as proxy:
            result = send("http://collector.example:4317", "grpc", proxy=proxy.url)
        assert result == ExportResult(Outcome.RETRY, "the proxy refused: HTTP/1.1 407 Proxy Authentication Required")

    @pytest.mark.parametrize("answer", [b"x" * 100_000, b"hello\r\n\r\n", b"HTTP/1.1 200"])
    def test_one_that_is_none(self, answer: bytes) -> None:
        with Proxy(answer) as proxy:
            result = send("http://collector.example:4317", "grpc", proxy=proxy.url)
        assert result.outcome is Outcome.RETRY
        assert result.reason

    def test_one_that_hangs(self) -> None:
        with Peer(hang) as proxy:
            result = send("http://collector.example:4317", "grpc", seconds=0.3, proxy=proxy.url)
        assert result == ExportResult(Outcome.RETRY, "no answer in time")


class TestAddresses:
    """A name with several: some do not answer, and this system does not know others."""

    @staticmethod
    def resolve(monkeypatch: pytest.MonkeyPatch, *addresses: tuple[int, tuple[str, int]]) -> None:
        known = [(family, socket.SOCK_STREAM, 6, "", address) for family, address in addresses]
        monkeypatch.setattr("_socket.getaddrinfo", lambda *_, **__: known)

    def test_one_that_swallows_everything_leaves_time_for_the_next(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from fault_kinds import Blackholed
        from fault_receiver import FaultyReceiver

        with FaultyReceiver("grpc") as hole, receiver("grpc") as peer:
            hole.fault = Blackholed()
            gone = int(hole.endpoint.rsplit(":", 1)[1])
            self.resolve(monkeypatch, (socket.AF_INET, ("127.0.0.1", gone)), (socket.AF_INET, ("127.0.0.1", peer.port)))
            assert send("http://collector:4317", "grpc", seconds=2) == DELIVERED

    def test_a_family_that_this_system_does_not_have_is_passed_over(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with receiver("grpc") as peer:
            unknown = socket.AF_APPLETALK if hasattr(socket, "AF_APPLETALK") else 5
            self.resolve(monkeypatch, (unknown, ("::1", 1)), (socket.AF_INET, ("127.0.0.1", peer.port)))
            assert send("http://collector:4317", "grpc") == DELIVERED

    def test_none_answers(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.resolve(monkeypatch, (socket.AF_INET, ("127.0.0.1", 1)), (socket.AF_INET, ("127.0.0.1", 1)))
        with pytest.raises(ConnectionRefusedError):
            Connection.connect("collector", 1, Deadline(5))
        self.resolve(monkeypatch)
        with pytest.raises(OSError, match="collector has no address"):
            Connection.connect("collector", 1, Deadline(5))
