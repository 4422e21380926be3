"""Standard streams that the program which started this one reads: what goes there stays as it is."""

from __future__ import annotations

from typing import Any

# Descriptors; see `startup.family`, which finds them out.
streams: frozenset[int] = frozenset()
_BOTH = {1, 2}


def is_captured(stream: Any) -> bool:
    """Whether what is written to this stream is read by the program that started this one.

    Where that reads both, it may read any file as well.
    """
    if not streams:
        return False
    if streams == _BOTH:
        return True
    try:
        return stream.fileno() in streams
    except Exception:  # noqa: BLE001 (a stream of the application's own may be anything)
        return False
