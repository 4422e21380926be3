"""Where a traced process can be spoken to: an abstract Unix socket, for which no file system has to be writable.

Its name is `@tracebaton-PID-TOKEN`, as `/proc/net/unix` lists it. Such names are shared by all processes of one network
namespace, other users' and other containers' included; so both sides ask the kernel who the other one is (SO_PEERCRED,
unix(7)), and hear only their own user and root, and only processes of their own pid namespace, which is what a
container has for itself when it shares its network. Linux only.
"""

from __future__ import annotations

import _socket as socket  # neither gevent nor eventlet replaces this one
import re
import struct
import sys
from pathlib import Path
from typing import NamedTuple

_LIST = Path("/proc/net/unix")
_LISTED = r"@(tracebaton-([0-9]{1,10})-[0-9a-f]{16})$"  # compiled by whoever looks, which no traced process does
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
    """Process id, as the process itself knows it, and name of everything that listens here. Raises OSError."""
    lines = _LIST.read_text(encoding="utf-8", errors="replace").splitlines()
    found = (re.search(_LISTED, line) for line in lines)
    # A socket is listed once for itself and once for each connection that it has accepted.
    return sorted({(int(match[2]), match[1]) for match in found if match})


def is_here(peer: Peer) -> bool:
    """Whether it is in this process's pid namespace, and not in one above, beside or below.

    What is above or beside has the pid 0 here. What is below has one, and then another one there (proc_pid_status(5)).
    """
    if peer.pid == 0:
        return False
    try:
        status = Path(f"/proc/{peer.pid}/status").read_text(encoding="utf-8", errors="replace")
    except OSError:  # hidden from this user, or gone meanwhile
        return True
    pids = next((line.split()[1:] for line in status.splitlines() if line.startswith("NSpid:")), [])
    return len(pids) <= 1


def peer_of(connection: socket.socket) -> Peer:
    """Who is at the other end of a connection: for a client, who called `listen`. Raises OSError."""
    size = _CREDENTIALS.size
    pid, uid, _ = _CREDENTIALS.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    return Peer(pid, uid)
