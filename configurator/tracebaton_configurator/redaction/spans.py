"""Every span, whoever made it, before any exporter or other processor gets it as ended.

It has to be there: attributes come from the fast path, from upstream's middleware and clients, from FastAPI itself and
from the application, the exporters may be the application's own, and an exception's message quotes the URL.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.trace import Status

from tracebaton_configurator.logs import diagnostics
from tracebaton_configurator.redaction.text import HIDDEN, current

if TYPE_CHECKING:
    from tracebaton_configurator.redaction.text import Redactor

# Attributes that are one URL, or a part of one; what is in them may have been percent-decoded, so that a quote or a
# space ends nothing (https://opentelemetry.io/docs/specs/semconv/registry/attributes/url/).
_URLS = frozenset(["http.url", "url.full", "url.original", "http.target"])
_QUERY = "url.query"
_HEADER = ("http.request.header.", "http.response.header.")


class RedactingSpanProcessor(SpanProcessor):
    """The first of a provider's processors, so that the others see what may be seen.

    The SDK calls `_on_ending` of all of them before `on_end` of the first (checked with SDK 1.42.0 to 1.45.2, where it
    is experimental; `tests/configurator/redaction` notices).
    """

    only_redacts = True

    def _on_ending(self, span: Any) -> None:
        redact(span)


def redact(span: Any) -> None:
    """Hide what is secret in an SDK's span: its attributes, events, links, status and name. Never raises."""
    try:
        redactor = current()
        _redact_attributes(span._attributes, redactor)  # noqa: SLF001 (the span has ended, its own methods refuse)
        for part in (*span._events, *span._links):  # noqa: SLF001
            if part.attributes:
                _redact_attributes(part.attributes, redactor)
        name = redactor.text(span._name)  # noqa: SLF001
        if name != span._name:  # noqa: SLF001
            span._name = name  # noqa: SLF001
        status = span._status  # noqa: SLF001
        if status is not None and status.description:
            description = redactor.text(status.description)
            if description != status.description:
                span._status = Status(status.status_code, description)  # noqa: SLF001
    except Exception as error:  # noqa: BLE001 (a request must not fail for its span)
        diagnostics.report("redaction", f"A span could not be searched for secrets: {type(error).__name__}")


def _redact_attributes(attributes: Any, redactor: Redactor) -> None:
    # The SDK's own mapping is immutable by then; a plain dictionary is what it is (opentelemetry/attributes, `_dict`).
    found: dict[str, Any] = getattr(attributes, "_dict", attributes)
    changed: dict[str, Any] = {}
    for name, value in list(found.items()):
        kind = value.__class__
        if kind is str:
            if "=" in value or "@" in value or name == _QUERY:
                new = _redacted(name, value, redactor)
                if new != value:
                    changed[name] = new
        elif kind is tuple or kind is list:
            new = _redacted_list(name, value, redactor)
            if new != value:
                changed[name] = new
    if changed:
        found.update(changed)


def _redacted(name: str, value: str, redactor: Redactor) -> str:
    if name in _URLS:
        return redactor.url(value)
    if name == _QUERY:
        return redactor.query(value)
    return redactor.text(value)


def _redacted_list(name: str, values: Any, redactor: Redactor) -> Any:
    if name.startswith(_HEADER) and redactor.names.is_secret_header(name.split(".", 3)[3]):
        return values.__class__([HIDDEN] * len(values))
    if any(value.__class__ is str and ("=" in value or "@" in value) for value in values):
        return values.__class__([redactor.text(one) if one.__class__ is str else one for one in values])
    return values
