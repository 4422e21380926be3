"""TLS to the receiver, and what is wrong with its certificate, in words."""

from __future__ import annotations

import ssl
from contextlib import closing
from typing import TYPE_CHECKING

from tracebaton.doctor.finding import Finding, error, ok
from tracebaton.doctor.network import open_connection
from tracebaton_configurator.export.connection import Tls

if TYPE_CHECKING:
    from tracebaton.doctor.network import Clock
    from tracebaton_configurator.export.address import Address
    from tracebaton_configurator.settings import Endpoint

__all__ = ["check_tls", "speaks_tls"]

_SECONDS = 0.5
_TRUST = "set OTEL_EXPORTER_OTLP_CERTIFICATE to the file (PEM) of the authority that signed it"
# X509_V_ERR_*, openssl/x509_vfy.h.
_REASONS = {
    9: ("is not valid yet", "check the clocks of both machines"),
    10: ("has expired", "renew the receiver's certificate, or check this machine's clock"),
    18: ("is signed by itself, and nobody here trusts it", _TRUST),
    19: ("is signed by an authority that nobody here trusts", _TRUST),
    20: ("is signed by an authority that is not known here", _TRUST),
    21: ("is signed by an authority that is not known here", _TRUST),
    62: ("is for another name", "use the name that the certificate has, or one that has this name"),
    64: ("is for another address", "use the name that the certificate has, or one that has this address"),
}
_FILES = ("OTEL_EXPORTER_OTLP_CERTIFICATE", "OTEL_EXPORTER_OTLP_CLIENT_KEY", "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE")


def check_tls(address: Address, endpoint: Endpoint, clock: Clock) -> Finding:
    """Shake hands as an export would."""
    for variable, path in zip(_FILES, endpoint.tls, strict=True):
        if path is not None and (reason := _unreadable(path)):
            return error(f"the file of {variable} cannot be read: {reason}", f"correct {variable}")
    protocols = ["h2" if endpoint.protocol == "grpc" else "http/1.1"]
    with closing(open_connection(address.host, address.port, clock, clock.left())) as connection:
        try:
            connection.start_tls(address.host, Tls(*endpoint.tls), protocols, clock.left)
        except OSError as problem:
            return error(*_in_words(problem, address))
    return ok(f"TLS: the certificate of {address.host} is trusted")


def _unreadable(path: str) -> str:
    try:
        with open(path, "rb"):  # noqa: PTH123 (a path that may be no path)
            return ""
    except (OSError, ValueError) as problem:
        return getattr(problem, "strerror", None) or str(problem)


def _in_words(problem: OSError, address: Address) -> tuple[str, str]:
    if isinstance(problem, ssl.SSLCertVerificationError):
        what, remedy = _REASONS.get(problem.verify_code, (f"is not trusted: {problem.verify_message}", _TRUST))
        return f"the certificate of {address.host} {what}", remedy
    plaintext = f"write http://{address.authority}"
    if not isinstance(problem, ssl.SSLError):
        remedy = f"what listens there may not speak TLS; for plaintext {plaintext}"
        return f"TLS failed: {problem.strerror or problem}", remedy
    reason = problem.reason or str(problem)
    if any(word in reason for word in ("WRONG_VERSION_NUMBER", "UNEXPECTED_EOF", "RECORD_LAYER")):
        return f"port {address.port} of {address.host} does not speak TLS, and the endpoint is https://", plaintext
    if "CERTIFICATE_REQUIRED" in reason or "HANDSHAKE_FAILURE" in reason:
        return (
            f"{address.host} refuses the handshake ({reason}), as one that wants a client's certificate does",
            "set OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE and OTEL_EXPORTER_OTLP_CLIENT_KEY",
        )
    return f"TLS failed: {reason}", "check the certificate files that are set, and the receiver's log"


def speaks_tls(address: Address, clock: Clock) -> bool:
    """Whether there is a certificate, trusted or not, behind an address in plaintext (OSError)."""
    with closing(open_connection(address.host, address.port, clock, _SECONDS)) as connection:
        try:
            connection.start_tls(address.host, Tls(), ["h2", "http/1.1"], clock.at_most(_SECONDS).left)
        except OSError as problem:
            return isinstance(problem, ssl.SSLCertVerificationError)
        return True
