"""Workers of one server, which know nothing of each other: of what all of them would say, the eldest says it."""

from __future__ import annotations

import os
import re


def has_elder() -> bool:
    """Whether a process that the same parent has started before is running the same command.

    Numbers in it are not looked at (`spawn_main(tracker_fd=5, pipe_handle=7)`). False where nobody can tell, as in a
    kernel that does not list children.
    """
    parent, this = os.getppid(), str(os.getpid())
    try:
        with open(f"/proc/{parent}/task/{parent}/children", encoding="ascii") as file:  # noqa: PTH123 (imports pathlib)
            children = file.read().split()  # in the order in which they were started
        elders = children[: children.index(this)]
        command = _command(this)
        return any(_command(pid) == command for pid in elders)
    except (OSError, ValueError):
        return False


def _command(pid: str) -> bytes:
    with open(f"/proc/{pid}/cmdline", "rb") as file:  # noqa: PTH123 (see above)
        return re.sub(rb"\d+", b"", file.read())
