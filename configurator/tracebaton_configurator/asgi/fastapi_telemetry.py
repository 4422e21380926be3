"""Sampling above FastAPI's own telemetry (FastAPI 0.142 and later), where the contrib instrumentation is not loaded.

FastAPI then makes the spans of a request itself, unless it finds `fastapi.telemetry` in its scope, which is how its own
`exclude` switches it off for one. Checked with FastAPI 0.142 to 0.165 (fastapi/applications.py, `__call__`).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode

from opentelemetry import context as context_api
from opentelemetry.trace import get_tracer

from tracebaton_configurator.asgi.middleware import PASSED
from tracebaton_configurator.asgi.unsampled import pass_unsampled, pass_untraced
from tracebaton_configurator.asgi.upstream_asgi import StabilityMode
from tracebaton_configurator.asgi.upstream_path import record_by
from tracebaton_configurator.patching.registry import apply_on_import
from tracebaton_configurator.redaction.upstream import with_redacted_query
from tracebaton_configurator.sampling.routes import template_of
from tracebaton_configurator.sampling.upstream import CURRENT_SPAN, SUPPRESS_INSTRUMENTATION

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from tracebaton_configurator.asgi.fast_path import FastPath
    from tracebaton_configurator.sampling.late_spans import LateSpans

_SWITCH = "fastapi.telemetry"


def sample_fastapi_telemetry(fast_path: FastPath, late_spans: LateSpans) -> None:
    """Patch `FastAPI.__call__` as soon as the application imports FastAPI."""
    apply_on_import("fastapi-telemetry", "fastapi", lambda module: replace_call(module, fast_path, late_spans))


def replace_call(fastapi: Any, fast_path: FastPath, late_spans: LateSpans) -> bool:
    """Patch the class in this module; False for a FastAPI without native telemetry."""
    try:
        import_module("fastapi.telemetry")
    except ImportError:
        return False
    original = fastapi.FastAPI.__call__
    details = _TelemetryDetails(fastapi.__version__)

    async def __call__(self: Any, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:  # noqa: N807
        if fast_path.on_first is not None:
            fast_path.serve()
        kind = scope.get("type")
        current = context_api.get_current()
        if (
            kind not in ("http", "websocket")
            or _SWITCH in scope
            or current.get(CURRENT_SPAN) is not None
            or current.get(SUPPRESS_INSTRUMENTATION)
        ):
            if PASSED in scope:  # mounted in an application that is traced: the request has its SERVER span
                scope.setdefault(_SWITCH, None)
            await original(self, scope, receive, send)
            return
        if fast_path.off:
            if fast_path.bypassed:
                await original(self, scope, receive, send)
                return
            scope[PASSED] = False
            scope[_SWITCH] = None
            await pass_untraced(original.__get__(self), scope, receive, send, fast_path.while_off)
            return
        # As the application is about to do: whoever decides looks for its routes, and for its root path.
        scope["app"] = self
        if self.root_path:
            scope["root_path"] = self.root_path
        decision = fast_path.begin(scope)
        if decision is None:
            scope[_SWITCH] = None
            await pass_untraced(original.__get__(self), scope, receive, send)
            return
        scope[PASSED] = decision.recorded
        try:
            if decision.recorded or fast_path.bypassed:
                await record_by(original.__get__(self), scope, receive, send, decision, fast_path)
            else:
                scope[_SWITCH] = None
                await pass_unsampled(
                    original.__get__(self), scope, receive, send, decision, fast_path, late_spans, details
                )
        finally:
            if decision.learn:
                fast_path.learn(decision, scope)

    fastapi.FastAPI.__call__ = __call__
    return True


class _TelemetryDetails:
    """The name and attributes that FastAPI's own telemetry gives a request, for one that is kept after the fact."""

    def __init__(self, version: str) -> None:
        from tracebaton_configurator.asgi import upstream_fastapi

        self.tracer = get_tracer("fastapi", version, schema_url=upstream_fastapi.SCHEMA_URL)
        self.mode = StabilityMode.HTTP
        self._upstream = upstream_fastapi

    def of(self, scope: MutableMapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """As `NativeTelemetry.__call__` (fastapi/telemetry/_asgi.py)."""
        attributes: dict[str, Any] = {"url.scheme": scope.get("scheme", "http")}
        template = template_of(scope, scope["path"])  # type: ignore[arg-type]
        if scope["type"] == "websocket":
            method = "WS"
            attributes["network.protocol.name"] = "websocket"
        else:
            original = scope.get("method", "")
            known = original if original in self._upstream.METHODS else "_OTHER"
            method = "HTTP" if known == "_OTHER" else known
            attributes["http.request.method"] = known
            attributes["url.path"] = scope["path"]
            if known != original:
                attributes["http.request.method_original"] = original
            if scope.get("http_version"):
                attributes["network.protocol.version"] = scope["http_version"]
            if scope.get("query_string"):
                attributes["url.query"] = self._redacted(with_redacted_query(scope)["query_string"])
        attributes.update(self._upstream.server_attributes(scope))
        if template is None:
            return method, attributes
        attributes["http.route"] = template
        return f"{method} {template}", attributes

    def error_type(self, error: Exception) -> str | None:
        return f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins.")

    def _redacted(self, query: bytes) -> str:
        pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
        return urlencode([(name, "REDACTED" if name in self._upstream.SENSITIVE else value) for name, value in pairs])
