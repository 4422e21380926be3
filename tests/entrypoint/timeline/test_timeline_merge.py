"""tracebaton.timeline.merge"""

from __future__ import annotations

import pytest

from tracebaton.timeline.merge import AmbiguousError, Match, Merge


def match(at: int, line: bytes = b"x", trace_id: str = "t") -> Match:
    return Match(trace_id, at, at, "file", 1, "a", "", "", line)


class Merged(Merge):
    """Whose output is kept."""

    def __init__(self, **bounds: int) -> None:
        super().__init__("t", self, **bounds)  # type: ignore[arg-type]
        self.printed: list[Match] = []

    def begin(self, summary: str, matches: list[Match]) -> None:
        pass

    def line(self, match: Match, depth: int, offset_ns: int | None) -> None:
        self.printed.append(match)

    def all(self) -> list[Match]:
        self.print_due(everything=True)
        return self.printed


def test_order() -> None:
    """By time; lines of the same time as they were read."""
    merge = Merged()
    for at, line in ((2, b"c"), (1, b"a"), (1, b"b"), (3, b"d")):
        merge.add(match(at, line))
    assert [each.line for each in merge.all()] == [b"a", b"b", b"c", b"d"]


def test_most_lines() -> None:
    """The earliest are kept, in whatever order they come, and it is known how many were not."""
    merge = Merged(most_lines=3)
    for at in (5, 1, 4, 2, 3):
        merge.add(match(at))
    assert merge.left_out == 2
    assert [each.time_ns for each in merge.all()] == [1, 2, 3]


def test_most_bytes() -> None:
    """Bytes count too, those of tracebacks among them."""
    merge = Merged(most_bytes=100)
    early, late = match(1), match(2, b"x" * 60)
    merge.add(late)
    merge.add(early)
    assert merge.left_out == 0
    assert merge.extend(early, b"y" * 60)
    assert merge.left_out == 1
    assert [each.tail for each in merge.all()] == [[b"y" * 60]]
    assert merge._bytes == 0


def test_tail_of_one_left_out() -> None:
    """The traceback of a line that is left out is not kept."""
    merge = Merged(most_lines=1)
    merge.add(match(1))
    late = match(2)
    merge.add(late)
    assert merge.extend(late, b"y")
    assert late.tail == []


def test_tails_of_several_sources() -> None:
    """Lines of another source in between do not end a traceback; what has been printed is not added to."""
    merge = Merged()
    first, second = match(1), match(2)
    merge.add(first)
    merge.add(second)
    assert merge.extend(first, b"y")
    assert first.tail == [b"y"]
    merge.all()
    assert not merge.extend(first, b"z")


def test_second_trace() -> None:
    """As soon as there are two, nothing is kept but what tells them apart, of a thousand at most."""
    merge = Merged()
    for number in range(1500):
        merge.add(match(number, trace_id=str(number)))
    assert merge._matches == []
    assert len(merge._seen) == 1000
    with pytest.raises(AmbiguousError, match="begins the ids of more than 1000 traces"):
        merge.all()


def test_other_trace_later() -> None:
    """What comes after the first line was printed belongs to its trace, or is left out and counted."""
    merge = Merged()
    merge.add(match(1))
    merge.all()
    merge.add(match(2, trace_id="other"))
    merge.add(match(3))
    assert [each.time_ns for each in merge.all()] == [1, 3]
    assert merge.other_traces == 1
