"""Both OTLP servers as one thing that starts, says where it listens, and stops."""

from __future__ import annotations

import errno
import os
import socket
import threading
from typing import TYPE_CHECKING

from tracebaton.view.access import Access
from tracebaton.view.budget import Budget
from tracebaton.view.connections import Limits
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
        limits = Limits()
        shared = {
            "intake": intake,
            "access": Access(address, host),
            "budget": Budget(2 * limits.max_body),
            "limits": limits,
        }
        try:
            self._grpc = GrpcReceiver((address, grpc_port), family, **shared)
        except OSError as error:
            raise _cannot_listen(error, address, grpc_port, "--grpc-port") from error
        try:
            self._http = HttpReceiver((address, http_port), family, **shared)
        except OSError as error:
            self._grpc.server_close()
            raise _cannot_listen(error, address, http_port, "--http-port") from error
        self.grpc_url = f"grpc://{_in_url(address)}:{self._grpc.port}"
        self.http_url = f"http://{_in_url(address)}:{self._http.port}"
        for server, name in ((self._grpc, "otlp-grpc"), (self._http, "otlp-http")):
            threading.Thread(target=server.serve_forever, args=(0.05,), name=name, daemon=True).start()

    def stop(self, grace: float = 0.5) -> None:
        """Take no new requests, and give those that are complete `grace` seconds."""
        for server in (self._http, self._grpc):
            server.stop(grace)


def _resolve(host: str) -> tuple[socket.AddressFamily, str]:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError) as error:
        raise CannotListenError(
            f"cannot listen on {host!r}, which is no address of this machine; see --host"
        ) from error
    return family, str(address[0])


def _cannot_listen(error: OSError, address: str, port: int, option: str) -> CannotListenError:
    if error.errno == errno.EADDRINUSE:
        return CannotListenError(f"port {port} on {address} is already in use; choose another with {option}")
    if error.errno == errno.EADDRNOTAVAIL:
        return CannotListenError(f"cannot listen on {address}, which is no address of this machine; see --host")
    reason = os.strerror(error.errno) if error.errno else str(error)
    return CannotListenError(f"cannot listen on port {port} of {address} ({reason}); choose another with {option}")


def _in_url(address: str) -> str:
    return f"[{address}]" if ":" in address else address
