"""A log line of a trace, wherever it came from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tracebaton.view.spans import Value

__all__ = ["LogLine"]


@dataclass(frozen=True, slots=True)
class LogLine:
    """Ids are lower-case hex, `span_id` may be ''; the time is nanoseconds since 1970."""

    trace_id: str
    span_id: str
    time_ns: int
    service: str
    level: str
    logger: str
    message: str
    exception: str = ""
    fields: dict[str, Value] = field(default_factory=dict)
