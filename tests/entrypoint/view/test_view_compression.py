"""tracebaton.view.compression"""

from __future__ import annotations

import contextlib
import gzip
import resource
import zlib
from http import HTTPStatus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracebaton.view.compression import decompress
from tracebaton.view.refusal import RefusedError

LIMIT = 1000


class TestDecompress:
    @given(st.binary(max_size=LIMIT))
    def test_round_trip(self, plain: bytes) -> None:
        assert decompress(gzip.compress(plain), "gzip", LIMIT) == plain
        assert decompress(zlib.compress(plain), "deflate", LIMIT) == plain
        assert decompress(plain, "", LIMIT) == plain

    def test_members(self) -> None:
        assert decompress(gzip.compress(b"a") + gzip.compress(b"b"), " GZIP ", LIMIT) == b"ab"

    def test_as_much_as_there_may_be(self) -> None:
        plain = bytes(LIMIT)
        assert decompress(gzip.compress(plain), "gzip", LIMIT) == plain
        assert decompress(gzip.compress(plain) + gzip.compress(b"") + bytes(9), "gzip", LIMIT) == plain
        for bytes_ in (gzip.compress(plain + b"x"), gzip.compress(plain) + gzip.compress(b"x")):
            with pytest.raises(RefusedError) as refusal:
                decompress(bytes_, "gzip", LIMIT)
            assert refusal.value.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE

    def test_members_without_end(self) -> None:
        with pytest.raises(RefusedError) as refusal:
            decompress(gzip.compress(b"") * 101, "gzip", LIMIT)
        assert refusal.value.status == HTTPStatus.BAD_REQUEST

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
