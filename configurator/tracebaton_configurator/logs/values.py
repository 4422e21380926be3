"""What JSON has no form for, in a form that every parser takes."""

from __future__ import annotations

import math
import re
from datetime import date, time
from typing import TYPE_CHECKING, Any

from tracebaton_configurator.logs.forms import NONE, json_form

if TYPE_CHECKING:
    from collections.abc import Callable

LONGEST_REPR = 1000  # characters
_DEEPEST = 50
_MOST_BITS = 4096  # CPython refuses to write numbers of more than 4300 digits


def bounded_repr(value: object) -> str:
    """`repr(value)` in at most 1000 characters, RFC 3339 for dates and times; never raises."""
    try:
        text = value.isoformat() if isinstance(value, (date, time)) else repr(value)
    except Exception as error:  # noqa: BLE001 (any __repr__ may raise anything)
        return f"<{type(value).__name__} whose repr raises {type(error).__name__}>"
    return text if len(text) <= LONGEST_REPR else text[:LONGEST_REPR] + "..."


def bounded_form(value: Any) -> Any:
    """What JSON users expect of the value, or its bounded repr."""
    form = json_form(value)
    return bounded_repr(value) if form is NONE else form


def plain(
    value: Any,
    above: tuple[int, ...] = (),
    shown_repr: Callable[[object], str] = bounded_repr,
    shown_form: Callable[[Any], Any] = bounded_form,
) -> Any:
    """`value` with everything that strict JSON has no form for as its bounded repr, keys included.

    That is numbers too long to write, what contains itself or nests deeper than 50 levels, and any other object that
    `json_form` has none for; NaN and the infinities are null. `above` holds the ids of what this value is in,
    `shown_repr` makes the bounded repr.
    """
    try:
        if value is None or isinstance(value, (str, bool)):
            return value
        if isinstance(value, int):
            return value if value.bit_length() <= _MOST_BITS else shown_repr(value)
        if isinstance(value, float):
            return value if math.isfinite(value) else None
        if id(value) in above or len(above) >= _DEEPEST:
            return shown_repr(value)
        inside = (*above, id(value))
        if isinstance(value, (dict, list, tuple)):
            if isinstance(value, dict):
                return {
                    _key(name, shown_form): plain(item, inside, shown_repr, shown_form) for name, item in value.items()
                }
            return [plain(item, inside, shown_repr, shown_form) for item in value]
        return plain(shown_form(value), inside, shown_repr, shown_form)
    except Exception:  # noqa: BLE001, S110 (a container of the application's own may raise anything)
        pass
    return shown_repr(value)


def _key(name: object, shown_form: Callable[[Any], Any]) -> str:
    return name if isinstance(name, str) else str(shown_form(name))


# An escaped backslash, to which what follows does not belong; a pair, which is one character; half a pair.
_SURROGATES = re.compile(r"\\\\|\\ud[89ab][0-9a-f]{2}\\ud[c-f][0-9a-f]{2}|\\u(d[89a-f][0-9a-f]{2})")


def without_lone_surrogates(line: str) -> str:
    r"""ASCII JSON in which half a surrogate pair, from a file name for instance, is shown as the text `\udc80`.

    Python writes and reads the escape of one; strict parsers refuse the whole line (RFC 8259, section 8.2).
    """
    return _SURROGATES.sub(_show, line) if "\\ud" in line else line


def _show(match: re.Match[str]) -> str:
    return f"\\\\u{match[1]}" if match[1] else match[0]
