"""Undoes the compression of a request, and stops where it grows beyond the limit."""

from __future__ import annotations

import zlib
from http import HTTPStatus

from tracebaton.view.refusal import RefusedError

__all__ = ["decompress"]

# Of a gzip body, each of which costs the time of a copy of what follows.
_MOST_MEMBERS = 100


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


def _inflate(body: bytes | bytearray, limit: int, *, gzip: bool) -> bytes:
    """Raises EOFError and zlib.error."""
    plain, data = b"", body
    for _ in range(_MOST_MEMBERS):
        inflater = zlib.decompressobj(31 if gzip else 15)
        plain += inflater.decompress(data, limit + 1 - len(plain))
        if len(plain) > limit:
            raise RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body is larger than {limit} bytes")
        if not inflater.eof:
            raise EOFError("it ends too early")
        data = inflater.unused_data.lstrip(b"\0")  # padding, as gzip.GzipFile has it
        if not data or not gzip:
            return plain
    raise EOFError(f"more than {_MOST_MEMBERS} gzip members")
