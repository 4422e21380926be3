"""Which container a process is in, as far as it can tell itself.

Containers that share their process ids and their network (a pod with shareProcessNamespace, `--pid host` beside
`--network host`) reach each other's sockets. What each of them has for itself is its mounts.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

_MOUNTS = Path("/proc/self/mountinfo")
# In there, what is mounted where a container engine puts its own files: of Kubernetes by the name in the
# pod, of Docker and Podman by the id.
_IN_POD = re.compile(r"/pods/[0-9a-f-]{36}/containers/([^/ ]{1,63})/")
_ID = re.compile(r"/(?:containers|overlay-containers)/([0-9a-f]{12})[0-9a-f]{52}/")


class ContainerId(NamedTuple):
    """`namespace` is the number of the mount namespace, 0 where the system does not tell; `name` may be empty."""

    namespace: int
    name: str


def namespace() -> int:
    """The number of this process's mount namespace (namespaces(7)); 0 where the system does not tell."""
    with suppress(OSError):
        return os.stat("/proc/self/ns/mnt").st_ino  # noqa: PTH116 (of nsfs, not of a path)
    return 0


def container() -> ContainerId:
    """That of this process."""
    roots = ""
    with suppress(OSError):
        lines = _MOUNTS.read_text(encoding="utf-8", errors="replace").splitlines()
        # The fourth field is what is mounted (proc_pid_mountinfo(5)): where, a host has all containers.
        roots = "\n".join(fields[3] for fields in map(str.split, lines) if len(fields) > 3)
    found = _IN_POD.search(roots) or _ID.search(roots)
    return ContainerId(namespace(), found[1] if found else "")
