"""Reads the body of an HTTP request within bounds of size and time, and undoes its compression."""

from __future__ import annotations

import gzip
import io
import time
import zlib
from http import HTTPStatus
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from email.message import Message

    from _typeshed import WriteableBuffer

__all__ = ["DeadlineReader", "RefusedError", "decompress", "read_body"]

_CHUNK = 64 * 1024
_MAX_LINE = 1024


class RefusedError(Exception):
    """The request is answered with this HTTP status and sentence."""

    def __init__(self, status: HTTPStatus, sentence: str, *, framing_lost: bool = False) -> None:
        """`framing_lost`: where the next request starts is unknown, so the connection has to be closed."""
        super().__init__(sentence)
        self.status = status
        self.framing_lost = framing_lost


class DeadlineReader(io.RawIOBase):
    """A socket's bytes until a deadline; then TimeoutError, however steadily they drip.

    A socket's own timeout starts anew with every byte, so a client that sends one now and then would never meet it.
    """

    def __init__(self, connection: socket.socket, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._connection = connection
        self._clock = clock
        self._deadline = 0.0

    def allow(self, seconds: float) -> None:
        """Set the deadline, from now."""
        self._deadline = self._clock() + seconds

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        left = self._deadline - self._clock()
        if left <= 0:
            raise TimeoutError
        self._connection.settimeout(left)
        return self._connection.recv_into(buffer)


def read_body(stream: io.BufferedIOBase, headers: Message, limit: int) -> bytes:
    """Return the body that `headers` announce, by length or chunked (RFC 9112 section 6); at most `limit` bytes.

    A larger one is read to its end, thrown away, and refused: a client listens only once it has sent all.
    """
    if headers.get("Transfer-Encoding", "").strip().lower() == "chunked":
        return _read_chunked(stream, limit)
    if "Transfer-Encoding" in headers:
        raise RefusedError(HTTPStatus.NOT_IMPLEMENTED, "only the chunked transfer coding is known", framing_lost=True)
    length = headers.get("Content-Length")
    if length is None:
        raise RefusedError(HTTPStatus.LENGTH_REQUIRED, "the length of the body is missing", framing_lost=True)
    if not (length.isascii() and length.isdigit() and len(length) < 19):
        raise RefusedError(HTTPStatus.BAD_REQUEST, f"Content-Length is no length: {length!r:.80}", framing_lost=True)
    if int(length) > limit:
        _discard(stream, int(length))
        raise _too_large(limit)
    return _read_exactly(stream, int(length))


def decompress(body: bytes, coding: str, limit: int) -> bytes:
    """Undo the Content-Encoding `coding` ('', identity, gzip, deflate), to at most `limit` bytes.

    Refuses with 400 a damaged body, with 413 one that grows beyond the limit, with 415 another coding.
    """
    coding = coding.strip().lower()
    try:
        if coding in {"", "identity"}:
            return body
        if coding == "gzip":
            with gzip.GzipFile(fileobj=io.BytesIO(body)) as stream:
                plain = stream.read(limit + 1)
        elif coding == "deflate":
            inflater = zlib.decompressobj()
            plain = inflater.decompress(body, limit + 1)
            if len(plain) <= limit and not inflater.eof:
                raise EOFError("it ends too early")
        else:
            raise RefusedError(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"Content-Encoding {coding!r:.80} is not gzip or deflate"
            )
    except (OSError, EOFError, zlib.error) as error:
        raise RefusedError(HTTPStatus.BAD_REQUEST, f"the {coding} body is damaged: {error}") from error
    if len(plain) > limit:
        raise _too_large(limit)
    return plain


def _read_chunked(stream: io.BufferedIOBase, limit: int) -> bytes:
    body = io.BytesIO()
    size = 0
    while chunk := _chunk_size(stream):
        size += chunk
        if size > limit:
            body = io.BytesIO()
            _discard(stream, chunk)
        else:
            body.write(_read_exactly(stream, chunk))
        if _line(stream):
            raise _bad_chunks()
    while _line(stream):
        pass  # trailer fields
    if size > limit:
        raise _too_large(limit)
    return body.getvalue()


def _chunk_size(stream: io.BufferedIOBase) -> int:
    digits = _line(stream).partition(b";")[0].strip()
    if not (0 < len(digits) < 16 and digits.isalnum()):
        raise _bad_chunks()
    try:
        return int(digits, 16)
    except ValueError as error:
        raise _bad_chunks() from error


def _line(stream: io.BufferedIOBase) -> bytes:
    line = stream.readline(_MAX_LINE)
    if not line.endswith(b"\n"):
        raise _bad_chunks()
    return line.rstrip(b"\r\n")


def _read_exactly(stream: io.BufferedIOBase, length: int) -> bytes:
    # Piece by piece, so that a client that announces much and sends little makes us reserve little.
    body = io.BytesIO()
    while length:
        piece = stream.read(min(length, _CHUNK))
        if not piece:
            raise ConnectionResetError("the client went away in the middle of the body")
        body.write(piece)
        length -= len(piece)
    return body.getvalue()


def _discard(stream: io.BufferedIOBase, length: int) -> None:
    while length and (piece := stream.read(min(length, _CHUNK))):
        length -= len(piece)


def _too_large(limit: int) -> RefusedError:
    return RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body is larger than {limit} bytes")


def _bad_chunks() -> RefusedError:
    return RefusedError(HTTPStatus.BAD_REQUEST, "the chunked body is damaged", framing_lost=True)
