"""What JSON has no form for, in a form that every parser takes."""

from __future__ import annotations

import math
import re
from datetime import date, time
from json.encoder import encode_basestring_ascii as quoted_ascii
from typing import TYPE_CHECKING, Any

from tracebaton_configurator.logs.forms import NONE, json_form

if TYPE_CHECKING:
    from collections.abc import Callable

LONGEST_REPR = 1000  # characters
_DEEPEST = 50
# Objects with a form, in one value: those that refer to each other have many more ways through them than there are.
_MOST_FORMS = 500
_LEFT_OUT = "..."
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
    left: list[int] | None = None,
) -> Any:
    """`value` with everything that strict JSON has no form for as its bounded repr, keys included.

    That is numbers too long to write, what contains itself or nests deeper than 50 levels, and any other object that
    `json_form` has none for; NaN and the infinities are null. `above` holds the ids of what this value is in,
    `shown_repr` makes the bounded repr, `left` how many more forms of objects there may be.
    """
    left = [_MOST_FORMS] if left is None else left
    try:
        if value is None or isinstance(value, (str, bool)):
            return value
        if isinstance(value, int):
            return value if value.bit_length() <= _MOST_BITS else shown_repr(value)
        if isinstance(value, float):
            return value if math.isfinite(value) else None
        if id(value) in above or len(above) >= _DEEPEST:
            # The repr of objects that refer to each other would take as many ways.
            return shown_repr(value) if left[0] == _MOST_FORMS else _LEFT_OUT
        inside = (*above, id(value))
        if isinstance(value, (dict, list, tuple)):
            if isinstance(value, dict):
                return {
                    _key(name, shown_form): plain(item, inside, shown_repr, shown_form, left)
                    for name, item in value.items()
                }
            return [plain(item, inside, shown_repr, shown_form, left) for item in value]
        left[0] -= 1
        return plain(shown_form(value), inside, shown_repr, shown_form, left) if left[0] >= 0 else _LEFT_OUT
    except Exception:  # noqa: BLE001, S110 (a container of the application's own may raise anything)
        pass
    return shown_repr(value)


def _key(name: object, shown_form: Callable[[Any], Any]) -> str:
    return name if isinstance(name, str) else str(shown_form(name))


# Half a surrogate pair, or a whole one (one character); what a terminal obeys; what ends a line or reverses text.
_UNSAFE = re.compile("[\ud800-\udbff][\udc00-\udfff]|[\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_NOT_ASCII = re.compile("[^\x00-\x7f]")


def safe_line(line: str) -> str:
    r"""JSON that can be written as UTF-8 and stays one line wherever it is shown.

    Half a surrogate pair, from a file name for instance, is shown as the text `\udc80`: Python writes and reads the
    escape of one; strict parsers refuse the whole line (RFC 8259, section 8.2).
    """
    return line if line.isascii() and "\x7f" not in line else _UNSAFE.sub(_show, line)


def encodable(line: str, stream: Any) -> str:
    """JSON that this stream can write: what is not ASCII is escaped unless it writes UTF-8."""
    if line.isascii():
        return line
    try:
        encoding = stream.encoding
        if encoding is None or encoding.lower().replace("_", "-") in ("utf-8", "utf8"):
            return line
        line.encode(encoding)
    except AttributeError:  # a stream of the application's own: it takes text
        return line
    except (UnicodeError, LookupError):
        return _NOT_ASCII.sub(_escape, line)
    return line


def _show(match: re.Match[str]) -> str:
    found = match[0]
    if len(found) == 2:
        return found.encode("utf-16", "surrogatepass").decode("utf-16")
    return f"\\\\u{ord(found):04x}" if "\ud800" <= found <= "\udfff" else f"\\u{ord(found):04x}"


def _escape(match: re.Match[str]) -> str:
    return quoted_ascii(match[0])[1:-1]
