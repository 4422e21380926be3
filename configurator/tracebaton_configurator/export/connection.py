"""A TCP or TLS connection on which every wait has an end that can still be brought forward.

`deadline` is a function that returns the seconds that are left: it is asked again and again while waiting, so that a
process which is told to stop does not have to wait for an answer that will not come.

Waits are the operating system's, and so are the sockets: neither gevent nor eventlet replaces `_socket`. TLS is done in
memory (`ssl.SSLObject`) for the same reason. `ssl` is imported where it is needed, for gevent warns of whoever did that
before it.

Why not httpcore (1.0.9, as `Connection` and its two users stand here): over HTTP/2 it drops trailers, which is where
gRPC's status and RetryInfo are; each operation has a timeout of its own, which a server that trickles renews and which
cannot be brought forward; its locks are `threading.Lock`, which a fork or a signal's handler may find held, and gevent
replaces; its import takes 86 modules, `ssl` among them, 8 MB and 26 ms of CPU, and what is here 33, 2 MB and 10 ms.
"""

from __future__ import annotations

# Looking up a name imports it, and that must not happen while somebody forks (see `forks`).
import _socket as socket
import encodings.idna  # noqa: F401 (see above)
import time
from dataclasses import dataclass
from errno import EINPROGRESS, EWOULDBLOCK
from os import strerror
from typing import TYPE_CHECKING, TypeVar

from tracebaton_configurator.patching import os_threads

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    Deadline = Callable[[], float]

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


class _BlockedError(BlockingIOError):
    """Something has to be waited for that is not what was asked for: TLS may have to read in order to write."""

    def __init__(self, event: int) -> None:
        super().__init__()
        self.event = event


