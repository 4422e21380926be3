"""The private names of OpenTelemetry's ASGI instrumentation that this package uses; imported once something serves.

Checked with opentelemetry-instrumentation-asgi 0.63b0 to 0.66b2; its tests fail where one is gone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.instrumentation._semconv import _StabilityMode as StabilityMode
from opentelemetry.instrumentation.asgi import (
    OpenTelemetryMiddleware,
    asgi_getter,
    collect_request_attributes,
    set_status_code,
)

from tracebaton_configurator.sampling.said import Said

if TYPE_CHECKING:
    from opentelemetry.trace import Span

__all__ = [
    "OpenTelemetryMiddleware",
    "StabilityMode",
    "asgi_getter",
    "collect_request_attributes",
    "set_status",
]


_MOST_KNOWN = 256
_known: dict[tuple[int, int], Said] = {}


def set_status(span: Span, status: Any, mode: Any) -> None:
    """What upstream says of an answer with this status."""
    if status.__class__ is not int:
        set_status_code(span, status, None, mode)
    elif span.is_recording():
        key = status, id(mode)  # a member of an enumeration, whose own hash is a function in Python
        said = _known.get(key)
        if said is None:
            said = Said()
            set_status_code(said, status, None, mode)
            if len(_known) >= _MOST_KNOWN:
                _known.clear()
            _known[key] = said
        said.say(span)
