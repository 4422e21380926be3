"""Formatters whose text holds nothing that the record does not: they need not run when JSON is wanted.

Of any other formatter its text is used, for it may be there to hide something. So a formatter is known only as long as
each of its methods is that of its library, whoever replaces one, in the class or in the one object, and whenever.
"""

from __future__ import annotations

import logging
import sys
from typing import Any

_MODULES = {
    logging.Formatter: "logging",
    ("uvicorn.logging", "DefaultFormatter"): "uvicorn.logging",
    ("uvicorn.logging", "AccessFormatter"): "uvicorn.logging",
    ("uvicorn.logging", "ColourizedFormatter"): "uvicorn.logging",
}
_STYLES = (logging.PercentStyle, logging.StrFormatStyle, logging.StringTemplateStyle)
_METHODS = ("format", "formatException", "formatStack", "formatMessage", "formatTime", "usesTime")
_OVERRIDES = frozenset(_METHODS)
_STYLE_OVERRIDES = frozenset(("format", "_format", "usesTime"))
# For each class, the methods with which it was found to be known; what has been replaced since is looked at anew.
_known: dict[Any, tuple[Any, ...]] = {}


def is_known(formatter: logging.Formatter) -> bool:
    """Whether this formatter prints what is on the record, and as it is."""
    kind: Any = type(formatter)
    style: Any = getattr(formatter, "_style", None)
    if not _OVERRIDES.isdisjoint(formatter.__dict__) or not _STYLE_OVERRIDES.isdisjoint(getattr(style, "__dict__", ())):
        return False
    of_style: Any = type(style)
    try:
        methods = (
            kind.format,
            kind.formatException,
            kind.formatStack,
            kind.formatMessage,
            kind.formatTime,
            of_style.format,
            of_style._format,  # noqa: SLF001
        )
    except AttributeError:
        return False
    if _known.get((kind, of_style)) == methods:
        return True
    module = _MODULES.get(kind) or _MODULES.get((kind.__module__, kind.__qualname__))
    if module is None or of_style not in _STYLES:
        return False
    own = [vars(logging), vars(sys.modules.get(module, logging))]
    if not all(any(getattr(one, "__globals__", None) is names for names in own) for one in methods):
        return False
    _known[kind, of_style] = methods
    return True


def default_formatter() -> logging.Formatter:
    """What a handler without a formatter uses (Lib/logging/__init__.py, `Handler.format`)."""
    return getattr(logging, "_defaultFormatter", None) or logging.Formatter()
