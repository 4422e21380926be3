"""A traceback shows the application's frames and its libraries', not those of what stands in between."""

from __future__ import annotations


def hide(error: BaseException) -> None:
    """To be called where `error` was caught, right before a bare `raise`: the caller's frame is in no traceback then.

    Before Python 3.11 it is: `raise` has kept the traceback by itself there.
    """
    if error.__traceback__ is not None:
        error.__traceback__ = error.__traceback__.tb_next
