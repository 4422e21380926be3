"""What the kernel knows of a server: the CPU time and the memory of all processes of its process group."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(group: int) -> float:
    """User and system time, that of ended children included where they have been waited for."""
    return sum(ticks(stat) for stat, _ in _members(group)) / TICKS


def rss(group: int) -> float:
    """Resident memory in MiB."""
    return sum(kibibytes(status) for _, status in _members(group)) / 1024


def ticks(stat: str) -> int:
    """Utime + stime + cutime + cstime out of /proc/PID/stat (proc_pid_stat(5), fields 14 to 17)."""
    return sum(map(int, _fields(stat)[11:15]))


def kibibytes(status: str) -> int:
    """VmRSS out of /proc/PID/status; 0 for a process that has ended but has not been waited for."""
    found = re.search(r"^VmRSS:\s+(\d+) kB", status, re.MULTILINE)
    return int(found[1]) if found else 0


def group_of(stat: str) -> int:
    return int(_fields(stat)[2])


def _fields(stat: str) -> list[str]:
    """From the third field on: the second is a name in parentheses, which may hold anything."""
    return stat.rpartition(")")[2].split()


def _members(group: int) -> Iterator[tuple[str, str]]:
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
            stat = (path / "stat").read_text()
            if group_of(stat) == group:
                yield stat, (path / "status").read_text()
