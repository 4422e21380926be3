"""What a line may hold of a record that a formatter of the application's own has made text of.

Such a formatter may be there to hide something, and what it hid must stay hidden. So message, traceback, stack and
extras have fields of their own only as far as the text shows them word for word. Where it does not, the whole text is
the message.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from tracebaton_configurator.logs.events import RESERVED, without_colours
from tracebaton_configurator.logs.ids import Ids

if TYPE_CHECKING:
    from collections.abc import Mapping

# What uvicorn puts on its records beside the message, which has the same words.
_OF_SERVERS = ("color_message",)
_format_exception = logging.Formatter().formatException


class Made(str):
    """The message of a record that is a text which something of the application's own has made of another record."""

    __slots__ = ()

    def __reduce__(self) -> Any:
        """Whoever unpickles it may not know this class."""
        return str, (str(self),)


class Shown(logging.LogRecord):
    """A record of which the message is ready to be printed, whatever class the record had and however that got it."""

    def __init__(self, record: logging.LogRecord) -> None:
        self.__dict__.update(record.__dict__)

    def getMessage(self) -> str:  # noqa: N802 (the name is the standard library's)
        return self.msg


def shown_in(text: str, record: logging.LogRecord) -> Shown:
    """The record as the text shows it. `logging.LogRecord.getMessage` may raise."""
    shown = Shown(record)
    rest = text
    whole = True
    shown.exc_info = None
    shown.exc_text = record.exc_text or _traceback(record.exc_info)
    for name in ("exc_text", "stack_info"):
        part = shown.__dict__[name]
        if part and _is_in(part, rest):
            rest = rest.replace(part, "", 1)
        elif part:
            shown.__dict__[name], whole = None, False
    body = rest
    message = next((one for one in (record.getMessage(), record.__dict__.get("message")) if _is_in(one, rest)), None)
    if message is not None:
        rest = rest.replace(message, "", 1)
    extras = {
        name: value for name, value in record.__dict__.items() if name not in RESERVED and name not in Ids._fields
    }
    kept = shown_fields(rest, extras)
    for name in extras:
        if name not in kept:
            del shown.__dict__[name]
            whole &= name in _OF_SERVERS
    shown.__dict__.update(kept)
    if message is None or not whole:
        message = without_colours(body).strip()
    shown.msg, shown.args = message, None
    return shown


def shown_fields(text: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the fields that the text shows word for word, and those that have nothing to show."""
    kept: dict[str, Any] = {}
    for name, value in fields.items():
        if value is None or value is True or value is False:
            kept[name] = value
        elif is_word_in(value, text):
            # What JSON has no form for has been shown by its `str`; its repr may say more.
            kept[name] = value if isinstance(value, (str, int, float, dict, list, tuple)) else str(value)
    return kept


def _traceback(exc_info: Any) -> str | None:
    """As the standard library writes it, and so do most formatters."""
    try:
        return _format_exception(exc_info) if exc_info else None
    except Exception:  # noqa: BLE001 (an odd `exc_info`)
        return "\0"  # which is in no text


def _is_in(part: Any, text: str) -> bool:
    return isinstance(part, str) and part in text


def is_word_in(value: object, text: str) -> bool:
    """Whether the text shows the value, and not as a part of another word."""
    try:
        word = str(value)
        if not word:
            return True
        start = text.find(word)
        while start >= 0:
            end = start + len(word)
            if not (_goes_on(text[start - 1 : start], word[0]) or _goes_on(word[-1], text[end : end + 1])):
                return True
            start = text.find(word, start + 1)
    except Exception:  # noqa: BLE001, S110 (a __str__ of the application's may raise anything)
        pass
    return False


def _goes_on(left: str, right: str) -> bool:
    return left.isalnum() and right.isalnum()
