"""What happens with a wrong setting: it is said, and under `OTEL_TRACEBATON_STRICT=true` the process ends."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from tracebaton_configurator.logs import own

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tracebaton_configurator.settings import Problem

# EX_CONFIG of sysexits.h: "something was found in an unconfigured or misconfigured state".
STATUS_WRONG_SETTING = 78


def report(problems: Iterable[Problem], *, strict: bool) -> None:
    """One error line for each; with `strict`, and if there was one, the process ends here with status 78."""
    found = False
    for problem in problems:
        found = True
        own.error("%s", problem)
    if found and strict:
        own.error(
            "OTEL_TRACEBATON_STRICT=true: the process ends here with status %d, before the application starts.",
            STATUS_WRONG_SETTING,
        )
        sys.stderr.flush()
        # An exception would be swallowed by the launcher, and SystemExit in `site` becomes status 1.
        os._exit(STATUS_WRONG_SETTING)
