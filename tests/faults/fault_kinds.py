"""What a receiver of spans can do wrong, as values to be handed to `FaultyReceiver.set_fault`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias


@dataclass(frozen=True, slots=True)
class Healthy:
    """Every batch is taken and answered at once."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Nobody listens on the port; connections there were are reset. As a Collector that has ended."""


@dataclass(frozen=True, slots=True)
class Hanging:
    """Connections are accepted, and nothing ever comes back. As a Collector that has been stopped (SIGSTOP)."""


@dataclass(frozen=True, slots=True)
class Blackholed:
    """No connection comes about, and none is refused: the kernel drops the SYN. As a firewall that drops."""


@dataclass(frozen=True, slots=True)
class Flapping:
    """Refused for so many seconds, healthy for as many, and so on; begins with refused."""

    seconds: float


@dataclass(frozen=True, slots=True)
class CutRequest:
    """The connection is reset after so many bytes of what the client sends from now on; nothing is taken."""

    after: int = 400


@dataclass(frozen=True, slots=True)
class CutResponse:
    """The batch is taken, and the connection reset in the middle of the answer. Who sends it again makes duplicates."""


@dataclass(frozen=True, slots=True)
class Slow:
    """Every batch is taken and answered, after so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class GrpcStatus:
    """The name of a status code other than OK; `retry_after` are the seconds of a RetryInfo, None: without one."""

    code: str
    retry_after: float | None = None
    message: str = "a fault was injected"


@dataclass(frozen=True, slots=True)
class HttpStatus:
    """A status other than 200; `retry_after` is the header's value, seconds or a date."""

    status: int
    retry_after: str | None = None
    message: str = "a fault was injected"


@dataclass(frozen=True, slots=True)
class TooLarge:
    """Requests of more bytes than this, before compression, are refused as grpc-go or an HTTP server does; others are
    taken.
    """

    max_bytes: int


@dataclass(frozen=True, slots=True)
class Partial:
    """The first spans of each batch are rejected, and the answer says so; the others are taken."""

    rejected_spans: int
    message: str = "a fault was injected"


@dataclass(frozen=True, slots=True)
class Poison:
    """A request with a span of this name makes the receiver fail: all its connections are reset, or it answers with the
    status. Others are taken.
    """

    name: str
    status: str | int | None = None


Transport: TypeAlias = Healthy | Refused | Hanging | Blackholed | CutRequest
"""What happens to connections; all else happens to requests."""

Fault: TypeAlias = Transport | Flapping | CutResponse | Slow | GrpcStatus | HttpStatus | TooLarge | Partial | Poison
Protocol: TypeAlias = Literal["grpc", "http/protobuf"]
