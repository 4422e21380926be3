"""`baggage`: what is read, what is sent."""

from __future__ import annotations

import time
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracebaton_configurator.propagation.w3c.baggage import (
    MAX_LENGTH,
    MAX_MEMBER_LENGTH,
    MAX_MEMBERS,
    format_baggage,
    parse_baggage,
)


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError


HEADERS = st.one_of(
    st.text('abK1=,; %2C\t-~"\\', max_size=40),
    st.lists(st.text("aZ9=.%", max_size=6), max_size=6).map(",".join),
    st.lists(st.from_regex(r"[a-c+~]{1,3}=[a-z=!.]{0,4}", fullmatch=True), max_size=200).map(", ".join),
)


@given(HEADERS)
def test_a_plain_header_is_read_as_any_other(header: str) -> None:
    """Two headers take the long way."""
    value = header.encode("ascii")
    assert parse_baggage([value]) == parse_baggage([value, b""])
    assert list(parse_baggage([value])) == list(parse_baggage([value, b""]))


@given(st.dictionaries(st.text("ab=,é 1%~", min_size=1, max_size=3), st.text("xy=,;é 1%~", max_size=4), max_size=5))
def test_plain_entries_are_written_as_any_other(entries: dict[str, str]) -> None:
    assert format_baggage(entries) == ",".join(f"{quote(k, safe='')}={quote(v, safe='')}" for k, v in entries.items())


class TestParse:
    def test_several_headers_are_one(self) -> None:
        assert parse_baggage([b"a=1", b"b=2, c=3"]) == {"a": "1", "b": "2", "c": "3"}

    @pytest.mark.parametrize(
        ("value", "found"),
        [
            (b"", {}),
            (b" , ,", {}),
            (b" a \t=\t 1 ", {"a": "1"}),
            (b"a=", {"a": ""}),
            (b"a=1=2", {"a": "1=2"}),
            (b"a=DF%2028,b=%C3%A9", {"a": "DF 28", "b": "é"}),
            (b"tz=+02:00,a+b=c%2Bd", {"tz": "+02:00", "a+b": "c+d"}),
            (b"a=%ff,b=%zz", {"a": "\ufffd", "b": "%zz"}),
            (b"a=1;p;q = 2 ; r", {"a": "1;p;q = 2 ; r"}),
            (b"a=1,a=2", {"a": "2"}),
        ],
    )
    def test_legal_members(self, value: bytes, found: dict[str, str]) -> None:
        assert parse_baggage([value]) == found

    @pytest.mark.parametrize(
        "member",
        [b"a", b"=1", b"a b=1", b"a=1 2", b'a="1"', b"a=1\\", b"a=\xff", "é=1".encode(), b"a=1;", b"a=1;=2", b"%20=1"],
    )
    def test_an_illegal_member_is_left_out_alone(self, member: bytes) -> None:
        assert parse_baggage([b"before=1," + member + b",after=2"]) == {"before": "1", "after": "2"}

    def test_180_members_stay(self) -> None:
        found = parse_baggage([b",".join(b"k%d=1" % number for number in range(MAX_MEMBERS + 20))])
        assert list(found) == [f"k{number}" for number in range(MAX_MEMBERS)]

    def test_64_members_of_8192_bytes_stay(self) -> None:
        """The least that a platform must propagate (section "Limits")."""
        member = b"%02d=" + b"x" * (MAX_LENGTH // 64 - 4)
        header = b",".join(member % number for number in range(64)) + b"y"
        assert len(header) == MAX_LENGTH
        assert len(parse_baggage([header])) == 64
        at = header.index(b",32=")
        assert len(parse_baggage([header[:at], header[at + 1 :]])) == 64

    def test_beyond_8192_bytes_whole_members_go(self) -> None:
        first, second = b"a=" + b"x" * 4094, b"b=" + b"y" * 4094
        assert len(first + b"," + second) > MAX_LENGTH
        assert list(parse_baggage([first + b"," + second + b",c=1"])) == ["a"]
        assert list(parse_baggage([first, second, b"c=1"])) == ["a"]

    def test_a_member_beyond_4096_bytes_goes(self) -> None:
        assert list(parse_baggage([b"a=" + b"x" * MAX_MEMBER_LENGTH + b",b=1"])) == ["b"]

    @pytest.mark.parametrize("value", [b"," * 10**7, b"a=;" * 10**6, b"a=1;b=" + b" " * 10**6 + b"\x00", b"=" * 10**6])
    def test_a_huge_header_takes_no_time(self, value: bytes) -> None:
        started = time.process_time()
        parse_baggage([value, value])
        assert time.process_time() - started < 0.1


class TestFormat:
    def test_names_and_values_are_encoded(self) -> None:
        assert format_baggage({"a b": "1,2", "é": 3, "tz": "+02:00"}) == "a%20b=1%2C2,%C3%A9=3,tz=%2B02%3A00"

    def test_what_is_written_can_be_read(self) -> None:
        entries = {"a": "1", "b c": "x=y;z", "d": "é\ufffd"}
        assert parse_baggage([format_baggage(entries).encode()]) == entries

    def test_what_cannot_be_sent_is_left_out(self) -> None:
        assert format_baggage({"a": Unprintable(), "\ud800": "1", "b": "\udfff", "": "1", "c": "2"}) == "c=2"

    def test_the_limits(self) -> None:
        assert format_baggage({"a": "x" * MAX_MEMBER_LENGTH, "b": "1"}) == "b=1"
        assert format_baggage({f"k{number}": 1 for number in range(999)}).count("=") == MAX_MEMBERS
        filled = format_baggage({"a": "x" * 4000, "b": "y" * 4000, "c": "z" * 4000, "d": 1})
        assert filled.endswith("y,d=1")
        assert len(filled) <= MAX_LENGTH
