"""Recognises a traceback that is printed as plain text, line by line."""

from __future__ import annotations

import re

__all__ = ["TracebackText"]

# `ZeroDivisionError: division by zero`, or without a message.
_EXCEPTION = re.compile(rb"[A-Za-z_][A-Za-z0-9_.]*(?::|$)")
_MOST_LINES = 400
_MOST_BYTES = 1 << 16
_BEGINNINGS = (b"Traceback (most recent call last)", b"+ Exception Group Traceback (most recent call last)")
# How the `traceback` module joins an exception to its cause or context.
_JOINTS = (b"During handling of the above exception", b"The above exception was the direct cause")


class TracebackText:
    """Of the lines below a log line, says which belong to its traceback: frames, the exception's line, its causes.

    Indented lines directly below a log line count too, as other languages print their frames. An exception whose
    message has several lines loses all but the first, for nothing tells them from other output.
    """

    def __init__(self) -> None:
        self._lines = self._bytes = 0
        self._in_frames = False
        self._begun = False

    def takes(self, line: bytes) -> bool:
        self._lines += 1
        self._bytes += len(line)
        if self._lines > _MOST_LINES or self._bytes > _MOST_BYTES or line.startswith(b"{"):
            return False
        stripped = line.strip()
        if stripped.startswith(_BEGINNINGS):
            self._in_frames = self._begun = True
            return True
        if line[:1] in {b" ", b"\t"} and stripped:
            return True
        if self._in_frames and _EXCEPTION.match(stripped):
            self._in_frames = False
            return True
        return self._begun and (not stripped or stripped.startswith(_JOINTS))
