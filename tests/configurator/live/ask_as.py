"""Asks as another user: `python ask_as.py UID NAME JSON` prints what `ask` returns and what a plain socket is told."""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from contextlib import suppress
from typing import Any

from tracebaton_configurator.live.client import ask
from tracebaton_configurator.live.message import encode, receive


def told(name: str, request: dict[str, Any]) -> object:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.connect("\0" + name)
        with suppress(BrokenPipeError):  # it has answered already
            connection.sendall(encode(request))
        return receive(connection, time.monotonic() + 5)


def main(uid: str, name: str, request: str) -> None:
    os.setuid(int(uid))
    message = json.loads(request)
    json.dump({"ask": ask(name, message), "told": told(name, message)}, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
