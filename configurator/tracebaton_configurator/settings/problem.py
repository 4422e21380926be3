"""A wrong setting, as a sentence for a person."""

from __future__ import annotations

from dataclasses import dataclass
from re import compile as regex

_USERINFO = regex(r"(?<=//)[^/?#@\s]+@")
_URL_SUFFIXES = ("_ENDPOINT", "_PROXY", "_proxy")
# Values of these never appear anywhere: they are where people put tokens (OTLP exporter specification, "Headers").
SECRET_SUFFIXES = ("_HEADERS", "_CLIENT_KEY")


def masked(variable: str, value: str) -> str:
    """The value as it may be shown: header variables hidden whole, user:password@ hidden in URLs, 200 characters."""
    if variable.endswith(SECRET_SUFFIXES):
        return "***"
    shown = _USERINFO.sub("***@", value)
    if variable.endswith(_URL_SUFFIXES):
        if "@" in value:
            # Somebody's password, wherever it stands: without a scheme before it, or with a / or @ in it.
            scheme, separator, _ = value.rpartition("@")[0].partition("://")
            shown = f"{scheme + separator if separator else ''}***@{value.rpartition('@')[2]}"
        before, separator, _ = shown.partition("?")
        shown = f"{before}?***" if separator else shown  # a query may hold a key
    return shown if len(shown) <= 200 else shown[:200] + "..."


@dataclass(frozen=True, slots=True)
class Problem:
    """What was wrong with one variable, what is accepted, and what happens now.

    The dataclass's own repr would show the raw value, so it is the sentence instead.
    """

    variable: str
    value: str
    reason: str
    accepted: str
    effect: str

    def __str__(self) -> str:
        shown = masked(self.variable, self.value)
        return f"{self.variable}={shown!r} {self.reason} (expected {self.accepted}); {self.effect}."

    __repr__ = __str__
