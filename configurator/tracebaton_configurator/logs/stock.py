"""Which formatters are known to print all of a record: only for those may a line be made of the record itself.

Known are the standard library's `Formatter` and uvicorn's, which gunicorn and hypercorn do with, too. They must be of
exactly that class and have all of their methods from the file that the class comes from: neither the class, nor the
object, nor its style may have been given another one. And the format must show the whole message. Anything else may be
there to hide something, so its text is what may be printed.

Checked with CPython 3.10 to 3.13 (Lib/logging/__init__.py), uvicorn 0.54 (uvicorn/logging.py).
"""

from __future__ import annotations

import logging
import re
from string import Template
from typing import Any

UNKNOWN, TEXT, MAY_BE_JSON, ONLY_THE_MESSAGE = 0, 1, 2, 3

_KNOWN = {
    ("logging", "Formatter"): ("message",),
    ("uvicorn.logging", "DefaultFormatter"): ("message",),
    ("uvicorn.logging", "ColourizedFormatter"): ("message",),
    # The message of an access line is this and the status; see `AccessFormatter.formatMessage`.
    ("uvicorn.logging", "AccessFormatter"): ("message", "request_line"),
}
# How each style writes a field whole: padded, but not cut by a precision, converted or looked into.
_WHOLE = {
    "PercentStyle": r"%\((?:{})\)[#0\- +]*\d*s",
    "StrFormatStyle": r"\{{(?:{})(?::[<>^]?\d*s?)?\}}",
    "StringTemplateStyle": r"\$(?:(?:{0})\b|\{{(?:{0})\}})",
}
_METHODS = ("format", "formatException", "formatStack", "formatMessage", "formatTime", "usesTime")
_METHODS_OF_STYLE = ("format", "_format", "usesTime")
_OF_OBJECT = frozenset((*_METHODS, "should_use_colors", "color_level_name", "get_status_code"))
_OF_STYLE = frozenset(_METHODS_OF_STYLE)
# Formats that add nothing to the message, which may be a JSON object that the application has made.
MESSAGE_ONLY = frozenset(("%(message)s", "{message}", "$message", "${message}"))

MOST_OUTCOMES = 256
_outcomes: dict[tuple[Any, ...], int] = {}


def what_it_prints(formatter: Any) -> int:
    """`UNKNOWN`: its text has to be used. The others print all of the record.

    `TEXT`; `MAY_BE_JSON`: its format writes an object by hand; `ONLY_THE_MESSAGE`: which may itself be an object.

    Methods and formats are part of the key under which a outcome is kept: what replaces one later is noticed.
    """
    try:
        kind, style = type(formatter), formatter._style  # noqa: SLF001 (no other way to see the style)
        styled: Any = type(style)
        key = (
            kind, kind.format, kind.formatException, kind.formatStack, kind.formatMessage, kind.formatTime,
            kind.usesTime, styled, styled.format, styled._format, styled.usesTime, style._fmt,  # noqa: SLF001
        )  # fmt: skip
        outcome = _outcomes.get(key)
        if outcome is None:
            outcome = _outcome(kind, styled, style._fmt)  # noqa: SLF001
            _keep(key, outcome)
        if (
            outcome
            and _OF_OBJECT.isdisjoint(formatter.__dict__)
            and _OF_STYLE.isdisjoint(style.__dict__)
            and (styled is not logging.StringTemplateStyle or _is_template_of(style))
        ):
            return outcome
    except Exception:  # noqa: BLE001, S110 (whatever has a method `format` may be a formatter)
        pass
    return UNKNOWN


def is_as_defined(formatter: Any, known: type) -> bool:
    """Whether neither a subclass nor somebody else has replaced a method of `known`, a formatter of some library's."""
    kind, style = type(formatter), type(formatter._style)  # noqa: SLF001 (see above)
    methods = [getattr(kind, name) for name in _METHODS]
    # Its `format` ends in the standard library's, which may have been replaced as well.
    key = (known, style, style.format, style._format, logging.Formatter.format, *methods)  # noqa: SLF001
    outcome = _outcomes.get(key)
    if outcome is None:
        same = methods == [getattr(known, name) for name in _METHODS] and style.__module__ == "logging"
        same = same and comes_from(known, *_METHODS) and comes_from(logging.Formatter, "format")
        outcome = int(same and comes_from(style, *_METHODS_OF_STYLE))
        _keep(key, outcome)
    return bool(outcome) and _OF_OBJECT.isdisjoint(formatter.__dict__) and _OF_STYLE.isdisjoint(vars(formatter._style))  # noqa: SLF001


def _keep(key: tuple[Any, ...], outcome: int) -> None:
    if len(_outcomes) >= MOST_OUTCOMES:
        _outcomes.clear()
    _outcomes[key] = outcome


def comes_from(kind: type, *methods: str) -> bool:
    """Whether these methods are the ones that the file of the class defines, or that of the class they come from."""
    for method in methods:
        owner = next((one for one in kind.__mro__ if method in one.__dict__), object)
        made, init = (getattr(one, "__code__", None) for one in (owner.__dict__.get(method), owner.__init__))  # type: ignore[misc]
        if made is None or init is None or made.co_filename != init.co_filename:
            return False
    return True


def _outcome(kind: type, styled: type, text_format: Any) -> int:
    fields = _KNOWN.get((kind.__module__, kind.__qualname__))
    whole = _WHOLE.get(styled.__qualname__) if styled.__module__ == "logging" else None
    if fields is None or whole is None or type(text_format) is not str:
        return UNKNOWN
    if not comes_from(kind, *_METHODS) or not comes_from(styled, *_METHODS_OF_STYLE):
        return UNKNOWN
    if kind.__module__ == "uvicorn.logging" and not comes_from(kind, "color_level_name", "should_use_colors"):
        return UNKNOWN
    if re.search(whole.format("|".join(fields)), text_format) is None:
        return UNKNOWN
    if text_format in MESSAGE_ONLY:
        return ONLY_THE_MESSAGE
    # `Formatter('{"message": "%(message)s"}')` is a common way to write JSON by hand; `{levelname}` is a field.
    opening = "{{" if styled.__qualname__ == "StrFormatStyle" else "{"
    return MAY_BE_JSON if text_format.lstrip().startswith(opening) else TEXT


def _is_template_of(style: Any) -> bool:
    template = style._tpl  # noqa: SLF001
    return type(template) is Template and template.template == style._fmt  # noqa: SLF001
