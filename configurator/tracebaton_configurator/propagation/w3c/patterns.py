"""Patterns that are compiled by the first header that needs them: most processes see no baggage and no trace state."""

from __future__ import annotations

from functools import cache
from re import ASCII
from re import compile as regex
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


@cache
def fullmatch(pattern: Any) -> Callable[[Any], Any]:
    """The method of the compiled `pattern`, a str for texts or bytes for bytes."""
    return regex(pattern, ASCII).fullmatch
