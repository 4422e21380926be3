"""The logger `tracebaton`: how this project speaks in the application's log."""

from __future__ import annotations

import logging
import sys
from typing import Any

from tracebaton_configurator.logs.captured import is_captured

NAME = "tracebaton"


class _CurrentStderr(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes to whatever `sys.stderr` is at that moment, as the standard library's last resort does."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> Any:
        return sys.stderr

    @stream.setter
    def stream(self, _: Any) -> None:
        """`logging.config` and tests may set it; this handler keeps following `sys.stderr`."""

    def emit(self, record: logging.LogRecord) -> None:
        """Not where the program that started this one reads it, which expects what it would read without tracing."""
        if not is_captured(self.stream):
            super().emit(record)


def _logger() -> logging.Logger:
    """The logger, ready to print.

    The application has usually not configured logging yet when the first line is due, and `disable_existing_loggers`
    switches off whatever exists when it does: so it has a handler and a level of its own, unless somebody gave it some.
    """
    logger = logging.getLogger(NAME)
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
    _logger().debug(message, *args)


def info(message: str, *args: object) -> None:
    _logger().info(message, *args)


def warning(message: str, *args: object) -> None:
    _logger().warning(message, *args)


def error(message: str, *args: object) -> None:
    _logger().error(message, *args)


def log(level: int, message: str, *args: object) -> None:
    _logger().log(level, message, *args)
