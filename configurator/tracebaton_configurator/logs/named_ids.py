"""Ids that a text format names: they exist in every line, 0 outside a request, so that no line is lost for lack of one.

The names are ours and those of upstream's logging instrumentation, with its values outside any span
(opentelemetry/instrumentation/logging/__init__.py).
"""

from __future__ import annotations

from typing import Any

_NAMES = ("trace_id", "span_id", "trace_flags", "otelTraceID", "otelSpanID", "otelTraceSampled", "otelServiceName")
OTEL_NAMES = frozenset(_NAMES[3:])
_MOST_FORMATS = 256

service_name = ""
_NOTHING: dict[str, Any] = {}
without: set[str] = set()
"""Formats that name none of them."""
_known: dict[str, tuple[str, ...]] = {}


def missing(formatter: Any, fields: dict[str, Any]) -> dict[str, Any]:
    """Those that the format names and neither the record's `fields` nor the format's defaults have. Never raises."""
    try:
        style = formatter._style  # noqa: SLF001 (no other way to see the format)
        text_format = style._fmt  # noqa: SLF001
        names = _known.get(text_format)
        if names is None:
            names = tuple(name for name in _NAMES if name in text_format)
            if len(_known) >= _MOST_FORMATS:
                _known.clear()
                without.clear()
            _known[text_format] = names
            if not names:
                without.add(text_format)
        if not names:
            return _NOTHING
        defaults = getattr(style, "_defaults", None) or ()
        return {name: _value(name, fields) for name in names if name not in fields and name not in defaults}
    except Exception:  # noqa: BLE001 (whatever has a method `format` may be a formatter)
        return {}


def _value(name: str, fields: dict[str, Any]) -> Any:
    if name == "otelServiceName":
        return service_name
    if name in ("otelTraceID", "trace_id"):
        return fields.get("trace_id", "0")
    if name in ("otelSpanID", "span_id"):
        return fields.get("span_id", "0")
    flags = fields.get("trace_flags", "00")
    return flags if name == "trace_flags" else flags == "01"
