"""tracebaton.timeline.record_buffer"""

from __future__ import annotations

from tracebaton.timeline.match import Match
from tracebaton.timeline.record_buffer import RecordBuffer


def match(at: int, line: bytes = b"x", trace_id: str = "t") -> Match:
    return Match(trace_id, at, at, "file", 1, "a", "", "", line)


def test_order() -> None:
    """By time; lines of the same time as they were read."""
    buffer = RecordBuffer()
    for at, line in ((2, b"c"), (1, b"a"), (1, b"b"), (3, b"d")):
        buffer.add(match(at, line))
    assert [each.line for each in buffer.pop_all()] == [b"a", b"b", b"c", b"d"]


def test_most_lines() -> None:
    """The earliest are kept, in whatever order they come, and it is known how many were not."""
    buffer = RecordBuffer(most_lines=3)
    for at in (5, 1, 4, 2, 3):
        buffer.add(match(at))
    assert buffer.left_out == 2
    assert [each.time_ns for each in buffer.pop_all()] == [1, 2, 3]


def test_most_bytes() -> None:
    """Bytes count too, those of tracebacks among them."""
    buffer = RecordBuffer(most_bytes=100)
    early, late = match(1), match(2, b"x" * 60)
    buffer.add(late)
    buffer.add(early)
    assert buffer.left_out == 0
    assert buffer.extend(early, b"y" * 60)
    assert buffer.left_out == 1
    assert [each.tail for each in buffer.pop_all()] == [[b"y" * 60]]


def test_tail_of_one_left_out() -> None:
    """The traceback of a line that is left out is not kept."""
    buffer = RecordBuffer(most_lines=1)
    buffer.add(match(1))
    late = match(2)
    buffer.add(late)
    buffer.extend(late, b"y")
    assert late.tail == []


def test_second_trace() -> None:
    """As soon as there are two, nothing is kept but what tells them apart, of a thousand at most."""
    buffer = RecordBuffer()
    for number in range(1500):
        buffer.add(match(number, trace_id=str(number)))
    assert len(buffer) == 0
    assert len(buffer.seen) == 1000
    assert buffer.has_more_ids
