"""Where a traced process can be spoken to: an abstract Unix socket, for which no file system has to be writable.

Its name is `@tracebaton-PID-TOKEN`, as `/proc/net/unix` lists it. Such names are shared by all processes of one network
namespace, other users' and other containers' included; so both sides ask the kernel who the other one is (SO_PEERCRED,
unix(7)): a process obeys its own user and root, and a command speaks to processes that it can see and that are its own
user's. Linux only.
"""

from __future__ import annotations

import re
import socket
import struct
import sys
from pathlib import Path
from typing import NamedTuple

_LISTED = re.compile(r"@(tracebaton-(\d+)-[0-9a-f]{16})$")
_CREDENTIALS = struct.Struct("3i")  # struct ucred
AVAILABLE = sys.platform == "linux" and hasattr(socket, "SO_PEERCRED")


class Peer(NamedTuple):
    """Who is at the other end; `pid` is 0 for a process that cannot be seen from here."""

    pid: int
    uid: int


def name_for(pid: int, token: bytes) -> str:
    """What a process listens under; `token` is 8 random bytes, which keep names from being taken beforehand."""
    return f"tracebaton-{pid}-{token.hex()}"


def listed() -> list[tuple[int, str]]:
    """Process id, as the process itself knows it, and name of everything that listens here."""
    try:
        lines = Path("/proc/net/unix").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    found = (_LISTED.search(line) for line in lines)
    # A socket is listed once for itself and once for each connection that it has accepted.
    return sorted({(int(match[2]), match[1]) for match in found if match})


def peer_of(connection: socket.socket) -> Peer:
    """Raises OSError."""
    size = _CREDENTIALS.size
    pid, uid, _ = _CREDENTIALS.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    return Peer(pid, uid)
