"""What is looked for: a trace id, or its first digits, in bytes and in fields; and in which time."""

from __future__ import annotations

import re

__all__ = ["AnyTrace", "Query"]

_DIGITS = 32
# Shorter, a decimal number is no sign of an id.
_FEWEST_DECIMAL = 12
_HEX = frozenset("0123456789abcdef")


class Query:
    """The digits of a trace id, in lower case: all 32 of them, or the first ones; times are ns since 1970.

    An id may be in upper case, which hardly any logger prints; Datadog's is the low half in decimal. A line without
    one of the `needles` holds no id.
    """

    longest = _DIGITS + 2  # bytes: an id, and one on each side of it

    def __init__(self, digits: str, since_ns: int | None = None, until_ns: int | None = None) -> None:
        self.digits = digits
        self.is_whole = len(digits) == _DIGITS
        # A prefix is looked for where a JSON string begins: elsewhere it would occur too often.
        before = b"" if self.is_whole else b'"'
        low = str(int(digits[_DIGITS // 2 :], 16)) if self.is_whole else ""
        self._decimal = low if len(low) >= _FEWEST_DECIMAL else digits
        decimal = self._decimal.encode() if self.is_whole else before + digits.encode()
        self.needles: tuple[bytes, bytes, bytes] = before + digits.encode(), before + digits.upper().encode(), decimal
        rest = b"[0-9a-f]{%d}" % (_DIGITS - len(digits))
        # No part of a longer number.
        pattern = rb"(?i)(?<![0-9a-f])(?:%s%s%s|%s)(?![0-9a-f])"
        self.find = re.compile(pattern % (before, digits.encode(), rest, decimal if self.is_whole else b"(?!)")).search
        self.is_bounded = since_ns is not None or until_ns is not None
        self._since_ns = since_ns or 0
        self._until_ns = float("inf") if until_ns is None else until_ns

    def is_in_time(self, ns: int) -> bool:
        return self._since_ns <= ns <= self._until_ns

    def matching_id(self, value: object) -> str | None:
        """The trace id that a field holds, in lower case, if it is one of those that are looked for."""
        if self.is_whole and str(value) == self._decimal:
            return self.digits
        if not isinstance(value, str):
            return None
        digits = value.rpartition("/")[2].lower()  # Google's form is projects/NAME/traces/ID
        return digits if len(digits) == _DIGITS and digits.startswith(self.digits) and _HEX.issuperset(digits) else None


class AnyTrace(Query):
    """Whatever the id: for a viewer, which shows all traces."""

    def __init__(self) -> None:
        super().__init__("0" * _DIGITS)
        self.digits = ""
        self.is_whole = False
        # Every object may have one.
        self.needles = (b'"', b'"', b'"')
        self.find = re.compile(rb"(?i)(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])").search

    def matching_id(self, value: object) -> str | None:
        found = super().matching_id(value)
        return found if found and found.strip("0") else None
