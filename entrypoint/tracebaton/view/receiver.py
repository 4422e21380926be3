"""Both OTLP servers as one thing that starts, says where it listens, and stops."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from functools import partial
from typing import TYPE_CHECKING

from tracebaton.view.access import Access
from tracebaton.view.connections import Limits
from tracebaton.view.exports import Exports
from tracebaton.view.grpc_receiver import export
from tracebaton.view.http2 import Http2Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from tracebaton.view.intake import Intake

__all__ = ["CannotListenError", "Receiver"]


class CannotListenError(Exception):
    """A sentence that says which port or address cannot be had, why, and which option changes it."""


class Receiver:
    """OTLP over gRPC and, with a port for it, over HTTP, into one intake."""

    def __init__(self, intake: Intake, limits: Limits | None = None) -> None:
        self._intake = intake
        self._limits = limits or Limits()
        self._servers: list[asyncio.Server] = []
        self.urls: list[str] = []

    async def start(self, host: str, grpc_port: int, http_port: int | None) -> None:
        """Bind the ports (0: any free one) and serve; raises CannotListenError."""
        family, address = _resolve(host)
        exports = self._exports = Exports(self._intake, Access(address, host), self._limits)
        grpc = partial(Http2Protocol, exports.connections, partial(export, exports))
        await self._serve("grpc", grpc, family, address, grpc_port)
        if http_port is not None:
            from tracebaton.view.http_receiver import http_protocols  # needs uvicorn

            await self._serve("http", http_protocols(exports), family, address, http_port)

    async def stop(self, grace: float = 0.5) -> None:
        """Take no new requests, and give those that are complete `grace` seconds."""
        for server in self._servers:
            server.close()
        if any(one.busy for one in self._exports.connections.open):
            await asyncio.sleep(grace)
        for connection in list(self._exports.connections.open):
            connection.abort()

    async def _serve(
        self, scheme: str, make: Callable[[], asyncio.Protocol], family: socket.AddressFamily, address: str, port: int
    ) -> None:
        try:
            # Not by asyncio, which from Python 3.13 on keeps the error's number to itself.
            both = family is socket.AF_INET6 and socket.has_dualstack_ipv6()
            listener = socket.create_server((address, port), family=family, dualstack_ipv6=both)
        except OSError as error:
            raise _cannot_listen(error, address, port, f"--{scheme}-port") from error
        self._servers.append(await asyncio.get_running_loop().create_server(make, sock=listener, backlog=128))
        bound = f"[{address}]" if ":" in address else address
        self.urls.append(f"{scheme}://{bound}:{listener.getsockname()[1]}")


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
