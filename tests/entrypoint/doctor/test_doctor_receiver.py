"""The way to the receiver, with real sockets: our own receiver, and peers that are something else."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from tracebaton.doctor.finding import Status
from tracebaton.doctor.network import GaveUpError, within
from tracebaton.doctor.session import examine
from tracebaton.doctor.situation import Situation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tracebaton.doctor.finding import Finding

HTTP = "http/protobuf"
GRPC = "grpc"


@contextmanager
def peer(answer: bytes, tls: ssl.SSLContext | None = None) -> Iterator[int]:
    """Answers whatever it is sent on each connection with these bytes; yields its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connection = listener.accept()[0]
                    threading.Thread(target=talk, args=(connection,), daemon=True).start()

        def talk(connection: socket.socket) -> None:
            with suppress(OSError), ExitStack() as stack:
                stack.enter_context(connection)
                if tls is not None:
                    connection = stack.enter_context(tls.wrap_socket(connection, server_side=True))
                if connection.recv(65536) and answer:
                    connection.sendall(answer)
                    connection.recv(65536)

        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def receiver(listen: Callable[..., AbstractContextManager[Any]]) -> Iterator[Any]:
    with listen() as made:
        yield made


def ask(endpoint: str, protocol: str = "", **environ: str) -> tuple[list[Finding], Situation]:
    given = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL": protocol, **environ}
    situation = Situation(given, (), "/")
    return [one for one in examine(situation) if one.check == "receiver"], situation


def last(endpoint: str, protocol: str = "", **environ: str) -> Finding:
    return ask(endpoint, protocol, **environ)[0][-1]


def port_of(url: str) -> str:
    return url.rpartition(":")[2]


@pytest.mark.parametrize("protocol", [GRPC, HTTP])
def test_the_test_span_arrives(receiver: Any, protocol: str) -> None:
    port = port_of(receiver.grpc if protocol == GRPC else receiver.http)
    findings, situation = ask(f"http://127.0.0.1:{port}", protocol, OTEL_SERVICE_NAME="shop")
    assert {one.status for one in findings} == {Status.OK}
    assert findings[-1].message == (
        f"the receiver accepted the test span 'tracebaton doctor', trace {situation.trace_id}"
    )
    (span,) = receiver.spans(5)
    assert (span.name, span.service, span.trace_id) == ("tracebaton doctor", "shop", situation.trace_id)


def test_a_unix_socket_is_asked_as_the_application_would(tmp_path: Path) -> None:
    target = f"unix://{tmp_path}/otlp.sock"
    (finding,) = ask(target)[0]
    assert finding.status is Status.ERROR
    assert "UNAVAILABLE" in finding.message
    service = "opentelemetry.proto.collector.trace.v1.TraceService"
    handlers = {"Export": grpc.unary_unary_rpc_method_handler(lambda _, __: b"")}
    server = grpc.server(ThreadPoolExecutor(1))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    server.add_insecure_port(target)
    server.start()
    (finding,) = ask(target)[0]
    server.stop(None).wait(10)
    assert finding.status is Status.OK
    assert "accepted the test span" in finding.message


def test_each_of_several_exporters_is_asked(receiver: Any) -> None:
    findings, _ = ask(f"http://127.0.0.1:{port_of(receiver.grpc)}", OTEL_TRACES_EXPORTER="otlp,otlp_proto_http")
    assert findings[-2].status is Status.OK
    assert "takes spans over grpc and not over http/protobuf, which is the protocol" in findings[-1].message


@pytest.mark.parametrize(
    ("protocol", "said", "remedy"),
    [
        (
            GRPC,
            "takes spans over http/protobuf and not over grpc, which is the protocol",
            "set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf",
        ),
        (
            HTTP,
            "takes spans over grpc and not over http/protobuf, which is the protocol",
            "set OTEL_EXPORTER_OTLP_PROTOCOL=grpc",
        ),
    ],
)
def test_the_other_protocol_is_recognised(receiver: Any, protocol: str, said: str, remedy: str) -> None:
    port = port_of(receiver.http if protocol == GRPC else receiver.grpc)
    finding = last(f"http://127.0.0.1:{port}", protocol)
    assert finding.status is Status.ERROR
    assert said in finding.message
    assert finding.remedy == remedy


def test_nobody_listens() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        finding = last(f"http://127.0.0.1:{held.getsockname()[1]}")
    assert finding.status is Status.ERROR
    assert "refuses connections (Connection refused): nothing listens there" in finding.message
    assert "In a container, localhost is that container itself" in finding.message


