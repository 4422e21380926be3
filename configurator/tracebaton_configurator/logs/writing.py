"""Which handlers and streams are known to write what they are handed: only those may be handed a JSON line.

Of the handlers those of the standard library are. Neither a subclass, nor the object, nor a patch may have brought
another method: it may be there to hide something in the record or in the text. The same goes for whatever a stream
writes with; known are the ones that are not written in Python, and a few that servers and tools put in their place.
"""

from __future__ import annotations

import logging
from io import BufferedWriter, FileIO, TextIOWrapper
from types import BuiltinMethodType
from typing import Any

from tracebaton_configurator.logs import own, stock

# Where a handler's methods may come from, and who may ask a handler for a text to write it down unchanged.
# Checked with CPython 3.10 to 3.14 and concurrent-log-handler 0.9.
MODULES = frozenset(("logging", "logging.handlers", "concurrent_log_handler", own.__name__))
_METHODS = ("handle", "emit", "flush")
# By the function that writes: Flask's errors under gunicorn, standard streams of workers and of `colorama.init()`.
_STREAMS = frozenset(("codecs", "tempfile", "colorama", "dramatiq", "eventlet", "gevent", "gunicorn"))
_BELOW = ("buffer", "raw", "stream")
_DEEPEST = 5

_outcomes: dict[tuple[Any, ...], tuple[bool, bool]] = {}


def methods_of(handler: Any) -> tuple[bool, bool]:
    """Whether what a handler does between record and stream is the standard library's; and how it tells of errors."""
    try:
        kind, own_ones = type(handler), handler.__dict__
        key = (kind, kind.handle, kind.emit, kind.flush, kind.handleError, logging.StreamHandler.emit)
        outcome = _outcomes.get(key) or _outcome(key)
        if "emit" in own_ones or "handle" in own_ones or "flush" in own_ones:
            return False, outcome[1]
        return (outcome[0], False) if "handleError" in own_ones else outcome
    except Exception:  # noqa: BLE001 (whatever has a stream may call itself a handler)
        return False, False


def _outcome(key: tuple[Any, ...]) -> tuple[bool, bool]:
    kind = key[0]
    is_stock = all(_is_known(kind, name) for name in _METHODS) and _is_known(logging.StreamHandler, "emit")
    if len(_outcomes) >= stock.MOST_OUTCOMES:
        _outcomes.clear()
    outcome = _outcomes[key] = is_stock, _is_known(kind, "handleError")
    return outcome


def _is_known(kind: type, method: str) -> bool:
    owner = next(one for one in kind.__mro__ if method in one.__dict__)
    made = owner.__dict__[method]
    return owner.__module__ in MODULES and (hasattr(made, "of_tracebaton") or stock.comes_from(owner, method))


def is_file(stream: Any) -> bool:
    """Whether this is no stream in memory, of which somebody has to take the text somewhere else."""
    try:
        stream.fileno()
    except Exception:  # noqa: BLE001 (a stream of the application's own may be anything)
        return False
    return True


def passes_on(stream: Any) -> bool:
    """Whether this stream is known to write what it is handed. None is a file that is not open yet."""
    try:
        if type(stream) is TextIOWrapper and "write" not in stream.__dict__:  # mostly, and this is quick
            stream = stream.buffer
            if type(stream) is BufferedWriter and "write" not in stream.__dict__ and type(stream.raw) is FileIO:
                return True
        for _ in range(_DEEPEST):
            if stream is None:
                return True
            write = stream.write
            # Of a kind of its own where it needs its class: `FileIO.write` from CPython 3.12 on.
            if not isinstance(write, BuiltinMethodType) and _module_of(write) not in _STREAMS:
                return False
            stream = next((getattr(stream, name) for name in _BELOW if hasattr(stream, name)), None)
    except Exception:  # noqa: BLE001, S110 (see above)
        pass
    return False


def _module_of(function: Any) -> str:
    name: str = function.__globals__["__name__"]
    return name.partition(".")[0]
