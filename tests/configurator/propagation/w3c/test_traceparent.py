"""Parsing and writing `traceparent`."""

import pytest

from tracebaton_configurator.propagation.w3c.traceparent import MAX_LENGTH, format_traceparent, parse_traceparent

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"
VALID = f"00-{TRACE}-{SPAN}-01".encode()


def test_a_valid_header() -> None:
    assert parse_traceparent(VALID) == (int(TRACE, 16), int(SPAN, 16), 1)


@pytest.mark.parametrize(("written", "kept"), [("00", 0), ("01", 1), ("02", 2), ("ff", 3), ("09", 1), ("fc", 0)])
def test_unknown_flags_are_dropped(written: str, kept: int) -> None:
    for version in (b"00", b"01", b"fe"):
        parsed = parse_traceparent(version + VALID[2:-2] + written.encode())
        assert parsed == (int(TRACE, 16), int(SPAN, 16), kept)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"-",
        VALID + b"\n",
        b"\n" + VALID,
        b"\x0b" + VALID,
        VALID + b"\x00",
        VALID + b"," + VALID,
        VALID.replace(b"-", b"_"),
        VALID.replace(b"4bf", "4b\u0665".encode()),
        VALID.replace(b"4bf", b"4_f"),
        VALID.replace(b"4bf", b"0x4"),
        b"\xef\xbb\xbf" + VALID,
        b"cc" + VALID[2:] + b"-\xff",
        b"cc" + VALID[2:] + b"-a\nb",
        b"cc" + VALID[2:] + b"-" + b"x" * MAX_LENGTH,
        b" " * MAX_LENGTH + VALID,
        b"0" * 1_000_000,
    ],
)
def test_anything_else_is_no_header(value: bytes) -> None:
    assert parse_traceparent(value) is None


@pytest.mark.parametrize("ids", [(1, 1, 0), (2**128 - 1, 2**64 - 1, 3), (int(TRACE, 16), int(SPAN, 16), 1)])
def test_what_is_written_can_be_read(ids: tuple[int, int, int]) -> None:
    written = format_traceparent(*ids)
    assert len(written) == 55
    assert parse_traceparent(written.encode()) == ids


def test_unknown_flags_are_not_written() -> None:
    assert format_traceparent(1, 1, 0xFF).endswith("-03")