class Connection:
    """One connection. Every method raises OSError (TimeoutError among them) where it cannot do its work."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        # What cannot be done at once raises BlockingIOError, and is to be tried again.
        self._stream: socket.socket | _Encrypted = connected

    @classmethod
    def connect(cls, host: str, port: int, deadline: Deadline) -> Connection:
        """Connect to the first address of the host that answers; each gets an equal part of the time that is left.

        The name is looked up by the system, which has its own idea of how long that may take.
        """
        try:
            addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except UnicodeError as error:
            raise OSError(f"{host!r} is no name of a host: {error}") from None
        problem: OSError | None = None
        for tried, (family, kind, protocol, _, address) in enumerate(addresses):
            end = time.monotonic() + deadline() / (len(addresses) - tried)
            try:
                made = socket.socket(family, kind, protocol)  # fails where the system has no IPv6
            except OSError as error:
                problem = error
                continue
            try:
                made.settimeout(0)
                made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connection = cls(made)
                connection._finish_connect(made.connect_ex(address), lambda: min(deadline(), end - time.monotonic()))  # noqa: B023 (called at once)
            except OSError as error:
                made.close()
                problem = error
            else:
                return connection
        raise problem or OSError(f"{host} has no address")

    def start_tls(self, host: str, tls: Tls, protocols: list[str], deadline: Deadline) -> None:
        """Shake hands as a client; `protocols` are offered by ALPN (RFC 7301)."""
        context = _context(tls)
        context.set_alpn_protocols(protocols)
        encrypted = _Encrypted(self._socket, context, host)
        self._stream = encrypted
        self._repeat(encrypted.shake_hands, os_threads.POLLIN, deadline)

    def send(self, data: bytes, deadline: Deadline) -> None:
        view = memoryview(data)
        while view:
            view = view[self._repeat(lambda: self._stream.send(view), os_threads.POLLOUT, deadline) :]  # noqa: B023 (called at once)

    def send_until_heard(self, data: bytes, deadline: Deadline) -> bytes | None:
        """Like `send`, but stop where the other side does not read on and something arrives: that is returned."""
        view = memoryview(data)
        while view:
            try:
                view = view[self._stream.send(view) :]
            except BlockingIOError:  # noqa: PERF203 (it waits)
                self._wait(os_threads.POLLOUT | os_threads.POLLIN, deadline)
                heard = self.receive_now()
                if heard is not None:
                    return heard
        return None

    def receive(self, deadline: Deadline, most: int = _CHUNK) -> bytes:
        """What has arrived, at least one byte; b"" once the other side has closed."""
        return self._repeat(lambda: self._stream.recv(most), os_threads.POLLIN, deadline)

    def receive_now(self) -> bytes | None:
        """What has arrived already; None when that is nothing, b"" once the other side has closed."""
        try:
            return self._stream.recv(_CHUNK)
        except BlockingIOError:
            return None

    def close(self) -> None:
        """Close this process's end; in a forked child that leaves the parent's connection as it is."""
        self._socket.close()

    def _finish_connect(self, code: int, deadline: Deadline) -> None:
        if code and code not in _IN_PROGRESS:
            raise OSError(code, strerror(code))
        self._wait(os_threads.POLLOUT, deadline)
        code = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, strerror(code))

    def _repeat(self, operation: Callable[[], _T], event: int, deadline: Deadline) -> _T:
        """Call `operation` until it does not have to wait any more."""
        if deadline() <= 0:  # somebody who sends for ever is never waited for
            raise TimeoutError("no answer in time")
        while True:
            try:
                return operation()
            except BlockingIOError as error:
                awaited = error.event if isinstance(error, _BlockedError) else event
            self._wait(awaited, deadline)

    def _wait(self, event: int, deadline: Deadline) -> None:
        poll = os_threads.poll()  # select() does not take descriptors above 1023, which a server may well have
        poll.register(self._socket.fileno(), event)
        while True:
            seconds = deadline()
            if seconds <= 0:
                raise TimeoutError("no answer in time")
            if poll.poll(min(seconds, _SLICE) * 1000):
                return


class _Encrypted:
    """TLS over a socket that does not block (OSError, which `ssl.SSLError` is)."""

    def __init__(self, under: socket.socket, context: ssl.SSLContext, host: str) -> None:
        import ssl

        self._socket = under
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self._want_read, self._is_closed = ssl.SSLWantReadError, (ssl.SSLEOFError, ssl.SSLZeroReturnError)
        self._unsent = memoryview(b"")
        self._accepted = 0
        """Bytes of the last `send` that are encrypted already."""

    def shake_hands(self) -> None:
        try:
            self._step(self._tls.do_handshake)
        finally:  # the other side is told why it is refused, too
            self._flush()

    def send(self, data: memoryview) -> int:
        """As `socket.send`; where that blocks, it has to be repeated with the same bytes."""
        if not self._accepted:
            self._accepted = self._step(lambda: self._tls.write(data[:_CHUNK]))
        self._flush()
        accepted, self._accepted = self._accepted, 0
        return accepted

    def recv(self, most: int) -> bytes:
        try:
            return self._step(lambda: self._tls.read(most))
        except self._is_closed:
            return b""

    def _step(self, operation: Callable[[], _T]) -> _T:
        """Call `operation` until what has arrived is enough for it."""
        while True:
            try:
                return operation()
            except self._want_read:
                self._flush()
            try:
                arrived = self._socket.recv(_CHUNK)
            except BlockingIOError:
                raise _BlockedError(os_threads.POLLIN) from None
            if arrived:
                self._incoming.write(arrived)
            else:
                self._incoming.write_eof()

    def _flush(self) -> None:
        while self._unsent or self._outgoing.pending:
            self._unsent = self._unsent or memoryview(self._outgoing.read())
            try:
                self._unsent = self._unsent[self._socket.send(self._unsent) :]
            except BlockingIOError:
                raise _BlockedError(os_threads.POLLOUT) from None


def _context(tls: Tls) -> ssl.SSLContext:
    """Built for each connection, so that renewed files count."""
    import ssl

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
