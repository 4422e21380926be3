"""The private names of OpenTelemetry's API by which the current context is got, and a context has its span.

Checked with API 1.42.0 to 1.45.2; its tests fail where one is gone.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from opentelemetry import context as _api
from opentelemetry.context import attach, detach, get_current
from opentelemetry.trace.propagation import _SPAN_KEY as CURRENT_SPAN

if TYPE_CHECKING:
    from contextvars import Token

    from opentelemetry.context import Context

__all__ = ["CURRENT_SPAN", "attach", "detach", "get_current"]

# Each of OpenTelemetry's functions calls another one, and that the variable's own. Those of a process that keeps its
# contexts elsewhere (OTEL_PYTHON_CONTEXT) stay what they are.
_runtime: Any = getattr(_api, "_RUNTIME_CONTEXT", None)
_variable: Any = getattr(_runtime, "_current_context", None)
if type(_runtime).__name__ == "ContextVarsRuntimeContext" and type(_variable) is ContextVar:
    get_current, attach = _variable.get, _variable.set  # type: ignore[assignment]

    def detach(token: Token[Context]) -> None:
        """As OpenTelemetry's; never raises."""
        try:
            _variable.reset(token)
        except Exception:  # noqa: BLE001 (another task's or thread's, say: a line in the log, as upstream has it)
            _api.detach(token)
