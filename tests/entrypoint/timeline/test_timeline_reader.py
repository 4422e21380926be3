"""tracebaton.timeline.reader"""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracebaton.timeline.merge import Match, Merge
from tracebaton.timeline.query import Query
from tracebaton.timeline.reader import LONGEST_LINE, Counts, LineReader

_TRACE = "391a6620fcc50438d304c4fe040d323c"
_OURS = json.dumps({"message": "ours", "trace_id": _TRACE}).encode()
_UPPER = json.dumps({"message": "ours", "trace_id": _TRACE.upper()}).encode()
_OTHER = json.dumps({"message": "other", "trace_id": "f" * 32}).encode()
_ELSEWHERE = json.dumps({"message": f"see {_TRACE}"}).encode()


class Output:
    """Keeps what is printed."""

    def __init__(self) -> None:
        self.matches: list[Match] = []

    def begin(self, summary: str, matches: list[Match]) -> None:
        pass

    def line(self, match: Match, depth: int, offset_ns: int | None) -> None:
        self.matches.append(match)


def scan(*blocks: bytes, digits: str = _TRACE) -> tuple[Counts, list[Match]]:
    output = Output()
    merge = Merge(digits, output)
    reader = LineReader(Query(digits), merge, "file", "file")
    for block in blocks:
        reader.feed(block)
    reader.finish()
    merge.print_due(everything=True)
    return reader.counts, output.matches


_LINES = st.lists(
    st.sampled_from(
        [_OURS, _UPPER, _OTHER, _ELSEWHERE, b"", b"text", b"  indented", b"Traceback (most recent call last):"]
    )
)


class TestCuts:
    @settings(max_examples=200)
    @given(_LINES, st.sampled_from([b"\n", b"\r\n"]), st.lists(st.integers(0, 2000)), st.sampled_from([b"", b"\n"]))
    def test_anywhere(self, lines: list[bytes], end: bytes, cuts: list[int], last: bytes) -> None:
        """Where the blocks are cut changes nothing, and every line is accounted for."""
        data = end.join(lines) + last
        positions = sorted({0, *(cut for cut in cuts if cut < len(data)), len(data)})
        blocks = [data[start:stop] for start, stop in pairwise(positions)]
        counts, matches = scan(*blocks)
        whole, expected = scan(data)
        assert counts == whole
        assert [(match.number, match.line, match.tail) for match in matches] == [
            (match.number, match.line, match.tail) for match in expected
        ]
        there = data.replace(b"\r\n", b"\n").removesuffix(b"\n").split(b"\n") if data else []
        assert counts.lines == len(there)
        assert [there[match.number - 1] for match in matches] == [line for line in there if line in {_OURS, _UPPER}]
        assert counts.elsewhere == there.count(_ELSEWHERE)
        plain = sum(not line.startswith(b"{") for line in there)
        assert counts.plain == plain - sum(len(match.tail) for match in matches)

    @pytest.mark.parametrize("prefix", [b"a-1  | ", b"\x1b[33ma_1 |\x1b[0m ", b"2026-11-22T20:17:09.1Z "])
    def test_prefixed(self, prefix: bytes) -> None:
        """JSON behind a prefix is not taken for text."""
        counts, matches = scan(
            b"".join(prefix + line + b"\n" for line in (b"text", _OTHER, _OURS, b"te | {xt", _OTHER))
        )
        assert (counts.lines, counts.plain, len(matches)) == (5, 2, 1)


class TestLongLines:
    def test_not_read(self) -> None:
        """A line longer than 1 MiB is not read, but counted if the id is in it, wherever a block ends."""
        half = LONGEST_LINE // 2
        line = b'{"trace_id":"' + _TRACE.encode() + b'","m":"' + b"a" * (3 * LONGEST_LINE) + b'"}\n'
        late = b"x" * (2 * LONGEST_LINE) + _TRACE.encode() + b"x\n"
        without = b"x" * (2 * LONGEST_LINE) + b"\n"
        data = _OURS + b"\n" + line + late + without + _OURS + b"\n"
        for size in (half - 7, 2 * LONGEST_LINE + 20, len(data)):
            counts, matches = scan(*(data[start : start + size] for start in range(0, len(data), size)))
            assert (counts.lines, counts.too_long, counts.first_too_long) == (5, 2, 2), size
            assert [match.number for match in matches] == [1, 5]

    def test_memory(self) -> None:
        """Only the end of a line that is too long is carried on."""
        reader = LineReader(Query(_TRACE), Merge(_TRACE, Output()), "file", "file")
        for _ in range(50):
            reader.feed(b"x" * (LONGEST_LINE // 4))
            assert len(reader._carry) <= LONGEST_LINE + LONGEST_LINE // 4


class TestPieces:
    def test_long_line(self) -> None:
        """`docker logs --timestamps` puts the time into a long line again and again, after 16 KiB each."""
        stamp = b"2026-11-22T20:17:09.123456789Z "
        line = json.dumps({"trace_id": _TRACE, "message": f"at {stamp.decode()}" + "x" * 60_000}).encode()
        pieces = [line[start : start + 16384] for start in range(0, len(line), 16384)]
        for prefix in (b"", b"a-1  | "):
            _, matches = scan(prefix + b"".join(stamp + piece for piece in pieces) + b"\n")
            assert [match.line for match in matches] == [line]


class TestQuery:
    def test_part_of_a_longer_number(self) -> None:
        assert len(scan(b"id=" + _TRACE.encode())[1]) == 1
        assert scan(b"hash=ab" + _TRACE.encode())[1] == []
        assert scan(b"hash=" + _TRACE.encode() + b"0")[1] == []

    def test_both_cases(self) -> None:
        data = b"\n".join((_OURS, _UPPER, _OTHER, _OURS))
        for digits in (_TRACE, _TRACE[:5]):
            assert len(scan(data, digits=digits)[1]) == 3

    def test_google(self) -> None:
        assert Query(_TRACE).matching_id(f"projects/p/traces/{_TRACE}") == _TRACE
