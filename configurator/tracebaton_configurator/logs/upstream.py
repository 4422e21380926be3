"""The private names of OpenTelemetry's API by which the current context is got, and a context has its span.

Checked with API 1.42.0 to 1.45.2; its tests fail where one is gone.
"""

from __future__ import annotations

import sys
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from opentelemetry import context as _api
from opentelemetry.context import attach, detach, get_current
from opentelemetry.trace.propagation import _SPAN_KEY as CURRENT_SPAN

if TYPE_CHECKING:
    from contextvars import Token

    from opentelemetry.context import Context

__all__ = ["CURRENT_SPAN", "NAMES_OF_API", "RUNTIME", "attach", "detach", "follow_runtime", "followed", "get_current"]

NAMES_OF_API = vars(_api)
RUNTIME = "_RUNTIME_CONTEXT"

# Each of OpenTelemetry's functions calls another one, and that the variable's own. Those of a process that keeps its
# contexts elsewhere (OTEL_PYTHON_CONTEXT) stay what they are.
_runtime: Any = NAMES_OF_API.get(RUNTIME)
_variable: Any = getattr(_runtime, "_current_context", None)
if type(_runtime).__name__ == "ContextVarsRuntimeContext" and type(_variable) is ContextVar:
    get_current, attach = _variable.get, _variable.set  # type: ignore[assignment]

    def detach(token: Token[Context]) -> None:
        """As OpenTelemetry's; never raises."""
        try:
            _variable.reset(token)
        except Exception:  # noqa: BLE001 (another task's or thread's, say: a line in the log, as upstream has it)
            _api.detach(token)


followed = [_runtime]
"""Whose contexts these functions know; who is about to use them compares it with `NAMES_OF_API[RUNTIME]`."""


def follow_runtime() -> None:
    """An application has put another one in its place, as sentry_sdk may: OpenTelemetry's functions ask that.

    They take the place of these in all modules of ours.
    """
    followed[0] = NAMES_OF_API.get(RUNTIME)
    theirs = {name: NAMES_OF_API[name] for name in ("get_current", "attach", "detach")}
    ours = {name: globals()[name] for name in theirs}
    package = __name__.partition(".")[0]
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == package and module is not None:
            names = vars(module)
            names.update({one: theirs[one] for one in theirs if names.get(one) is ours[one]})
