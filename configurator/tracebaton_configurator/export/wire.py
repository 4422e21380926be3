"""A TCP or TLS connection on which every wait has an end that can still be brought forward.

`left` is a function that returns the seconds that are left: it is asked again and again while waiting, so that a
process which is told to stop does not have to wait for an answer that will not come.
"""

from __future__ import annotations

# Looking up a name imports it, and that must not happen while somebody forks (see `forks`).
import encodings.idna  # noqa: F401 (see above)
import select
import socket
import ssl
import time
from dataclasses import dataclass
from errno import EINPROGRESS, EWOULDBLOCK
from os import strerror
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    Left = Callable[[], float]

_T = TypeVar("_T")
_IN_PROGRESS = (EINPROGRESS, EWOULDBLOCK)

# How late an earlier end is noticed, in seconds.
_SLICE = 0.1
_CHUNK = 65536


@dataclass(frozen=True, slots=True)
class Tls:
    """Files in PEM format, as the OTLP exporter specification names them; None stands for the system's defaults."""

    certificate: str | None = None
    client_key: str | None = None
    client_certificate: str | None = None


class Wire:
    """One connection. Every method raises OSError (TimeoutError among them) where it cannot do its work."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected

    @classmethod
    def connect(cls, host: str, port: int, left: Left) -> Wire:
        """Connect to the first address of the host that answers; each gets an equal part of the time that is left.

        The name is looked up by the system, which has its own idea of how long that may take.
        """
        try:
            addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except UnicodeError as error:
            raise OSError(f"{host!r} is no name of a host: {error}") from None
        problem: OSError | None = None
        for tried, (family, kind, protocol, _, address) in enumerate(addresses):
            end = time.monotonic() + left() / (len(addresses) - tried)
            try:
                made = socket.socket(family, kind, protocol)  # fails where the system has no IPv6
            except OSError as error:
                problem = error
                continue
            try:
                made.settimeout(0)
                made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                wire = cls(made)
                wire._finish_connect(made.connect_ex(address), lambda: min(left(), end - time.monotonic()))  # noqa: B023 (called at once)
            except OSError as error:
                made.close()
                problem = error
            else:
                return wire
        raise problem or OSError(f"{host} has no address")

    def start_tls(self, host: str, tls: Tls, protocols: list[str], left: Left) -> None:
        """Shake hands as a client; `protocols` are offered by ALPN (RFC 7301)."""
        context = _context(tls)
        context.set_alpn_protocols(protocols)
        wrapped = context.wrap_socket(self._socket, server_hostname=host, do_handshake_on_connect=False)
        self._socket = wrapped
        self._repeat(wrapped.do_handshake, select.POLLIN, left)

    def send(self, data: bytes, left: Left) -> None:
        view = memoryview(data)
        while view:
            view = view[self._repeat(lambda: self._socket.send(view), select.POLLOUT, left) :]  # noqa: B023 (called at once)

    def send_until_heard(self, data: bytes, left: Left) -> bytes | None:
        """Like `send`, but stop where the other side does not read on and something arrives: that is returned."""
        view = memoryview(data)
        while view:
            try:
                view = view[self._socket.send(view) :]
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):  # noqa: PERF203 (it waits)
                self._wait(select.POLLOUT | select.POLLIN, left)
                heard = self.receive_now()
                if heard is not None:
                    return heard
        return None

    def receive(self, left: Left, most: int = _CHUNK) -> bytes:
        """What has arrived, at least one byte; b"" once the other side has closed."""
        return self._repeat(lambda: self._socket.recv(most), select.POLLIN, left)

    def receive_now(self) -> bytes | None:
        """What has arrived already; None when that is nothing, b"" once the other side has closed."""
        try:
            return self._socket.recv(_CHUNK)
        except (BlockingIOError, ssl.SSLWantReadError):
            return None

    def close(self) -> None:
        """Close this process's end; in a forked child that leaves the parent's connection as it is."""
        self._socket.close()

    def _finish_connect(self, code: int, left: Left) -> None:
        if code and code not in _IN_PROGRESS:
            raise OSError(code, strerror(code))
        self._wait(select.POLLOUT, left)
        code = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, strerror(code))

    def _repeat(self, operation: Callable[[], _T], event: int, left: Left) -> _T:
        """Call `operation` until it does not have to wait any more."""
        if left() <= 0:  # somebody who sends for ever is never waited for
            raise TimeoutError("no answer in time")
        while True:
            awaited = event
            try:
                return operation()
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError) as error:
                if isinstance(error, ssl.SSLError):  # TLS may have to read in order to write, and the other way round
                    awaited = select.POLLIN if isinstance(error, ssl.SSLWantReadError) else select.POLLOUT
            self._wait(awaited, left)

    def _wait(self, event: int, left: Left) -> None:
        poll = select.poll()  # select() does not take descriptors above 1023, which a server may well have
        poll.register(self._socket, event)
        while True:
            seconds = left()
            if seconds <= 0:
                raise TimeoutError("no answer in time")
            if poll.poll(min(seconds, _SLICE) * 1000):
                return


def _context(tls: Tls) -> ssl.SSLContext:
    """Built for each connection, so that renewed files count."""
    try:
        context = ssl.create_default_context(cafile=tls.certificate)
    except OSError as error:
        raise OSError(f"the certificates in {tls.certificate} cannot be used: {error}") from None
    # On by default from Python 3.13; private authorities seldom meet it, and upstream's exporters do not ask for it.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if tls.client_certificate:
        try:
            # Without a password, OpenSSL would ask for one on the terminal, and wait.
            context.load_cert_chain(tls.client_certificate, tls.client_key, password="")
        except OSError as error:
            files = f"{tls.client_certificate} and {tls.client_key}" if tls.client_key else tls.client_certificate
            raise OSError(f"the client's certificate and key in {files} cannot be used: {error}") from None
    return context
