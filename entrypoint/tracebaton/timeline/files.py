"""Log files, gzip'd ones among them, and stdin."""

from __future__ import annotations

import os
import re
import stat
import sys
import time
import zlib
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from tracebaton.timeline.sources import BLOCK, CAUGHT_UP, RESTARTED, SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

__all__ = ["FileSource", "StdinSource"]

_POLL = 0.1  # seconds
_GZIP = b"\x1f\x8b"
# agent-a.log, agent-a.log.1, agent-a.out.2026-11-21.gz: the service is agent-a.
_SUFFIXES = re.compile(r"(?:\.(?:log|jsonl?|ndjson|out|err|stdout|stderr|txt|gz|[0-9][0-9-]*))+$")


class FileSource:
    """A file, or whatever can be opened like one."""

    def __init__(self, path: str) -> None:
        self.name = path
        self.service = _SUFFIXES.sub("", Path(path).name) or path
        self.size: int | None = None
        self.consumed = 0

    def measure(self) -> None:
        """Find out the size; raises SourceError if the file cannot be opened.

        A named pipe is not: whoever writes to it would see its reader leave.
        """
        with suppress(OSError, ValueError):
            if stat.S_ISFIFO(Path(self.name).stat().st_mode):
                return
        with self._open() as file:
            status = os.fstat(file.fileno())
        self.size = status.st_size if stat.S_ISREG(status.st_mode) else None

    def blocks(self) -> Iterator[bytes]:
        with self._open() as file:
            first = self._read(file)
            yield from self._inflated(file, first) if first.startswith(_GZIP) else self._plain(file, first)

    def follow(self) -> Iterator[bytes | bytearray]:
        """Like `tail -F`: reads on when the file grows, has been truncated, or another one has its name.

        A gzip'd file is read once, for it does not grow.
        """
        file = self._open()
        try:
            first = self._read(file)
            if first.startswith(_GZIP):
                yield from self._inflated(file, first)
                return
            yield from self._plain(file, first)
            while stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                yield CAUGHT_UP
                time.sleep(_POLL)
                yield from self._plain(file, self._read(file))
                successor = self._successor(file)
                if successor is not None:
                    yield from self._plain(file, self._read(file))  # written between our last read and the rotation
                    yield RESTARTED
                    file.close()
                    file = successor
                    yield from self._plain(file, self._read(file))
        finally:
            file.close()

    def _successor(self, file: BinaryIO) -> BinaryIO | None:
        """The file opened anew, if its name now is another file's or it has become shorter than what was read."""
        now = os.fstat(file.fileno())
        try:
            named = Path(self.name).stat()
            if (named.st_dev, named.st_ino) == (now.st_dev, now.st_ino) and named.st_size >= file.tell():
                return None
            return self._open()
        except (OSError, SourceError):
            return None  # between two files; it is looked for again

    def _plain(self, file: BinaryIO, block: bytes) -> Iterator[bytes]:
        while block:
            yield block
            block = self._read(file)

    def _inflated(self, file: BinaryIO, block: bytes) -> Iterator[bytes]:
        """One gzip member after another, in bounded pieces: a block may inflate a thousandfold."""
        inflater = zlib.decompressobj(wbits=31)
        try:
            while block:
                if inflater.eof:
                    inflater = zlib.decompressobj(wbits=31)
                if inflated := inflater.decompress(block, BLOCK):
                    yield inflated
                block = inflater.unconsumed_tail or inflater.unused_data.lstrip(b"\0") or self._read(file)
        except zlib.error as error:
            raise SourceError(f"{self.name} is damaged, so that a part of it is missing: {error}") from error
        if not inflater.eof:
            raise SourceError(f"{self.name} ends in the middle of its gzip data, so that a part of it is missing")

    def _open(self) -> BinaryIO:
        try:
            file = Path(self.name).open("rb", buffering=0)  # noqa: SIM115 (the callers close it)
        except (OSError, ValueError) as error:  # ValueError: a name with a zero byte
            raise SourceError(f"cannot read {self.name}: {_reason(error)}") from error
        return file

    def _read(self, file: BinaryIO) -> bytes:
        try:
            block = file.read(BLOCK) or b""
        except OSError as error:
            raise SourceError(f"cannot read {self.name}: {_reason(error)}") from error
        self.consumed += len(block)
        return block


class StdinSource(FileSource):
    """Standard input, to its end."""

    def __init__(self) -> None:
        super().__init__("stdin")
        self.service = "-"

    def measure(self) -> None:
        """The size of a pipe is not known."""

    def follow(self) -> Iterator[bytes | bytearray]:
        yield from self.blocks()

    def _open(self) -> BinaryIO:
        if sys.stdin is None:  # closed by whoever started us
            raise SourceError("cannot read stdin: it is closed")
        return open(sys.stdin.fileno(), "rb", buffering=0, closefd=False)


def _reason(error: Exception) -> str:
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)
