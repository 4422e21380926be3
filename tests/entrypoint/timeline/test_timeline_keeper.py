"""tracebaton.timeline.keeper"""

from __future__ import annotations

from tracebaton.timeline.keeper import RecordBuffer
from tracebaton.timeline.match import Match


def match(at: int, line: bytes = b"x", trace_id: str = "t") -> Match:
    return Match(trace_id, at, at, "file", 1, "a", "", "", line)


def test_order() -> None:
    """By time; lines of the same time as they were read."""
    keeper = RecordBuffer()
    for at, line in ((2, b"c"), (1, b"a"), (1, b"b"), (3, b"d")):
        keeper.add(match(at, line))
    assert [each.line for each in keeper.pop_all()] == [b"a", b"b", b"c", b"d"]


def test_most_lines() -> None:
    """The earliest are kept, in whatever order they come, and it is known how many were not."""
    keeper = RecordBuffer(most_lines=3)
    for at in (5, 1, 4, 2, 3):
        keeper.add(match(at))
    assert keeper.left_out == 2
    assert [each.time_ns for each in keeper.pop_all()] == [1, 2, 3]


def test_most_bytes() -> None:
    """Bytes count too, those of tracebacks among them."""
    keeper = RecordBuffer(most_bytes=100)
    early, late = match(1), match(2, b"x" * 60)
    keeper.add(late)
    keeper.add(early)
    assert keeper.left_out == 0
    assert keeper.extend(early, b"y" * 60)
    assert keeper.left_out == 1
    assert [each.tail for each in keeper.pop_all()] == [[b"y" * 60]]


def test_tail_of_one_left_out() -> None:
    """The traceback of a line that is left out is not kept."""
    keeper = RecordBuffer(most_lines=1)
    keeper.add(match(1))
    late = match(2)
    keeper.add(late)
    keeper.extend(late, b"y")
    assert late.tail == []


def test_second_trace() -> None:
    """As soon as there are two, nothing is kept but what tells them apart, of a thousand at most."""
    keeper = RecordBuffer()
    for number in range(1500):
        keeper.add(match(number, trace_id=str(number)))
    assert len(keeper) == 0
    assert len(keeper.seen) == 1000
    assert keeper.has_more_ids
