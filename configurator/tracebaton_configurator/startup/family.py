"""Who started this process: `OTEL_TRACEBATON_CHILDREN=serving` tells the container's programs from an agent's tools.

A child is a program that a Python below the launcher has started; shells, tini and `exec` in between are no parents.
Each leaves in the environment who it is (see `begin`) and where its stdout and stderr go. What a child prints to a
stdout or stderr that goes elsewhere is read by its parent, or by whoever its parent chose: it stays as it is.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from tracebaton_configurator.startup.begin import PARENT, STREAMS, identity_of

if TYPE_CHECKING:
    from collections.abc import Mapping


def captured_streams(environ: Mapping[str, str]) -> frozenset[int]:
    """Which of the descriptors 1 and 2 a parent has redirected; none in a process that is nobody's child.

    `environ` is that with which the process has started.
    """
    pid, *streams = environ.get(PARENT, "").split(",")
    if len(streams) != len(STREAMS) or pid == str(os.getpid()):
        return frozenset()
    return frozenset(fd for fd in STREAMS if identity_of(fd) not in streams)