def test_packets_are_lost() -> None:
    """A listener whose queue is full, as no firewall is at hand: the kernel drops what arrives."""
    with socket.socket() as full, ExitStack() as stack:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.settimeout(0)
            waiting.connect_ex(full.getsockname())
        finding = last(f"http://127.0.0.1:{full.getsockname()[1]}")
    assert finding.status is Status.ERROR
    assert "does not answer: packets to it are lost" in finding.message


def test_a_name_that_there_is_not() -> None:
    finding = last("http://otel-collector.invalid:4317")
    assert finding.status is Status.ERROR
    assert finding.message.startswith("the name otel-collector.invalid cannot be resolved: ")


def test_a_dns_server_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: over.wait(60))
    finding = last("http://otel-collector:4317")
    over.set()
    assert finding.status is Status.ERROR
    assert "was not resolved within 1.2 s: the DNS server does not answer" in finding.message


def test_what_takes_too_long_is_given_up() -> None:
    over = threading.Event()
    with pytest.raises(GaveUpError):
        within(0.01, lambda: over.wait(60))
    over.set()


@pytest.mark.parametrize("protocol", [GRPC, HTTP])
@pytest.mark.parametrize("answer", [b"", b"220 mail.example.com ESMTP\r\n", b"\x00" * 40])
def test_something_else_listens(protocol: str, answer: bytes) -> None:
    with peer(answer) as port:
        finding = last(f"http://127.0.0.1:{port}", protocol)
    assert finding.status is Status.ERROR
    assert finding.message.startswith(("the test span was not accepted: ", "the receiver did not answer in time"))


@pytest.mark.parametrize(
    ("status", "remedy"),
    [("401 Unauthorized", "the receiver wants credentials"), ("404 Not Found", "the path is wrong"), ("500 Oh", "ask")],
)
def test_a_receiver_that_refuses(status: str, remedy: str) -> None:
    with peer(f"HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n".encode()) as port:
        finding = last(f"http://127.0.0.1:{port}", HTTP)
    assert finding.message == f"the test span was not accepted: HTTP status {status[:3]}"
    assert finding.remedy.startswith(remedy)


def test_plaintext_behind_https(receiver: Any) -> None:
    port = port_of(receiver.http)
    finding = last(f"https://127.0.0.1:{port}", HTTP)
    assert finding.status is Status.ERROR
    assert "does not speak TLS, and the endpoint is https://" in finding.message
    assert finding.remedy == f"write http://127.0.0.1:{port}"


CA = """[ca]
default_ca=own
[own]
database={directory}/index
new_certs_dir={directory}
default_md=sha256
policy=any
rand_serial=yes
[any]
commonName=supplied
[req]
distinguished_name=dn
prompt=no
[dn]
CN=test
[server]
basicConstraints=critical,CA:TRUE
subjectAltName={name}
"""


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., tuple[ssl.SSLContext, str]]:
    """What a server with a certificate of its own signature needs, and the certificate's file."""

    def make(name: str = "IP:127.0.0.1", *, expired: bool = False) -> tuple[ssl.SSLContext, str]:
        directory: Path = tmp_path_factory.mktemp("certificate")
        (directory / "index").write_text("")
        (directory / "cnf").write_text(CA.format(directory=directory, name=name))
        (directory / "index.attr").write_text("unique_subject=no")
        key, request, file = (str(directory / one) for one in ("key", "csr", "pem"))
        environ = {"OPENSSL_CONF": str(directory / "cnf"), "PATH": "/usr/bin:/bin:/usr/local/bin"}
        end = "20200102000000Z" if expired else "20491231000000Z"
        for command in (
            ["req", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", request],
            ["ca", "-selfsign", "-batch", "-notext", "-extensions", "server", "-keyfile", key, "-in", request,
             "-startdate", "20200101000000Z", "-enddate", end, "-out", file],
        ):  # fmt: skip
            subprocess.run(["openssl", *command], check=True, capture_output=True, env=environ, timeout=60)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file, key)
        return context, file

    return make


