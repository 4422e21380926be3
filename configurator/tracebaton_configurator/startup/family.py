"""Who started this process: `OTEL_TRACEBATON_CHILDREN=serving` tells the container's programs from an agent's tools.

A child is a program that a traced Python has started; shells, tini and `exec` in between are no parents. A traced
process leaves in the environment who it is and where its stdout and stderr go. What a child prints to a stdout or a
stderr that goes elsewhere is read by its parent, or by whoever its parent chose: it stays as it is.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from tracebaton_configurator.startup.begin import PARENT

if TYPE_CHECKING:
    from collections.abc import MutableMapping

_STREAMS = (1, 2)


def captured_streams(environ: MutableMapping[str, str]) -> frozenset[int]:
    """Which of the descriptors 1 and 2 a parent has redirected; none in a process that is nobody's child."""
    pid, *streams = environ.get(PARENT, "").split(",")
    if len(streams) != len(_STREAMS) or pid == str(os.getpid()):
        return frozenset()
    return frozenset(fd for fd in _STREAMS if _identity(fd) not in streams)


def leave_word(environ: MutableMapping[str, str]) -> None:
    """For those that this process starts. A child that is read keeps its parent's word: that one writes to the log."""
    if captured_streams(environ):
        return
    environ[PARENT] = ",".join([str(os.getpid()), *(_identity(fd) for fd in _STREAMS)])


def _identity(descriptor: int) -> str:
    """Two descriptors with the same one lead to the same pipe, file or terminal."""
    try:
        found = os.fstat(descriptor)
    except OSError:
        return "closed"
    return f"{found.st_dev}:{found.st_ino}"
