"""What a process has said is not said again by those that it starts: an operator reads it once for all workers."""

from __future__ import annotations

from zlib import crc32

from tracebaton_configurator import settings

# Left in the environment: a mark for each line.
SAID = "_OTEL_TRACEBATON_SAID"
_MOST = 64


def is_new(line: str) -> bool:
    """Whether neither this process nor one that it comes from has said this very line; remembered from now on.

    What differs, as in a program with a name or settings of its own, is new.
    """
    mark = f"{crc32(line.encode('utf-8', 'surrogateescape')):08x}"
    inherited = settings.environment()
    marks = [one for one in inherited.get(SAID, "").split(",") if one]
    if mark in marks:
        return False
    inherited[SAID] = ",".join([*marks, mark][-_MOST:])
    return True
