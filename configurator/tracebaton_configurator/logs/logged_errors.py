"""Exceptions that are logged as errors, for whoever wants to know of the request within which they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

on_logged_error: Callable[[BaseException], object] | None = None
# What these report is not about the request within which they do.
_OF_NO_REQUEST = ("asyncio", "opentelemetry", "tracebaton")


def note_logged(exc_info: Any, logger: str | None) -> None:
    """To be called with type, value and traceback of a record of level ERROR and above. Never raises."""
    try:
        error = exc_info[1]
        if error is not None and on_logged_error is not None and (logger or "").partition(".")[0] not in _OF_NO_REQUEST:
            on_logged_error(error)
    except Exception:  # noqa: BLE001, S110 (an odd record, an odd exception: the line is printed all the same)
        pass
