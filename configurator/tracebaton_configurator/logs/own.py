"""The logger `tracebaton`: how this project speaks in the application's log.

Its lines pass by the locks that a stream and a handler have: whoever holds one may be the very thread that a signal has
interrupted, or a greenlet that waits. Nobody is waited for longer than `_SECONDS`, a reader of the pipe included.
"""

from __future__ import annotations

import io
import logging
import sys
from contextlib import suppress
from typing import Any

from tracebaton_configurator.logs.captured import is_captured
from tracebaton_configurator.patching import os_threads

NAME = "tracebaton"
_SECONDS = 0.5

ending = False
"""Whether the process has begun to end, in a thread that may have interrupted whatever another one was doing."""

_known = logging.getLogger(NAME)


class LocklessHandler(logging.Handler):
    """Keeps no lock while it speaks: it may be asked to in a signal handler, or within a request."""

    def createLock(self) -> None:  # noqa: N802 (the name is the standard library's)
        self.lock = None

    def handle(self, record: logging.LogRecord) -> bool | logging.LogRecord:  # type: ignore[override]
        """As `logging.Handler.handle`, which from CPython 3.13 on fails without a lock, inside a request too."""
        passed = self.filter(record)
        if passed:
            self.emit(passed if isinstance(passed, logging.LogRecord) else record)
        return passed


class _CurrentStderr(LocklessHandler, logging.StreamHandler):  # type: ignore[type-arg]
    """Writes to whatever `sys.stderr` is at that moment, as the standard library's last resort does."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Not where the program that started this one reads it, which expects what it would read without tracing."""
        try:
            stream = sys.stderr
            if is_captured(stream):
                return
            descriptor = _descriptor_of(stream)
            if descriptor is None:
                super().emit(record)
            else:
                line = self.format(record) + self.terminator
                os_threads.write(descriptor, line.encode(stream.encoding, "backslashreplace"), _SECONDS)
        except Exception:  # noqa: BLE001 (as every handler of the standard library does)
            self.handleError(record)

    def flush(self) -> None:
        """What goes past the stream does not wait in it; and the standard library's takes the lock."""
        if _descriptor_of(sys.stderr) is None and hasattr(sys.stderr, "flush"):
            sys.stderr.flush()

    @property
    def stream(self) -> Any:
        return sys.stderr

    @stream.setter
    def stream(self, _: Any) -> None:
        """`logging.config` and tests may set it; this handler keeps following `sys.stderr`."""


def _descriptor_of(stream: Any) -> int | None:
    """Where a plain text stream ends up; None for one of the application's making, which may do more than write."""
    if type(stream) is not io.TextIOWrapper:
        return None
    raw = getattr(stream.buffer, "raw", stream.buffer)
    return raw.fileno() if type(raw) is io.FileIO else None


def _logger() -> logging.Logger:
    """The logger, ready to print.

    The application has usually not configured logging yet when the first line is due, and `disable_existing_loggers`
    switches off whatever exists when it does: so it has a handler and a level of its own, unless somebody gave it some.
    """
    logger = _known
    logger.disabled = False
    if not logger.handlers:
        handler = _CurrentStderr()
        handler.setFormatter(logging.Formatter("%(levelname)s: %(name)s: %(message)s"))
        logger.addHandler(handler)
        logger.propagate = False
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.INFO)
    return logger


def debug(message: str, *args: object) -> None:
    log(logging.DEBUG, message, *args)


def info(message: str, *args: object) -> None:
    log(logging.INFO, message, *args)


def warning(message: str, *args: object) -> None:
    log(logging.WARNING, message, *args)


def error(message: str, *args: object) -> None:
    log(logging.ERROR, message, *args)


def log(level: int, message: str, *args: object) -> None:
    if ending:
        _log_in_time(level, message, args)
    else:
        _logger().log(level, message, *args)


def _log_in_time(level: int, message: str, args: tuple[object, ...]) -> None:
    """Through `logging`; but where that waits, for one of its own locks perhaps, straight to where errors go."""

    def say() -> None:
        with suppress(Exception):  # a handler of the application's may raise
            _logger().log(level, message, *args)

    try:
        thread = os_threads.Thread.start(say)
    except RuntimeError:  # the interpreter has begun to end, which no thread was interrupted for
        say()
        return
    if not thread.join(_SECONDS + 0.1):
        # Not as a record: the making of one asks `threading` for the name of its thread, under a lock.
        line = f"{logging.getLevelName(level)}: {NAME}: {message % args}\n"
        with suppress(OSError):
            os_threads.write(2, line.encode("utf-8", "backslashreplace"), _SECONDS)
