"""Whether spans can wait on disk for the receiver to come back."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tracebaton.doctor.finding import Finding, error, ok, warning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tracebaton.doctor.situation import Situation

__all__ = ["check"]

_MB = 1_000_000
_MOST_FILES = 100_000


def check(situation: Situation) -> Iterator[Finding]:
    here = situation.settings
    if here.disabled:
        return
    if not here.spool_dir:
        yield ok(
            "OTEL_TRACEBATON_SPOOL_DIR is not set: during an outage spans wait in memory, the newest "
            f"{here.queue_size} of them"
        )
        return
    directory = Path(here.spool_dir)
    name = f"OTEL_TRACEBATON_SPOOL_DIR={here.spool_dir!r}"
    there = next(one for one in (directory, *directory.absolute().parents) if one.exists())
    try:
        if not there.is_dir():
            raise NotADirectoryError(20, f"{there} is not a directory")
        with tempfile.TemporaryDirectory(dir=there, prefix=".tracebaton-doctor-"):
            pass
    except OSError as problem:
        yield error(
            f"{name} cannot be written by user {os.getuid()}: {problem.strerror}; spans would wait in memory",
            "mount a volume there that this user may write, or unset the variable",
        )
        return
    free = shutil.disk_usage(there).free / _MB
    used = _used(directory) / _MB
    yield ok(
        f"{name} can be written; {used:.1f} MB of at most {here.spool_max_mb} MB wait there, {free:.0f} MB are free"
    )
    if free < here.spool_max_mb - used:
        yield warning(
            f"{name} may take {here.spool_max_mb} MB, but only {free:.0f} MB are free",
            "lower OTEL_TRACEBATON_SPOOL_MAX_MB, or make room",
        )
    if not directory.is_absolute():
        yield warning(f"{name} is relative to the directory that the application is started in", "write it from / on")


def _used(directory: Path) -> int:
    """Bytes of the batches there; of those that this user may see."""
    used = 0
    for number, file in enumerate(directory.glob("*/*.otlp")):
        if number > _MOST_FILES:
            break
        try:
            used += file.stat().st_size
        except OSError:
            continue
    return used
