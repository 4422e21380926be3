"""Where lines come from, as blocks of bytes cut anywhere: log files, gzip'd ones among them, and stdin."""

from __future__ import annotations

import gzip
import os
import re
import stat
import sys
import time
import zlib
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import BufferedReader

__all__ = ["BLOCK", "FileSource", "SourceError"]

BLOCK = 1 << 19
_POLL = 0.1  # seconds
_GZIP = b"\x1f\x8b"
# agent-a.log, agent-a.log.1, agent-a.out.2026-11-21.gz: the service is agent-a.
_SUFFIXES = re.compile(r"(?:\.(?:log|jsonl?|ndjson|out|err|stdout|stderr|txt|gz|[0-9][0-9-]*))+$")


class SourceError(Exception):
    """A source cannot be read, or not to its end; the message is a sentence without a full stop."""


class FileSource:
    """A file, or whatever can be opened like one; `-` is stdin.

    `name` is for messages, `service` for lines that name none; `size` and `consumed` are bytes, for progress.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._is_stdin = path == "-"
        self.name = "stdin" if self._is_stdin else path
        self.service = _SUFFIXES.sub("", Path(path).name) or path
        self.size: int | None = None
        self.consumed = 0
        with suppress(OSError, ValueError):
            status = Path(path).stat()
            self.size = status.st_size if stat.S_ISREG(status.st_mode) and not self._is_stdin else None

    def blocks(self, *, follow: bool) -> Iterator[bytes]:
        """Yield what there is; with `follow` also what comes, an empty block where there is nothing more at present.

        Then it is like `tail -F`: reads on when the file grows, has been truncated, or another one has its name. A
        gzip'd file is read once, for it does not grow, and so is what is no regular file, for it has an end.
        """
        try:
            yield from self._blocks(follow=follow and not self._is_stdin)
        except EOFError as error:
            raise SourceError(
                f"{self.name} ends in the middle of its gzip data, so that a part of it is missing"
            ) from error
        except (zlib.error, gzip.BadGzipFile) as error:
            raise SourceError(f"{self.name} is damaged, so that a part of it is missing: {error}") from error
        except (OSError, ValueError) as error:  # ValueError: a name with a zero byte
            raise SourceError(f"cannot read {self.name}: {getattr(error, 'strerror', None) or error}") from error

    def _blocks(self, *, follow: bool) -> Iterator[bytes]:
        file = self._open()
        try:
            is_gzip = file.peek(2).startswith(_GZIP)
            read = gzip.GzipFile(fileobj=file).read1 if is_gzip else file.read1
            follow = follow and not is_gzip and stat.S_ISREG(os.fstat(file.fileno()).st_mode)
            ended = True
            while True:
                # Asked for first: what is written between our last read and a rotation is read before the next file.
                successor = self._successor(file) if follow else None
                while block := read(BLOCK):
                    self.consumed = self.consumed + len(block) if self.size is None else file.tell()
                    ended = block.endswith(b"\n")
                    yield block
                if successor is not None:
                    yield b"" if ended else b"\n"
                    file.close()
                    file, read = successor, successor.read1
                elif follow:
                    yield b""
                    time.sleep(_POLL)
                else:
                    return
        finally:
            file.close()

    def _successor(self, file: BufferedReader) -> BufferedReader | None:
        """The file opened anew, if its name now is another file's or it has become shorter than what was read."""
        now = os.fstat(file.fileno())
        try:
            named = Path(self._path).stat()
            if (named.st_dev, named.st_ino) == (now.st_dev, now.st_ino) and named.st_size >= file.tell():
                return None
            return self._open()
        except OSError:
            return None  # between two files; it is looked for again

    def _open(self) -> BufferedReader:
        if not self._is_stdin:
            return Path(self._path).open("rb")
        if sys.stdin is None:
            raise SourceError("cannot read stdin: it is closed")  # by whoever started us
        return open(sys.stdin.fileno(), "rb", closefd=False)
