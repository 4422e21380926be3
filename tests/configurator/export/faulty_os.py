"""`os` as the spool sees it, with a disk that fails.

Any call may raise, writes may be short, and a process may be killed before any call or in the middle of a write.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

CALLS = (
    "open",
    "pwrite",
    "pread",
    "ftruncate",
    "unlink",
    "rename",
    "mkdir",
    "rmdir",
    "fstat",
    "stat",
    "lstat",
    "scandir",
)


class Killed(BaseException):
    """The process does not live any more."""


class FaultyOs:
    """Passes everything on to `os`. A fault is armed for the `after`-th of the calls from now on."""

    def __init__(self) -> None:
        self._after = -1
        self._errno: int | None = None
        self._only: str | None = None
        self._part = 0.5
        self.dead = False
        self.fired: str | None = None

    def arm(self, after: int, errno: int | None, only: str | None = None, part: float = 0.5) -> None:
        """`errno` None kills; `only` counts calls of that name alone; `part` is how much of a write is done before."""
        self._after, self._errno, self._only, self._part, self.fired = after, errno, only, part, None

    def disarm(self) -> None:
        self._after = -1

    def __getattr__(self, name: str) -> Any:
        real = getattr(os, name)
        return self._guarded(name, real) if name in CALLS else real

    def _guarded(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if self.dead:  # what would be tidied up, a process that is killed does not
                raise Killed
            if self._only in {None, name} and self._after >= 0:
                self._after -= 1
                if self._after < 0:
                    return self._fail(name, lambda *given: real(*given, **kwargs), args)
            return real(*args, **kwargs)

        return call

    def _fail(self, name: str, real: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        self.fired = name
        if name == "pwrite":
            part = args[1][: int(len(args[1]) * self._part)]
            written = real(args[0], part, args[2]) if part else 0
            if self._errno == 0:
                return written or real(*args)  # a short write, and no failure
        if self._errno is None:
            self.dead = True
            raise Killed
        if not self._errno:
            return real(*args)
        raise OSError(self._errno, os.strerror(self._errno))