class TestTls:
    @pytest.mark.parametrize(
        ("name", "expired", "trusted", "said"),
        [
            ("IP:127.0.0.1", False, False, "is signed by itself, and nobody here trusts it"),
            ("DNS:other.example", False, True, "is for another address"),
            ("IP:127.0.0.1", True, True, "has expired"),
        ],
    )
    def test_certificates_in_words(
        self, serve: Callable[..., tuple[ssl.SSLContext, str]], name: str, *, expired: bool, trusted: bool, said: str
    ) -> None:
        context, file = serve(name, expired=expired)
        with peer(b"", context) as port:
            environ = {"OTEL_EXPORTER_OTLP_CERTIFICATE": file} if trusted else {}
            finding = last(f"https://127.0.0.1:{port}", HTTP, **environ)
        assert finding.status is Status.ERROR
        assert finding.message == f"the certificate of 127.0.0.1 {said}"

    def test_a_trusted_one(self, serve: Callable[..., tuple[ssl.SSLContext, str]]) -> None:
        context, file = serve()
        with peer(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", context) as port:
            findings, _ = ask(f"https://127.0.0.1:{port}", HTTP, OTEL_EXPORTER_OTLP_CERTIFICATE=file)
        assert {one.status for one in findings} == {Status.OK}
        assert "TLS: the certificate of 127.0.0.1 is trusted" in [one.message for one in findings]

    @pytest.mark.parametrize("protocol", [GRPC, HTTP])
    def test_tls_behind_http(self, serve: Callable[..., tuple[ssl.SSLContext, str]], protocol: str) -> None:
        with peer(b"", serve()[0]) as port:
            finding = last(f"http://127.0.0.1:{port}", protocol)
        assert finding.message == f"port {port} of 127.0.0.1 speaks TLS, and the endpoint is http://"
        assert finding.remedy == f"write https://127.0.0.1:{port}"

    @pytest.mark.parametrize("name", ["CERTIFICATE", "CLIENT_KEY", "CLIENT_CERTIFICATE"])
    def test_a_file_that_is_not_there(self, name: str) -> None:
        with peer(b"") as port:
            finding = last(f"https://127.0.0.1:{port}", HTTP, **{f"OTEL_EXPORTER_OTLP_{name}": "/not/there.pem"})
        assert finding.message == f"the file of OTEL_EXPORTER_OTLP_{name} cannot be read: No such file or directory"

    def test_a_file_that_is_no_certificate(self, tmp_path: Path) -> None:
        (tmp_path / "ca.pem").write_text("nonsense")
        with peer(b"") as port:
            given = {"OTEL_EXPORTER_OTLP_CERTIFICATE": str(tmp_path / "ca.pem")}
            finding = last(f"https://127.0.0.1:{port}", HTTP, **given)
        assert finding.status is Status.ERROR
        assert "TLS failed: " in finding.message


@pytest.mark.parametrize(
    ("endpoint", "protocol", "said"),
    [
        ("http://c.invalid:4318", GRPC, "the protocol is grpc, and port 4318 is by convention that of http/protobuf"),
        ("http://c.invalid:4317", HTTP, "the protocol is http/protobuf, and port 4317 is by convention that of grpc"),
        ("http://c.invalid:4318/v1/traces", HTTP, "/v1/traces is twice in the path"),
        ("http://c.invalid:4317/v1/traces", GRPC, "gRPC has no paths"),
        ("http://c.invalid", GRPC, "the endpoint has no port: 4317 is taken"),
        ("https://c.invalid", HTTP, "the endpoint has no port: 443 is taken"),
    ],
)
def test_conventions_are_told_before_anybody_is_asked(endpoint: str, protocol: str, said: str) -> None:
    first = ask(endpoint, protocol)[0][0]
    assert first.status is Status.WARNING
    assert first.message.startswith(said)


def test_through_a_proxy() -> None:
    """What the proxy says is all there is to know."""
    with peer(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n") as port:
        environ = {"http_proxy": f"http://user:very-secret@127.0.0.1:{port}"}
        findings, _ = ask("http://collector.example:4318", HTTP, **environ)
    assert findings[0].message == f"exports go through the proxy 127.0.0.1:{port} that the environment names"
    assert findings[-1].status is Status.ERROR
    assert "very-secret" not in str(findings)


@pytest.mark.parametrize(
    ("environ", "reason"),
    [
        ({"OTEL_SDK_DISABLED": "true"}, "OTEL_SDK_DISABLED=true"),
        ({"OTEL_TRACES_EXPORTER": "console"}, "no exporter for traces sends over OTLP"),
    ],
)
def test_nobody_is_asked_where_nothing_is_sent(environ: dict[str, str], reason: str) -> None:
    finding = last("http://otel-collector.invalid:4317", **environ)
    assert (finding.status, finding.message) == (Status.OK, f"not asked, as {reason}")
