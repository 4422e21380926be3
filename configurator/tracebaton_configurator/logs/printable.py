"""Text of strangers, as it may stand in a line of log or on a terminal."""

from __future__ import annotations


def printable_text(text: str) -> str:
    """On one line, and without what would steer a terminal: a space stands for each such character."""
    return text if text.isprintable() else "".join(char if char.isprintable() else " " for char in text)


def escaped_text(text: str) -> str:
    """Show what a terminal would obey (escape sequences, line ends, direction marks) as its Python escape."""
    return text if text.isprintable() else "".join(char if char.isprintable() else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    if "\udc80" <= char <= "\udcff":  # a byte that was no UTF-8, decoded with `surrogateescape`
        return f"\\x{ord(char) - 0xDC00:02x}"
    return char.encode("unicode_escape").decode("ascii")
