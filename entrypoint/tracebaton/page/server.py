"""Serves the page with uvicorn within the event loop of the viewer, whose signals stay its own."""

from __future__ import annotations

import asyncio
import socket
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from uvicorn import Config, Server

from tracebaton.page.app import page_app
from tracebaton.page.live import Live
from tracebaton.store.documents import to_json
from tracebaton.view.access import Access

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tracebaton.store.reader import StoreReader

__all__ = ["LOOPBACK", "PageServer"]

LOOPBACK = "127.0.0.1"
_MOST_REQUESTS = 200


class PageServer:
    """On loopback, unless another address is asked for: whoever can open the page can read every trace.

    Wherever it listens, it is asked by the names of loopback or by the one that it was given: a page in a browser whose
    name leads here (DNS rebinding) has another.
    """

    def __init__(self, reader: StoreReader) -> None:
        self.live = Live(lambda trace_id: to_json(reader.summary(trace_id)))
        self.url = ""
        self._reader = reader
        self._server: _Server | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self, port: int, host: str = LOOPBACK) -> None:
        """Bind the port (0: any free one) and serve. Raises OSError."""
        try:
            family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        except UnicodeError as error:
            raise OSError(f"{host!r:.80} is no name of a host") from error
        with suppress(OSError):  # an address of any spelling, `0` among them
            host = str(socket.getaddrinfo(host, port, flags=socket.AI_NUMERICHOST)[0][4][0])
        listener = socket.create_server(address[:2], family=family)
        config = Config(
            page_app(self._reader, self.live, Access(LOOPBACK, host, "--web-host")),
            lifespan="off",
            ws="none",
            http="h11",
            loop="none",
            proxy_headers=False,
            server_header=False,
            log_config=None,
            log_level="critical",
            limit_concurrency=_MOST_REQUESTS,
        )
        self._server = _Server(config)
        self._task = asyncio.create_task(self._server.serve(sockets=[listener]))
        name = f"[{host}]" if family is socket.AF_INET6 and ":" in host else host
        self.url = f"http://{name}:{listener.getsockname()[1]}"

    async def stop(self) -> None:
        """End at once, whatever is open."""
        self.live.end()
        if self._server is not None and self._task is not None:
            self._server.should_exit = self._server.force_exit = True
            await asyncio.wait([self._task], timeout=1)


class _Server(Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave them to the viewer."""
        yield
