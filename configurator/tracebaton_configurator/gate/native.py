"""The gate above FastAPI's native telemetry (FastAPI 0.142 and later), where the contrib instrumentation is not loaded.

FastAPI then makes the spans of a request itself, unless it finds `fastapi.telemetry` in its scope, which is how its own
`exclude` switches it off for one. Checked with FastAPI 0.142 to 0.165 (fastapi/applications.py, `__call__`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry import context as context_api
from opentelemetry.context import Context
from opentelemetry.trace import get_tracer

from tracebaton_configurator.gate.stack import PASSED
from tracebaton_configurator.gate.unrecorded import pass_unrecorded
from tracebaton_configurator.gate.upstream import (
    CURRENT_SPAN,
    SUPPRESS_INSTRUMENTATION,
    StabilityMode,
    collect_request_attributes,
)
from tracebaton_configurator.sampling.routes import template_of
from tracebaton_configurator.sampling.sampler import DECIDED, Decided

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from tracebaton_configurator.gate.engine import Engine
    from tracebaton_configurator.gate.keep import Keeper

_SWITCH = "fastapi.telemetry"


def gate_native_telemetry(engine: Engine, keeper: Keeper) -> bool:
    """Patch `FastAPI.__call__`; False where there is no FastAPI, or one without native telemetry."""
    try:
        import fastapi
        from fastapi import telemetry
    except ImportError:
        return False
    del telemetry
    original = fastapi.FastAPI.__call__
    details = _NativeDetails(fastapi.__version__)

    async def __call__(self: Any, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:  # noqa: N807
        kind = scope["type"]
        current = context_api.get_current()
        if (
            kind not in ("http", "websocket")
            or _SWITCH in scope
            or current.get(CURRENT_SPAN) is not None
            or current.get(SUPPRESS_INSTRUMENTATION)
        ):
            await original(self, scope, receive, send)
            return
        method = scope["method"] if kind == "http" else "GET"
        path = scope["path"]
        start = engine.start(scope, method)
        scope[PASSED] = start.recorded
        try:
            if start.recorded:
                token = context_api.attach(Context({**start.base, DECIDED: Decided(start.trace_id, start.trace_state)}))
                try:
                    await original(self, scope, receive, send)
                finally:
                    context_api.detach(token)
            else:
                scope[_SWITCH] = None
                await pass_unrecorded(original.__get__(self), scope, receive, send, start, engine, keeper, details)
        finally:
            if start.learn:
                engine.roots.learn(method, path, scope)  # type: ignore[arg-type]

    fastapi.FastAPI.__call__ = __call__  # type: ignore[method-assign]
    return True


class _NativeDetails:
    """The name and attributes that FastAPI's own telemetry gives a request, for one that is kept after the fact."""

    def __init__(self, version: str) -> None:
        self.tracer = get_tracer("fastapi", version)
        self.mode = StabilityMode.HTTP

    def of(self, scope: MutableMapping[str, Any]) -> tuple[str, dict[str, Any]]:
        attributes: dict[str, Any] = collect_request_attributes(scope, self.mode)
        method = str(attributes.get("http.request.method", "HTTP"))
        template = template_of(scope, scope["path"])  # type: ignore[arg-type]
        if template is None:
            return method, attributes
        attributes["http.route"] = template
        return f"{method} {template}", attributes
