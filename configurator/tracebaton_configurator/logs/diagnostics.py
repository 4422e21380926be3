"""What OpenTelemetry itself complains about, as lines of the logger `tracebaton`: few, and not at a request's expense.

Upstream's loggers print each diagnostic whenever it comes up, in the middle of a request too, and as often as it does;
with upstream's logging instrumentation they are exported again. Here one is said once a minute, with the number of
those that were held back.
"""

from __future__ import annotations

import logging
import os
from collections import deque
from contextlib import suppress

from tracebaton_configurator.logs import own
from tracebaton_configurator.logs.ids import current_ids
from tracebaton_configurator.logs.limit import RateLimit
from tracebaton_configurator.patching import os_threads

_SECONDS = 60.0
_LOGGER = "opentelemetry"
_MOST_QUEUED = 100

_limit = RateLimit(_SECONDS)
_queued: deque[tuple[int, str]] = deque(maxlen=_MOST_QUEUED)
_telling = os_threads.allocate_lock()


def install() -> None:
    """Have what upstream's loggers print said by `tracebaton` instead, for all that is WARNING or worse.

    An application that configures the logger `opentelemetry` itself thereby takes it back.
    """
    logger = logging.getLogger(_LOGGER)
    if not any(isinstance(handler, _Diagnostics) for handler in logger.handlers):
        logger.addHandler(_Diagnostics(logging.WARNING))
        logger.propagate = False


def report(kind: str, message: str, level: int = logging.ERROR) -> None:
    """Say `message`, or hold it back when one of its kind was said within a minute. Never raises, never waits.

    Within a request, a thread of its own does the talking.
    """
    try:
        held = _limit.pass_or_hold(kind)
        if held is None:
            return
        if held:
            message = f"{message} ({held} more like this were held back)"
        if current_ids() is None:
            own.log(level, "%s", message)
            return
        _queued.append((level, message))
        if _telling.acquire(blocking=False):
            os_threads.Thread.start(_tell)
    except Exception:  # noqa: BLE001 (a diagnostic must not become one)
        with suppress(RuntimeError):
            _telling.release()


def shutdown_summary() -> str | None:
    """How many lines were held back and never mentioned; None for none."""
    held = _limit.held_back()
    return f"{held} more diagnostics like those above were held back." if held else None


def _tell() -> None:
    try:
        while _queued:
            level, message = _queued.popleft()
            with suppress(Exception):  # a handler of the application's may raise
                own.log(level, "%s", message)
    finally:
        _telling.release()


class _Diagnostics(own.LocklessHandler):
    """Does not listen to itself."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            message = record.getMessage()
            error = record.exc_info[1] if record.exc_info else None
            if error is not None:
                message += f": {type(error).__name__}: {error}"
        except Exception:  # noqa: BLE001 (a broken format string, or a __str__ that raises)
            message = repr(record.msg)
        message = f"OpenTelemetry ({record.name.removeprefix(_LOGGER + '.')}): {message}"
        # By the text before its values are filled in, so that a counter in a message does not make each a new kind.
        report(f"{record.name} {record.msg}", message, record.levelno)


def _renew() -> None:
    global _telling  # noqa: PLW0603 (the thread that holds it stayed in the parent)
    _telling = os_threads.allocate_lock()


os.register_at_fork(after_in_child=_renew)


def described(error: BaseException) -> str:
    """Type and message; the type alone where the exception's own `__str__` raises. Never raises."""
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:  # noqa: BLE001 (an application's `__str__` may do anything)
        return type(error).__name__


def report_error(sentence: str, error: BaseException) -> None:
    """Say that something failed; the request under way has nothing to do with it."""
    report(sentence, f"{sentence}: {described(error)}")
