"""tracebaton.view.http_body"""

from __future__ import annotations

import contextlib
import gzip
import io
import resource
import socket
import zlib
from email.message import Message
from http import HTTPStatus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracebaton.view.http_body import DeadlineReader, RefusedError, decompress, read_body

LIMIT = 1000


def read(data: bytes, **headers: str) -> tuple[bytes, bytes]:
    """Return the body and what is left in the stream."""
    message = Message()
    for name, value in headers.items():
        message[name.replace("_", "-")] = value
    stream = io.BytesIO(data)
    return read_body(stream, message, LIMIT), stream.read()


class TestReadBody:
    def test_length(self) -> None:
        assert read(b"abcNEXT", Content_Length="3") == (b"abc", b"NEXT")

    def test_chunked(self) -> None:
        """Chunks, their extensions and trailers, and not a byte more."""
        data = b"3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\nNEXT"
        assert read(data, Transfer_Encoding="chunked") == (b"abc0123456789", b"NEXT")

    @pytest.mark.parametrize(
        ("data", "headers", "status"),
        [
            (b"", {}, 411),
            (b"", {"Content_Length": "-1"}, 400),
            (b"", {"Content_Length": "²"}, 400),
            (b"", {"Content_Length": "9" * 5000}, 400),
            (b"", {"Transfer_Encoding": "gzip, chunked"}, 501),
            (b"xyz\r\n", {"Transfer_Encoding": "chunked"}, 400),
            (b"-3\r\nabc\r\n0\r\n\r\n", {"Transfer_Encoding": "chunked"}, 400),
            (b"3\r\nabcd\r\n0\r\n\r\n", {"Transfer_Encoding": "chunked"}, 400),
            (b"3\r\nabc\r\n", {"Transfer_Encoding": "chunked"}, 400),
            (b"1" * 5000, {"Transfer_Encoding": "chunked"}, 400),
        ],
    )
    def test_refused(self, data: bytes, headers: dict[str, str], status: int) -> None:
        """Where the next request would start is unknown then, so the connection is of no more use."""
        with pytest.raises(RefusedError) as refusal:
            read(data, **headers)
        assert refusal.value.status == status
        assert refusal.value.framing_lost

    @pytest.mark.parametrize(
        ("data", "headers"),
        [
            (b"x" * (LIMIT + 1), {"Content_Length": str(LIMIT + 1)}),
            (
                b"320\r\n" + b"x" * 800 + b"\r\n320\r\n" + b"x" * 800 + b"\r\n0\r\n\r\n",
                {"Transfer_Encoding": "chunked"},
            ),
        ],
    )
    def test_too_large(self, data: bytes, headers: dict[str, str]) -> None:
        """It is read to its end all the same, so that the client gets the answer and may go on."""
        message = Message()
        for name, value in headers.items():
            message[name.replace("_", "-")] = value
        stream = io.BytesIO(data + b"NEXT")
        with pytest.raises(RefusedError) as refusal:
            read_body(stream, message, LIMIT)
        assert refusal.value.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        assert not refusal.value.framing_lost
        assert stream.read() == b"NEXT"

    def test_client_went_away(self) -> None:
        with pytest.raises(ConnectionResetError):
            read(b"ab", Content_Length="3")


class TestDecompress:
    @given(st.binary(max_size=LIMIT))
    def test_round_trip(self, plain: bytes) -> None:
        assert decompress(gzip.compress(plain), "gzip", LIMIT) == plain
        assert decompress(zlib.compress(plain), "deflate", LIMIT) == plain
        assert decompress(plain, "", LIMIT) == plain

    def test_members(self) -> None:
        assert decompress(gzip.compress(b"a") + gzip.compress(b"b"), " GZIP ", LIMIT) == b"ab"

    @pytest.mark.parametrize("coding", ["gzip", "deflate"])
    def test_bomb(self, coding: str) -> None:
        """A few bytes that would become 256 MiB cost about the limit."""
        compressor = zlib.compressobj(wbits=31 if coding == "gzip" else 15)
        bomb = b"".join(compressor.compress(bytes(1 << 20)) for _ in range(256)) + compressor.flush()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with pytest.raises(RefusedError) as refusal:
            decompress(bomb, coding, 1 << 20)
        assert refusal.value.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50 * 1024  # KiB

    @pytest.mark.parametrize("coding", ["gzip", "deflate"])
    @pytest.mark.parametrize("cut", [1, 8, 12])
    def test_cut_short(self, coding: str, cut: int) -> None:
        whole = gzip.compress(b"hello world") if coding == "gzip" else zlib.compress(b"hello world")
        with pytest.raises(RefusedError) as refusal:
            decompress(whole[:-cut], coding, LIMIT)
        assert refusal.value.status == HTTPStatus.BAD_REQUEST

    @given(st.binary(min_size=1), st.sampled_from(["gzip", "deflate"]))
    def test_noise(self, body: bytes, coding: str) -> None:
        """Any bytes decompress or are refused; nothing else comes out."""
        with contextlib.suppress(RefusedError):
            assert len(decompress(body, coding, LIMIT)) <= LIMIT

    def test_unknown_coding(self) -> None:
        with pytest.raises(RefusedError) as refusal:
            decompress(b"", "br", LIMIT)
        assert refusal.value.status == HTTPStatus.UNSUPPORTED_MEDIA_TYPE


class TestDeadlineReader:
    def test_drip(self) -> None:
        """Bytes that keep coming do not put off the deadline."""
        now = 0.0
        here, there = socket.socketpair()
        with here, there:
            reader = DeadlineReader(here, clock=lambda: now)
            reader.allow(1)
            there.sendall(b"abc")
            assert reader.read(1) == b"a"
            now = 0.9
            assert reader.read(1) == b"b"
            now = 1.0
            with pytest.raises(TimeoutError):
                reader.read(1)

    def test_silence(self) -> None:
        here, there = socket.socketpair()
        with here, there:
            reader = DeadlineReader(here)
            reader.allow(0.05)
            with pytest.raises(TimeoutError):
                reader.read(1)
