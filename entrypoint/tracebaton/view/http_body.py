"""Reads the body of an HTTP request within bounds of size and time, and undoes its compression."""

from __future__ import annotations

import io
import time
import zlib
from http import HTTPStatus
from typing import TYPE_CHECKING

from tracebaton.view.intake import BusyError

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator
    from email.message import Message

    from _typeshed import WriteableBuffer

__all__ = ["DeadlineReader", "HeadTooLargeError", "RefusedError", "decompress", "read_body", "skip_body"]

_CHUNK = 64 * 1024
_MAX_LINE = 1024
# Of a body that is too large, for the sake of the answer; what is longer is cut off.
_MOST_DISCARDED = 128 * 1024 * 1024
_MOST_TRAILERS = 100
# Of a gzip body, each of which costs the time of a few kilobytes.
_MOST_MEMBERS = 1000
_MAX_HEAD = 64 * 1024


class RefusedError(Exception):
    """The request is answered with this HTTP status and sentence, over gRPC with what they correspond to."""

    def __init__(self, status: HTTPStatus, sentence: str, *, framing_lost: bool = False) -> None:
        """`framing_lost`: where the next request starts is unknown, so the connection has to be closed."""
        super().__init__(sentence)
        self.status = status
        self.framing_lost = framing_lost


class HeadTooLargeError(ConnectionError):
    """The head of a request has no end."""


class DeadlineReader(io.RawIOBase):
    """A socket's bytes until a deadline; then TimeoutError, however steadily they drip.

    A socket's own timeout starts anew with every byte, so a client that sends one now and then would never meet it.
    """

    def __init__(
        self,
        connection: socket.socket,
        clock: Callable[[], float] = time.monotonic,
        on_first: Callable[[], None] = lambda: None,
    ) -> None:
        """`on_first` is called for the first bytes after `await_request`."""
        super().__init__()
        self._connection = connection
        self._clock = clock
        self._on_first = on_first
        self._deadline = 0.0
        self._seconds: float | None = None
        self._head_left: int | None = None

    def allow(self, seconds: float) -> None:
        """Set the deadline, from now."""
        self._deadline = self._clock() + seconds

    def await_request(self, idle_seconds: float, seconds: float) -> None:
        """Wait for a request for that long, and then `seconds` from its first byte to its last.

        Its head has to end within 64 KiB, which the caller tells by `head_read`; else HeadTooLargeError.
        """
        self.allow(idle_seconds)
        self._seconds = seconds
        self._head_left = _MAX_HEAD

    def head_read(self) -> None:
        """What follows may be longer."""
        self._head_left = None
        if self._seconds is not None:  # it had arrived together with the one before
            self._begin()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        left = self._deadline - self._clock()
        if left <= 0:
            raise TimeoutError
        if self._head_left is not None and self._head_left <= 0:
            raise HeadTooLargeError
        self._connection.settimeout(left)
        size = self._connection.recv_into(buffer)
        if self._head_left is not None:
            self._head_left -= size
        if self._seconds is not None:
            self._begin()
        return size

    def _begin(self) -> None:
        if self._seconds is not None:
            self.allow(self._seconds)
        self._seconds = None
        self._on_first()


def read_body(
    stream: io.BufferedIOBase, headers: Message, limit: int, keep: Callable[[int], None] = lambda _size: None
) -> bytearray:
    """Return the body that `headers` announce, by length or chunked (RFC 9112 section 6); at most `limit` bytes.

    `keep` is called before so many more bytes are kept, and may raise BusyError. What is refused is read to its end and
    thrown away first: a client listens only once it has sent all.
    """
    body = bytearray()
    size = 0
    refusal: RefusedError | None = None
    for piece in _pieces(stream, headers):
        size += len(piece)
        if size > limit + _MOST_DISCARDED:
            raise _too_large(limit, framing_lost=True)
        if refusal is None and size > limit:
            refusal = _too_large(limit)
        if refusal is None:
            try:
                keep(len(piece))
            except BusyError as error:
                refusal = RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, str(error))
        if refusal is None:
            body += piece
        else:
            body = bytearray()
    if refusal is not None:
        raise refusal
    return body


def skip_body(stream: io.BufferedIOBase, headers: Message) -> None:
    """Read a body of which nothing is kept; as `read_body`."""
    size = 0
    for piece in _pieces(stream, headers):
        size += len(piece)
        if size > _MOST_DISCARDED:
            raise _too_large(_MOST_DISCARDED, framing_lost=True)


