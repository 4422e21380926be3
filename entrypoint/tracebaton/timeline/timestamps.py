"""The forms in which loggers write a time, as nanoseconds since 1970."""

from __future__ import annotations

import math
import re
from calendar import timegm
from datetime import datetime, timedelta, timezone

__all__ = ["leading_ns", "to_ns", "to_text"]

# RFC 3339, and what asctime and str(datetime) make: "2026-11-22 20:17:09,013". Not \d, which is any script's.
_WRITTEN = re.compile(
    r"[\[(]?([0-9]{4})[-/]([0-9]{2})[-/]([0-9]{2})[T ]([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:[.,]([0-9]{1,18}))?)?"
    r" ?(Z|z|UTC|[+-][0-9]{2}:?[0-9]{2})?(?![0-9])"
)
_NUMBER = re.compile(r"[0-9]{9,20}(?:\.[0-9]{1,18})?")
# A count since 1970 tells its unit by its size: what is below this many is seconds, milliseconds, microseconds. As
# seconds the first is the year 5138, as milliseconds 1973.
_UNIT_LIMITS = ((1e11, 1_000_000_000), (1e14, 1_000_000), (1e17, 1000), (1e20, 1))
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def to_ns(value: object) -> int | None:
    """Return the time that a field holds: text, or a number of s, ms, us or ns since 1970; no zone means UTC."""
    if isinstance(value, str):
        text = value.strip()
        if _NUMBER.fullmatch(text):
            return _from_number(float(text) if "." in text else int(text))
        found = _WRITTEN.match(text)
        return _from_match(found) if found and found.end() == len(text) else None
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return _from_number(value)
    return None


def leading_ns(text: str) -> int | None:
    """Return the time that a line of text begins with, or None."""
    found = _WRITTEN.match(text)
    return _from_match(found) if found else None


def to_text(ns: int) -> str:
    """RFC 3339 in UTC with microseconds."""
    moment = _EPOCH + timedelta(microseconds=ns // 1000)
    return moment.isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def _from_match(found: re.Match[str]) -> int | None:
    year, month, day, hour, minute, second, fraction, zone = found.groups()
    try:
        moment = datetime(*map(int, (year, month, day, hour, minute)), tzinfo=timezone.utc)  # type: ignore[misc,arg-type]
    except ValueError:  # the 32nd of a month
        return None
    seconds = timegm(moment.timetuple()) + int(second or 0)  # 60, a leap second, runs over into the next minute
    if zone and zone[0] in "+-":
        offset = int(zone[1:3]) * 3600 + int(zone[-2:]) * 60
        seconds -= offset if zone[0] == "+" else -offset
    return _within_range(seconds * 1_000_000_000 + int((fraction or "").ljust(9, "0")[:9]))


def _from_number(number: float) -> int | None:
    if not (math.isfinite(number) and number >= 1e8):  # before March 1973: a count of something else
        return None
    for limit, factor in _UNIT_LIMITS:
        if number < limit:
            if isinstance(number, int):
                return _within_range(number * factor)
            # A float of this size is good for no more than microseconds.
            return _within_range(round(number * (factor / 1000)) * 1000)
    return None


def _within_range(ns: int) -> int | None:
    """Years 1 to 9999, which is what datetime can show."""
    return ns if -62_135_596_800 <= ns // 1_000_000_000 < 253_402_300_800 else None
