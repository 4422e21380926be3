"""The sentences at the end: what was read, and what of it is not shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tracebaton.timeline.timestamps import to_text
from tracebaton_configurator.logs.printable import escaped_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tracebaton.timeline.merge import Match, Seen
    from tracebaton.timeline.query import Query
    from tracebaton.timeline.reader import Counts

__all__ = ["ambiguous", "counted", "not_found", "passed_over", "summary"]

_MOST_LISTED = 10
_MOST_SOURCES = 5


def summary(matches: Sequence[Match]) -> str:
    """`12 lines, 3 services, 15.2 ms, 2 errors`."""
    times = [match.time_ns for match in matches if match.time_ns is not None]
    parts = [counted(len(matches), "line"), counted(len({match.service for match in matches}), "service")]
    if len(times) > 1:
        ms = (max(times) - min(times)) / 1e6
        parts.append(f"{ms:.1f} ms" if ms < 10_000 else f"{ms / 1000:.3f} s")
    if errors := sum(match.is_error for match in matches):
        parts.append(counted(errors, "error"))
    return ", ".join(parts)


def passed_over(counts: Mapping[str, Counts], *, left_out: int = 0) -> Iterable[str]:
    """Yield a sentence for each kind of line that is not shown although it might be wanted; `counts` are by source."""
    if left_out:
        yield (
            f"{counted(left_out, 'later line')} of this trace left out, for memory is bounded: narrow it down with "
            "--since and --until, or name fewer files"
        )
    if plain := sum(each.plain for each in counts.values()):
        between = {name: each.plain_between for name, each in counts.items() if each.plain_between}
        sentence = f"{counted(plain, 'line')} without JSON passed over"
        if between:
            which = [f"{name}: {number}" for name, number in sorted(between.items())]
            which[_MOST_SOURCES:] = ["..."] if len(which) > _MOST_SOURCES else []
            sentence += f", {sum(between.values())} of them between lines of this trace ({', '.join(which)})"
        yield sentence
    if elsewhere := sum(each.elsewhere for each in counts.values()):
        name, first = next((name, each.first_elsewhere) for name, each in counts.items() if each.elsewhere)
        verb = "holds" if elsewhere == 1 else "hold"
        yield (
            f"{counted(elsewhere, 'line')} not shown, which {verb} the id, but not in a field for trace ids; "
            f"the first is line {first} of {name}"
        )
    if too_long := sum(each.too_long for each in counts.values()):
        name, first = next((name, each.first_too_long) for name, each in counts.items() if each.too_long)
        yield (
            f"{counted(too_long, 'line')} with the id not shown, for being longer than 1 MiB; "
            f"the first is line {first} of {name}"
        )


def not_found(query: Query, counts: Mapping[str, Counts]) -> str:
    lines = sum(each.lines for each in counts.values())
    which = f"trace {query.digits}" if query.is_whole else f"a trace that begins with {query.digits}"
    sentence = f"there is no line of {which} among {counted(lines, 'line')} of {counted(len(counts), 'source')}"
    if query.is_bounded:
        sentence += ", in the time that --since and --until leave"
    if lines and lines == sum(each.plain for each in counts.values()):
        sentence += "; none of them is JSON, as OTEL_TRACEBATON_LOGS=json would make them"
    return sentence


def ambiguous(digits: str, seen: Mapping[str, Seen], *, has_more: bool) -> Iterable[str]:
    """Yield a sentence, then a line for each of the first candidates."""
    number = f"more than {len(seen)}" if has_more else str(len(seen))
    yield f"{digits} begins the ids of {number} traces; give more digits"
    for trace_id, each in list(seen.items())[:_MOST_LISTED]:
        first = f"from {to_text(each.first_ns)}, " if each.first_ns is not None else ""
        yield f"  {trace_id}  {first}{counted(each.lines, 'line')} of {escaped_text(', '.join(each.services))}"
    if has_more or len(seen) > _MOST_LISTED:
        yield "  ..."


def counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
