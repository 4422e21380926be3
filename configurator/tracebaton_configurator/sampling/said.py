"""What an instrumentation says of an answer, worked out once for all answers alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.trace import StatusCode

if TYPE_CHECKING:
    from opentelemetry.trace import Span


class Said:
    """Stands for a span that is recorded, and keeps what it is told, less statuses that say nothing."""

    def __init__(self) -> None:
        self.attributes: dict[str, Any] = {}
        self.statuses: list[Any] = []

    def is_recording(self) -> bool:
        return True

    def set_attribute(self, key: str, value: Any) -> None:
        self.attributes[key] = value

    def set_attributes(self, attributes: dict[str, Any]) -> None:
        self.attributes.update(attributes)

    def set_status(self, *status: Any) -> None:
        if getattr(status[0], "status_code", status[0]) is not StatusCode.UNSET:
            self.statuses.append(status)

    def say(self, span: Span) -> None:
        """To a span that is recorded."""
        for key, value in self.attributes.items():  # one or two
            span.set_attribute(key, value)
        for status in self.statuses:
            span.set_status(*status)