def decompress(body: bytes | bytearray, coding: str, limit: int) -> bytes | bytearray:
    """Undo the Content-Encoding `coding` ('', identity, gzip, deflate), to at most `limit` bytes.

    Refuses with 400 a damaged body, with 413 one that grows beyond the limit, with 415 another coding.
    """
    coding = coding.strip().lower()
    if coding in {"", "identity"}:
        return body
    if coding not in {"gzip", "deflate"}:
        raise RefusedError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"Content-Encoding {coding!r:.80} is not gzip or deflate")
    try:
        return _inflate(body, limit, gzip=coding == "gzip")
    except (EOFError, zlib.error) as error:
        raise RefusedError(HTTPStatus.BAD_REQUEST, f"the {coding} body is damaged: {error}") from error


def _inflate(body: bytes | bytearray, limit: int, *, gzip: bool) -> bytearray:
    """Piece by piece, so that what it takes is what comes out. Raises EOFError and zlib.error."""
    plain = bytearray()
    wbits = 31 if gzip else 15
    inflater, members = zlib.decompressobj(wbits), 1
    for start in range(0, len(body), _CHUNK):
        data = bytes(memoryview(body)[start : start + _CHUNK])
        while data:
            if inflater.eof:
                data = data.lstrip(b"\0") if gzip else b""  # padding (as gzip.GzipFile has it), or nothing of ours
                if not data:
                    break
                if members == _MOST_MEMBERS:
                    raise EOFError(f"more than {_MOST_MEMBERS} gzip members")
                inflater, members = zlib.decompressobj(wbits), members + 1
            plain += inflater.decompress(data, _CHUNK)
            if len(plain) > limit:
                raise _too_large(limit)
            data = inflater.unused_data if inflater.eof else inflater.unconsumed_tail
    while not inflater.eof:
        rest = inflater.decompress(b"", _CHUNK)
        plain += rest
        if len(plain) > limit:
            raise _too_large(limit)
        if not rest and not inflater.eof:
            raise EOFError("it ends too early")
    return plain


def _pieces(stream: io.BufferedIOBase, headers: Message) -> Iterator[bytes]:
    """The body as it arrives; its framing is checked before the first piece."""
    lengths = headers.get_all("Content-Length", [])
    if "Transfer-Encoding" in headers:
        if lengths:
            raise RefusedError(
                HTTPStatus.BAD_REQUEST, "both Content-Length and Transfer-Encoding are given", framing_lost=True
            )
        if [coding.strip().lower() for coding in headers.get_all("Transfer-Encoding", [])] != ["chunked"]:
            raise RefusedError(
                HTTPStatus.NOT_IMPLEMENTED, "only the chunked transfer coding is known", framing_lost=True
            )
        yield from _chunks(stream)
        return
    if not lengths:
        raise RefusedError(HTTPStatus.LENGTH_REQUIRED, "the length of the body is missing", framing_lost=True)
    length = lengths[0]
    if len(set(lengths)) > 1 or not (length.isascii() and length.isdigit() and len(length) < 19):
        raise RefusedError(HTTPStatus.BAD_REQUEST, f"Content-Length is no length: {length!r:.80}", framing_lost=True)
    if int(length) > _MOST_DISCARDED:
        raise _too_large(_MOST_DISCARDED, framing_lost=True)
    yield from _exactly(stream, int(length))


def _chunks(stream: io.BufferedIOBase) -> Iterator[bytes]:
    while size := _chunk_size(stream):
        yield from _exactly(stream, size)
        if _line(stream):
            raise _bad_chunks()
    trailers = 0
    while _line(stream):
        trailers += 1
        if trailers > _MOST_TRAILERS:
            raise _bad_chunks()


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


def _exactly(stream: io.BufferedIOBase, length: int) -> Iterator[bytes]:
    # Piece by piece, so that a client that announces much and sends little makes us reserve little.
    while length:
        piece = stream.read(min(length, _CHUNK))
        if not piece:
            raise ConnectionResetError("the client went away in the middle of the body")
        yield piece
        length -= len(piece)


def _too_large(limit: int, *, framing_lost: bool = False) -> RefusedError:
    sentence = f"the body is larger than {limit} bytes"
    return RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, sentence, framing_lost=framing_lost)


def _bad_chunks() -> RefusedError:
    return RefusedError(HTTPStatus.BAD_REQUEST, "the chunked body is damaged", framing_lost=True)
