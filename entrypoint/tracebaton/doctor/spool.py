"""Whether spans can wait on disk for the receiver to come back."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from tracebaton.doctor.finding import Finding, error, ok, warning
from tracebaton_configurator.export.spool_bound import Usage, measure
from tracebaton_configurator.export.spool_check import nearest, why_unusable
from tracebaton_configurator.export.spool_directory import corrupt_name, opened_root

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tracebaton.doctor.situation import Situation

_MB = 1_000_000


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
    usage = Usage(0, 0, [], 0, 0)
    reason = why_unusable(here.spool_dir)
    if reason is not None:
        yield error(
            f"{name} cannot be used by user {os.geteuid()}: {reason}; spans would wait in memory",
            "mount a volume there that this user may write, or unset the variable",
        )
        return
    there = nearest(here.spool_dir)
    if there == directory:
        with opened_root(here.spool_dir) as root:
            usage = measure(root)
    free = shutil.disk_usage(there).free / _MB
    used = usage.bytes / _MB
    yield ok(
        f"{name} can be written; {used:.1f} MB of at most {here.spool_max_mb} MB wait there, {free:.0f} MB are free"
    )
    if usage.others:
        yield warning(
            f"{name} holds {usage.others} directories or files of other users, or what is neither, under names of the "
            "spool's; they are left alone",
            "give each user a directory of its own",
        )
    if usage.corrupt:
        yield warning(
            f"{name} holds {usage.corrupt} corrupt files, which were set aside in {corrupt_name()}",
            "look at them, or remove them",
        )
    if free < here.spool_max_mb - used:
        yield warning(
            f"{name} may take {here.spool_max_mb} MB, but only {free:.0f} MB are free",
            "lower OTEL_TRACEBATON_SPOOL_MAX_MB, or make room",
        )
    if not directory.is_absolute():
        yield warning(f"{name} is relative to the directory that the application is started in", "write it from / on")
