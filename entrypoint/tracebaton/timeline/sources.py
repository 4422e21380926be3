"""Where lines come from, as blocks of bytes cut anywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["BLOCK", "CAUGHT_UP", "RESTARTED", "Source", "SourceError"]

BLOCK = 1 << 19

# What `Source.follow` yields between blocks; told from blocks by identity.
CAUGHT_UP = b""  # there is nothing more to read at present
RESTARTED = bytearray()  # what follows begins anew: a rotated file


class SourceError(Exception):
    """A source cannot be read, or not to its end; the message is a sentence without a full stop."""


class Source(Protocol):
    """`name` is for messages, `service` for lines that name none; `size` and `consumed` are bytes, for progress."""

    name: str
    service: str
    size: int | None
    consumed: int

    def blocks(self) -> Iterator[bytes]:
        """Yield what there is; raises SourceError."""

    def follow(self) -> Iterator[bytes | bytearray]:
        """Yield what there is and then what comes, CAUGHT_UP and RESTARTED in between; raises SourceError."""
