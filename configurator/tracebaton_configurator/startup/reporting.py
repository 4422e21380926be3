"""What happens with a wrong setting: it is said, and under `OTEL_TRACEBATON_STRICT=true` the process ends."""

from __future__ import annotations

import logging
import os
import sys
from typing import TYPE_CHECKING

from tracebaton_configurator.logs import own
from tracebaton_configurator.logs.deduplication import is_new
from tracebaton_configurator.startup.elders import has_elder
from tracebaton_configurator.startup.state import STATE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tracebaton_configurator.settings import Problem

# EX_CONFIG of sysexits.h: "something was found in an unconfigured or misconfigured state".
STATUS_WRONG_SETTING = 78


def report(problems: Iterable[Problem], *, strict: bool) -> None:
    """One error line for each, once for all workers.

    With `strict`, and if there was one, the process ends here with status 78.
    """
    found = False
    for problem in problems:
        found = True
        say_once(logging.ERROR, str(problem))
    if found and strict:
        _end()


def report_notes(notes: Iterable[tuple[str, str]]) -> None:
    """One warning for each, once for all workers; they are no mistakes."""
    for _, sentence in notes:
        say_once(logging.WARNING, sentence)


def say_once(level: int, line: str) -> None:
    """At DEBUG where it has been said by this process, or one that it comes from."""
    own.log(level if is_new(line) else logging.DEBUG, "%s", line)


def say_once_for_workers(level: int, line: str) -> None:
    """The same of what turns out in workers alone, whose parent has not said it."""
    is_worker = STATE.line_said_in != os.getpid()
    own.log(level if is_new(line) and not (is_worker and has_elder()) else logging.DEBUG, "%s", line)


def report_failure(error: Exception, *, strict: bool) -> None:
    """One error line for a start that failed, whatever the step; with `strict` the process ends here as above."""
    own.error("Tracing could not start, the application runs untraced: %s: %s", type(error).__name__, error)
    if strict:
        _end()


def _end() -> None:
    own.error(
        "OTEL_TRACEBATON_STRICT=true: the process ends here with status %d, before the application starts.",
        STATUS_WRONG_SETTING,
    )
    sys.stderr.flush()
    # An exception would be swallowed by the launcher, and SystemExit in `site` becomes status 1.
    os._exit(STATUS_WRONG_SETTING)
