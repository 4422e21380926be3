"""What the tests send to `tracebaton view` that no exporter would, and how much memory it takes."""

from __future__ import annotations

import http.client
import re
import socket
import zlib
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

PROTOBUF = {"Content-Type": "application/x-protobuf"}
SPAN_IDS = b"\x0a\x10" + b"\x07" * 16 + b"\x12\x08" + b"\x07" * 8


def address_of(url: str) -> tuple[str, int]:
    host, _, port = url.rpartition("//")[2].rpartition(":")
    return host, int(port)


def connect(stack: ExitStack, url: str) -> socket.socket:
    return stack.enter_context(socket.create_connection(address_of(url), timeout=20))


def post(
    url: str, body: bytes, headers: dict[str, str] | None = None, path: str = "/v1/traces", seconds: float = 30
) -> int:
    """The status; 0 where the connection ends without one."""
    connection = http.client.HTTPConnection(*address_of(url), timeout=seconds)
    try:
        connection.request("POST", path, body, {**PROTOBUF, **(headers or {})})
        return connection.getresponse().status
    except (ConnectionError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


def gzipped(pieces: Iterable[bytes]) -> bytes:
    compressor = zlib.compressobj(6, wbits=31)
    return b"".join(compressor.compress(piece) for piece in pieces) + compressor.flush()


def field(number: int, content: bytes) -> bytes:
    """A protobuf field of wire type 2: a message, a string or bytes."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def request_of(span: bytes) -> bytes:
    """An ExportTraceServiceRequest of one span."""
    return field(1, field(2, field(2, SPAN_IDS + span)))


def nested(depth: int) -> bytes:
    """A span with an attribute of arrays within arrays."""
    value = b""
    for _ in range(depth):
        value = field(5, field(1, value))
    return request_of(field(9, field(1, b"deep") + field(2, value)))


def memory(pid: int, *, peak: bool = True) -> float:
    """MiB that the process holds in memory, or has held at most."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    found = re.search(rf"^{'VmHWM' if peak else 'VmRSS'}:\s+(\d+) kB$", status, re.MULTILINE)
    assert found
    return int(found[1]) / 1024


def forget_peak(pid: int) -> None:
    with suppress(OSError):  # without it the peak of the start counts as well
        Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="ascii")


def ends_within(connection: socket.socket, seconds: float) -> Any:
    """Whether the other side closes it within that time, having said something or not."""
    connection.settimeout(seconds)
    try:
        while connection.recv(65536):
            pass
    except TimeoutError:
        return False
    except ConnectionError:
        pass
    return True
