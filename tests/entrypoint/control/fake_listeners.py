"""Sockets that look like those of traced processes and never answer: `python fake_listeners.py PID NUMBER`.

A third each is named for the process PID, for this one, and for processes that there are not; the queues of the first
are full. Says `ready`, and ends with its input.
"""

from __future__ import annotations

import os
import socket
import sys

from tracebaton_configurator.live.address import name_for


def listen(pid: int, *, full: bool) -> list[socket.socket]:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    name = "\0" + name_for(pid, os.urandom(8))
    listener.bind(name)
    listener.listen(0 if full else 64)
    made = [listener]
    while full:
        client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        client.setblocking(False)  # noqa: FBT003
        made.append(client)
        full = client.connect_ex(name) == 0
    return made


def main(pid: int, number: int) -> None:
    pids = [pid, os.getpid(), 4_000_000]
    made = [listen(pids[index % 3], full=index % 3 == 0) for index in range(number)]
    print("ready", len(made), flush=True)  # noqa: T201 (the test reads it)
    sys.stdin.read()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
