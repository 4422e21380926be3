"""What one run of the viewer keeps: the store, the page that shows it, and what reads log lines into it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from tracebaton.store.reader import StoreReader
from tracebaton.store.schema import StoreError
from tracebaton.store.writer import StoreWriter
from tracebaton.timeline.sources import SourceError
from tracebaton.view.log_sources import LogSources
from tracebaton.view.opened_file import FileError, open_file

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from tracebaton.page.server import PageServer
    from tracebaton.store.lines import LogLine
    from tracebaton.store.writer import Event
    from tracebaton.view.spans import Span

__all__ = ["CannotKeepError", "KeptTraces"]

_WEB_PORT = 4319
_INSTALL = "the page needs pip install 'tracebaton[view]'"
_NAME = "traces.db"


class CannotKeepError(Exception):
    """A sentence, and the exit status: 2 where a package is missing, else 1."""

    def __init__(self, sentence: str, status: int = 1) -> None:
        super().__init__(sentence)
        self.status = status


class KeptTraces:
    """Opened within the event loop; `add` and `add_lines` are called in threads, and raise nothing."""

    def __init__(self, args: argparse.Namespace, say: Callable[[str], None]) -> None:
        self.url = ""
        """Of the page; '' where there is none."""
        self.missing = ""
        """Why there is no page although one is wanted."""
        self._args = args
        self._say = say
        self._directory: tempfile.TemporaryDirectory[str] | None = None
        self._writer: StoreWriter | None = None
        self._reader: StoreReader | None = None
        self._page: PageServer | None = None
        self._sources: LogSources | None = None
        self._has_said = False

    async def open(self) -> None:
        """Raises CannotKeepError; `close` is due all the same."""
        args = self._args
        path = args.db
        if path is None:
            try:
                self._directory = tempfile.TemporaryDirectory(prefix="tracebaton-view-", ignore_cleanup_errors=True)
            except OSError as error:  # a read-only root without /tmp, as containers have it
                sentence = f"no page, as there is no temporary directory ({error.strerror or error}); --db names a file"
                if args.web_port is not None or args.files or args.logs or args.docker:
                    raise CannotKeepError(sentence) from error
                self.missing = sentence
                return
            path = str(Path(self._directory.name) / _NAME)
        try:
            self._writer = await asyncio.to_thread(
                StoreWriter,
                path,
                max_bytes=args.max_mb * 1024 * 1024,
                durable=args.db is not None,
                on_commit=self._publish,
            )
            self._reader = StoreReader(path)
            files = [name for name in args.files if name != "-"]
            opened = [await asyncio.to_thread(open_file, name, self._writer) for name in files]
            await self._serve(opened)
            self._sources = LogSources(self.add_lines, self._say)
            self._sources.read_files([*args.logs, *(["-"] if "-" in args.files else [])])
            if args.docker:
                await asyncio.to_thread(self._sources.read_containers, args.project)
        except (StoreError, FileError, SourceError) as error:
            raise CannotKeepError(str(error)) from error

    def add(self, spans: list[Span]) -> None:
        self._write(lambda writer: writer.add_spans(spans))

    def add_lines(self, lines: list[LogLine]) -> None:
        self._write(lambda writer: writer.add_lines(lines))

    async def close(self) -> None:
        if self._sources is not None:
            self._sources.close()
        if self._page is not None:
            await self._page.stop()
        if self._writer is not None:
            with contextlib.suppress(StoreError):
                await asyncio.to_thread(self._writer.close)
        if self._reader is not None:
            self._reader.close()
        if self._directory is not None:
            self._directory.cleanup()

    async def _serve(self, opened: list[str]) -> None:
        args = self._args
        if args.no_web:
            return
        if find_spec("uvicorn") is None or find_spec("starlette") is None:
            if args.web_port is not None or opened:
                raise CannotKeepError(_INSTALL, 2)
            self.missing = _INSTALL
            return
        from tracebaton.page.server import LOOPBACK, PageServer

        assert self._reader is not None  # noqa: S101 -- for mypy
        page = PageServer(self._reader)
        port = _WEB_PORT if args.web_port is None else args.web_port
        try:
            try:
                await page.start(port, args.web_host)
            except OSError:
                if args.web_port is not None or not opened:
                    raise
                await page.start(0, args.web_host)  # a file is shown, whoever has the usual port
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or str(error)
            where = f"port {port}" if args.web_host == LOOPBACK else f"{args.web_host}:{port}"
            sentence = f"no page, as {where} cannot be had ({reason}); choose another with --web-host and --web-port"
            if args.web_port is not None or args.web_host != LOOPBACK:
                raise CannotKeepError(sentence) from error
            self.missing = sentence
            return
        self._page = page
        self.url = page.url + (f"/trace/{opened[0]}" if len(opened) == 1 and opened[0] else "")

    def _publish(self, events: list[Event]) -> None:
        if self._page is not None:
            self._page.live.publish(events)

    def _write(self, write: Callable[[StoreWriter], None]) -> None:
        try:
            if self._writer is not None:
                write(self._writer)
        except StoreError as error:
            if not self._has_said:
                self._has_said = True
                self._say(f"{error}; traces are printed and not kept")
