"""Who answers on a port that does not take a span: recognised by the first bytes of its answer."""

from __future__ import annotations

import ssl
from contextlib import closing
from typing import TYPE_CHECKING

from tracebaton.doctor.network import open_connection
from tracebaton_configurator.export.connection import Tls

if TYPE_CHECKING:
    from tracebaton.doctor.network import Clock
    from tracebaton_configurator.export.address import Address

__all__ = ["what_answers"]

# RFC 9113, 3.4: the preface, and an empty SETTINGS frame. An HTTP/2 server answers with SETTINGS of its own.
_HTTP2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"
_SETTINGS, _GOAWAY = 4, 7
_SECONDS = 0.5


def what_answers(address: Address, protocol: str, tls: Tls, clock: Clock) -> tuple[str, str] | None:
    """What is wrong and what to do, where the peer is recognised as one of another protocol (OSError)."""
    where = f"port {address.port} of {address.host}"
    if address.scheme == "http" and _speaks_tls(address, clock):
        return f"{where} speaks TLS, and the endpoint is http://", f"write https://{address.authority}"
    speaks_http1 = _speaks_http1(address, tls, clock)
    if protocol == "grpc" and speaks_http1:
        likely = f", or the port of gRPC, http://{address.host}:4317" if address.port == 4318 else ""
        return (
            f"{where} speaks HTTP/1.1 and no gRPC, and the protocol is grpc",
            f"set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf{likely}",
        )
    if protocol != "grpc" and not speaks_http1 and _speaks_http2(address, tls, clock):
        likely = f", or the port of HTTP, http://{address.host}:4318" if address.port == 4317 else ""
        return (
            f"{where} speaks HTTP/2, as gRPC does, and no HTTP/1.1, and the protocol is http/protobuf",
            f"set OTEL_EXPORTER_OTLP_PROTOCOL=grpc{likely}",
        )
    return None


def _speaks_http1(address: Address, tls: Tls, clock: Clock) -> bool:
    request = f"GET / HTTP/1.1\r\nHost: {address.authority}\r\nConnection: close\r\n\r\n".encode()
    answer = _ask(address, tls, request, "http/1.1", clock)
    # What a gRPC server says to HTTP/1.1: hyper and Go answer it with a 400 of their own, h2 with frames.
    return answer.startswith(b"HTTP/1.") and not answer.startswith((b"HTTP/1.0 505", b"HTTP/1.1 505"))


def _speaks_http2(address: Address, tls: Tls, clock: Clock) -> bool:
    answer = _ask(address, tls, _HTTP2, "h2", clock)
    return len(answer) >= 9 and answer[3] in (_SETTINGS, _GOAWAY) and answer[5:9] == b"\0\0\0\0"


def _speaks_tls(address: Address, clock: Clock) -> bool:
    with closing(open_connection(address.host, address.port, clock, _SECONDS)) as connection:
        try:
            connection.start_tls(address.host, Tls(), ["h2", "http/1.1"], clock.at_most(_SECONDS).left)
        except OSError as error:
            return isinstance(error, ssl.SSLCertVerificationError)
        return True


def _ask(address: Address, tls: Tls, request: bytes, protocol: str, clock: Clock) -> bytes:
    """The beginning of the answer; empty where there is none."""
    answer = b""
    with closing(open_connection(address.host, address.port, clock, _SECONDS)) as connection:
        left = clock.at_most(_SECONDS).left
        try:
            if address.scheme == "https":
                connection.start_tls(address.host, tls, [protocol], left)
            connection.send(request, left)
            while len(answer) < 12 and (more := connection.receive(left)):
                answer += more
        except OSError:
            return b""
    return answer
