"""What is looked for: a trace id, or its first digits, in bytes and in fields."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["DIGITS", "Query"]

DIGITS = 32
_HEX = frozenset("0123456789abcdef")


class Query:
    """The digits of a trace id, in lower case: all 32 of them, or the first ones."""

    longest = DIGITS + 2  # bytes: an occurrence, and one on each side of it

    def __init__(self, digits: str) -> None:
        self.digits = digits
        self.is_whole = len(digits) == DIGITS
        # A prefix is looked for where a JSON string begins: elsewhere it would occur too often.
        before = b"" if self.is_whole else b'"'
        self._needles = list(dict.fromkeys((before + digits.encode(), before + digits.upper().encode())))
        rest = DIGITS - len(digits)
        self._whole_id = re.compile(rb"(?i:%s%s[0-9a-f]{%d})(?![0-9a-fA-F])" % (before, digits.encode(), rest))

    def positions(self, data: bytes, end: int) -> Iterator[int]:
        """Yield in order where in `data[:end]` an id occurs, in lower or in upper case.

        `bytes.find` is several times as fast as a regular expression. Upper case, which hardly any logger prints, has
        a search of its own; where it does not occur that costs one quick pass.
        """
        following = {needle: data.find(needle, 0, end) for needle in self._needles}
        while found := [(at, needle) for needle, at in following.items() if at >= 0]:
            at, needle = min(found)
            if self.is_whole or self._whole_id.match(data, at, end):
                yield at
            following[needle] = data.find(needle, at + 1, end)

    def occurs_in(self, data: bytes) -> bool:
        return next(self.positions(data, len(data)), None) is not None

    def id_in_text(self, line: bytes) -> str | None:
        """The id, if it occurs in a line of text and is no part of a longer number; never for a prefix."""
        if not self.is_whole:
            return None
        for at in self.positions(line, len(line)):
            around = line[max(at - 1, 0) : at] + line[at + DIGITS : at + DIGITS + 1]
            if not _HEX.intersection(around.decode("latin-1").lower()):
                return self.digits
        return None

    def matching_id(self, value: object) -> str | None:
        """The trace id that a field holds, in lower case, if it is one of those that are looked for."""
        if not isinstance(value, str):
            return None
        digits = value.rpartition("/")[2].lower()  # Google's form is projects/NAME/traces/ID
        return digits if len(digits) == DIGITS and digits.startswith(self.digits) and _HEX.issuperset(digits) else None
