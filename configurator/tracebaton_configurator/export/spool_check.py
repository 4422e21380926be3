"""Whether a spool can be kept in a directory, before an outage needs it."""

from __future__ import annotations

import os
from pathlib import Path

from tracebaton_configurator.export.spool_directory import opened_root
from tracebaton_configurator.patching import os_threads

# A disk that does not answer, such as one behind a network, holds the start of an application up no longer.
_SECONDS = 1.0


def why_unusable(directory: str) -> str | None:
    """Why this user can keep no spool there, in words; None where one can. Nothing is left behind."""
    found: list[str | None] = []
    try:
        if os_threads.Thread.start(lambda: found.append(_try_in(directory))).join(_SECONDS):
            return found[0]
    except (RuntimeError, IndexError):  # no thread can be started; or it has found what nobody foresaw
        return None
    return f"it does not answer within {_SECONDS:g} s"


def nearest(directory: str) -> Path:
    """The directory, or where it is to be made: the first above it that there is."""
    path = Path(directory)
    return next(one for one in (path, *path.absolute().parents) if os.path.lexists(one))


def _try_in(directory: str) -> str | None:
    try:
        there = nearest(directory)
        if not there.is_dir():
            return f"{there} is not a directory"
        if there == Path(directory):
            with opened_root(directory):
                pass
        trial = there / f".tracebaton-{os.getpid()}-{os.urandom(6).hex()}"
        trial.mkdir(mode=0o700)
        trial.rmdir()
    except OSError as problem:
        return problem.strerror or str(problem)
    return None
