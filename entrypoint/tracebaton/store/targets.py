"""Where a call went, and which endpoint was called: from a span's attributes, old and new semantic conventions alike.

https://opentelemetry.io/docs/specs/semconv/http/http-spans/ and .../database/database-spans/
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tracebaton.view.spans import Span, Value

__all__ = ["Peer", "peer", "route", "target"]

_OUTGOING = ("CLIENT", "PRODUCER")
_LONGEST = 2000


class Peer(NamedTuple):
    """The other side of a call: its name as far as the caller knows it, and `http`, `messaging` or `db`."""

    name: str
    kind: str


def target(span: Span) -> str:
    """`POST http://b:8000/chat`, `redis GET`; '' for what is no outgoing call or does not say where it goes."""
    if span.kind not in _OUTGOING:
        return ""
    found = span.attributes
    if url := _text(found, "url.full", "http.url"):
        method = _text(found, "http.request.method", "http.method")
        return f"{method} {url}".strip()[:_LONGEST]
    if system := _text(found, "db.system.name", "db.system"):
        operation = _text(found, "db.operation.name", "db.operation") or span.name
        return f"{system} {operation}"[:_LONGEST]
    if system := _text(found, "messaging.system"):
        operation = _text(found, "messaging.operation.name", "messaging.operation")
        words = (system, operation, _text(found, "messaging.destination.name"))
        return " ".join(filter(None, words))[:_LONGEST]
    if service := _text(found, "rpc.service"):
        return f"{service}/{_text(found, 'rpc.method')}"[:_LONGEST]
    if address := _text(found, "server.address", "net.peer.name"):
        port = _text(found, "server.port", "net.peer.port")
        return f"{span.name} {address}{':' if port else ''}{port}"[:_LONGEST]
    return ""


def peer(span: Span) -> Peer:
    """Who was called, for calls to what sends no spans itself."""
    found = span.attributes
    if system := _text(found, "db.system.name", "db.system"):
        return Peer(system, "db")
    if system := _text(found, "messaging.system"):
        return Peer(_text(found, "messaging.destination.name") or system, "messaging")
    address = _text(found, "server.address", "net.peer.name")
    if not address and "://" in (url := _text(found, "url.full", "http.url")):
        return Peer(url.partition("://")[2].partition("/")[0].rpartition("@")[2][:200], "http")
    port = _text(found, "server.port", "net.peer.port")
    return Peer(f"{address}{':' if address and port else ''}{port}"[:200], "http")


def route(span: Span) -> str:
    """What an endpoint is called by: `http.route`, a queue, else the span's name."""
    return _text(span.attributes, "http.route", "messaging.destination.name")[:500] or span.name[:500]


def _text(attributes: Mapping[str, Value], *names: str) -> str:
    return next((str(value) for name in names if (value := attributes.get(name)) not in (None, "")), "")
