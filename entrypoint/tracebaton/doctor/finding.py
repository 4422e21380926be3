"""What the doctor finds: a status, a sentence, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Finding", "Status", "closest", "error", "nearest", "ok", "warning", "worst"]


class Status(Enum):
    """`WARNING`: tracing works, but not as somebody may think. `ERROR`: spans are lost, or the start fails."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """`message` and `remedy` are without secrets, in as many sentences as needed; `remedy` is empty where all is well.

    `check` is filled in by the session.
    """

    status: Status
    message: str
    remedy: str = ""
    check: str = ""


def ok(message: str, remedy: str = "") -> Finding:
    return Finding(Status.OK, message, remedy)


def warning(message: str, remedy: str = "") -> Finding:
    return Finding(Status.WARNING, message, remedy)


def error(message: str, remedy: str = "") -> Finding:
    return Finding(Status.ERROR, message, remedy)


def worst(findings: list[Finding]) -> Status:
    """The gravest status; OK for no findings."""
    order = list(Status)
    return max((finding.status for finding in findings), key=order.index, default=Status.OK)


def nearest(name: str, known: Iterable[str]) -> str:
    """` (did you mean X?)` for the name among `known` that is spelled most alike; empty where none is."""
    found = closest(name, known)
    return f" (did you mean {found}?)" if found else ""


def closest(name: str, known: Iterable[str]) -> str | None:
    """The name among `known` that is spelled most alike, whatever the case of its letters."""
    from difflib import get_close_matches

    by_lower = {one.lower(): one for one in known}
    found = get_close_matches(name.lower(), by_lower, 1, 0.7)
    return by_lower[found[0]] if found else None
