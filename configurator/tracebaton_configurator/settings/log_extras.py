"""`OTEL_TRACEBATON_LOG_EXTRAS`: a word, or the names of the extras that are written."""

from __future__ import annotations

from re import compile as regex
from typing import TYPE_CHECKING, Literal, cast

if TYPE_CHECKING:
    LogExtras = Literal["masked", "all", "none"] | frozenset[str]

_WORDS = ("masked", "all", "none")
# Whoever writes one of these means no extra of that name.
_NO_NAMES = frozenset(("true", "false", "on", "off", "yes", "no", "mask", "redact", "redacted", "default", "*"))
_NAME = regex(r"[^\s,;=\"']+")

ACCEPTED = "masked, all, none or names such as user,order"


def parse_log_extras(value: str) -> LogExtras:
    """`masked`, `all`, `none`, or a set of names. Raises ValueError with what is wrong."""
    lowered = value.lower()
    if lowered in _WORDS:
        return cast("LogExtras", lowered)
    names = frozenset(name.strip() for name in value.split(",") if name.strip())
    if not names:
        raise ValueError("names nothing")
    if any(name.lower() in _WORDS for name in names):
        raise ValueError("combines a word with names")
    if lowered in _NO_NAMES or not all(_NAME.fullmatch(name) for name in names):
        raise ValueError("is unknown")
    return names
