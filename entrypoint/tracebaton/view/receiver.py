"""Both OTLP servers as one thing that starts, says where it listens, and stops."""

from __future__ import annotations

import errno
import os
import socket
import threading
from typing import TYPE_CHECKING

from tracebaton.view.grpc_receiver import GrpcReceiver
from tracebaton.view.http_receiver import HttpReceiver

if TYPE_CHECKING:
    from tracebaton.view.intake import Intake

__all__ = ["CannotListenError", "Receiver"]


class CannotListenError(Exception):
    """A sentence that says which port or address cannot be had, why, and which option changes it."""


class Receiver:
    """OTLP over gRPC and over HTTP, into one intake."""

    def __init__(self, intake: Intake, host: str, grpc_port: int, http_port: int) -> None:
        """Bind both ports (0: any free one) and start serving; raises CannotListenError."""
        family, address = _resolve(host)
        _check_free(family, address, grpc_port, "--grpc-port")
        try:
            self._grpc = GrpcReceiver(f"{_in_url(address)}:{grpc_port}", intake)
        except OSError as error:
            raise _cannot_listen(error, address, grpc_port, "--grpc-port") from error
        try:
            self._http = HttpReceiver((address, http_port), family, intake)
        except OSError as error:
            self._grpc.stop(0)
            raise _cannot_listen(error, address, http_port, "--http-port") from error
        self.grpc_url = f"grpc://{_in_url(address)}:{self._grpc.port}"
        self.http_url = f"http://{_in_url(address)}:{self._http.port}"
        self._grpc.start()
        threading.Thread(target=self._http.serve_forever, args=(0.05,), name="otlp-http", daemon=True).start()

    def stop(self, grace: float = 0.5) -> None:
        """Take no new requests, and give those in flight `grace` seconds."""
        self._http.shutdown()
        self._http.server_close()
        self._grpc.stop(grace)


def _resolve(host: str) -> tuple[socket.AddressFamily, str]:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError) as error:
        raise CannotListenError(
            f"cannot listen on {host!r}, which is no address of this machine; see --host"
        ) from error
    return family, str(address[0])


def _check_free(family: socket.AddressFamily, address: str, port: int, option: str) -> None:
    """Raise CannotListenError with the system's reason, which gRPC would only log, in a line of its own."""
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            raise _cannot_listen(error, address, port, option) from error


def _cannot_listen(error: OSError, address: str, port: int, option: str) -> CannotListenError:
    if error.errno == errno.EADDRINUSE:
        return CannotListenError(f"port {port} on {address} is already in use; choose another with {option}")
    if error.errno == errno.EADDRNOTAVAIL:
        return CannotListenError(f"cannot listen on {address}, which is no address of this machine; see --host")
    reason = os.strerror(error.errno) if error.errno else str(error)
    return CannotListenError(f"cannot listen on port {port} of {address} ({reason}); choose another with {option}")


def _in_url(address: str) -> str:
    return f"[{address}]" if ":" in address else address
