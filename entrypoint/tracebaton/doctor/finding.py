"""What the doctor finds: a status, a sentence, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import partial
from importlib.metadata import PackageNotFoundError, entry_points, version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Finding", "Status", "answer", "error", "installed", "names_in", "nearest", "ok", "warning", "worst"]


class Status(Enum):
    """`WARNING`: tracing works, but not as somebody may think. `ERROR`: spans are lost, or the start fails."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """`message` and `remedy` are without secrets, in as many sentences as needed; `remedy` is empty where all is well.

    `check` is filled in by the session. `asked`: it answers a question, and is told though all is well.
    """

    status: Status
    message: str
    remedy: str = ""
    check: str = ""
    asked: bool = False


ok = partial(Finding, Status.OK)
answer = partial(Finding, Status.OK, asked=True)
warning = partial(Finding, Status.WARNING)
error = partial(Finding, Status.ERROR)


def worst(findings: Iterable[Finding]) -> Status:
    """The gravest status; OK for no findings."""
    return max((finding.status for finding in findings), key=list(Status).index, default=Status.OK)


def nearest(name: str, known: Iterable[str]) -> str:
    """` (did you mean X?)` for the one of `known` that is spelled most alike, in whatever case; empty where none is."""
    from difflib import get_close_matches

    by_lower = {one.lower(): one for one in known}
    found = get_close_matches(name.lower(), by_lower, 1, 0.7)
    return f" (did you mean {by_lower[found[0]]}?)" if found else ""


def installed(distribution: str) -> str | None:
    """Its version; None where it is not installed."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def names_in(group: str) -> list[str]:
    """The names of the entry points of a group, in the order in which upstream finds them."""
    return list(dict.fromkeys(point.name for point in entry_points(group=group)))
