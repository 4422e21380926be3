"""What is said over a control connection: one line of JSON each way, both of them objects.

A request has `do`: `status`, `state`, `on`, `off`, `set` or `reset`; `rules` (text) and `seconds` (a number, or null
for no end) where they belong; and `service` where only processes of that service are meant, `container` where only
those of the container with that mount namespace are. An answer has

* `error`, a sentence, where the request changed nothing; with `refused`, whoever asked has no business here;
* `other_service`, true, where another service or another container was meant;
* or else what `describe` makes, and for `state` what `Control.state` makes.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import _socket as socket

# Rules are 64 Ki characters at most, each of which JSON may write in twelve.
_LONGEST = 1024 * 1024


def encode(message: dict[str, Any]) -> bytes:
    """The line of a message."""
    return json.dumps(message).encode() + b"\n"


def receive(connection: socket.socket, deadline: float) -> dict[str, Any] | None:
    """One message; None where the other side ended the connection without a word.

    `deadline` is a moment of the monotonic clock for the whole of it. Raises OSError, TimeoutError among them, and
    ValueError with a sentence for what is no message.
    """
    received = bytearray()
    while b"\n" not in received[-65536:]:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        connection.settimeout(left)
        more = connection.recv(65536)
        if not more:
            break
        received += more
        if len(received) > _LONGEST:
            raise ValueError("a message is longer than 1 MiB")
    if not received:
        return None
    try:
        message = json.loads(received.partition(b"\n")[0])
    except (ValueError, RecursionError):  # brackets within brackets
        raise ValueError("a message is no line of JSON") from None
    if not isinstance(message, dict):
        raise ValueError("a message is no JSON object")  # noqa: TRY004 (to whoever reads it, both are the same)
    return message
