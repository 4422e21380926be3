"""What a call is named, and when it has failed, by the semantic conventions for MCP.

https://github.com/open-telemetry/semantic-conventions-genai/blob/main/docs/gen-ai/mcp.md
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tracebaton_configurator.redaction import text as redaction

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tracebaton_configurator.propagation.incoming import Incoming

Attributes = dict[str, Any]
_TARGETS = {"tools/call": "gen_ai.tool.name", "prompts/get": "gen_ai.prompt.name"}

# JSON-RPC 2.0, section 5.1: invalid params.
_INVALID = "-32602"
made_by_others = False
"""Whether an instrumentation is installed that makes the spans of calls."""


def described(method: str, params: object, request_id: object = None) -> tuple[str, Attributes]:
    """The span's name and its attributes. `params` is one of the SDK's objects, or a mapping."""
    attributes: Attributes = {"mcp.method.name": method}
    if request_id is not None:
        attributes["jsonrpc.request.id"] = str(request_id)
    if method == "tools/call":
        attributes["gen_ai.operation.name"] = "execute_tool"
    uri = _get(params, "uri")
    if uri is not None:
        attributes["mcp.resource.uri"] = redaction.current().text(str(uri))
    target = _get(params, "name")
    if method not in _TARGETS or not isinstance(target, str):
        return method, attributes
    attributes[_TARGETS[method]] = target
    return f"{method} {target}", attributes


def failure(outcome: object) -> Attributes | None:
    """The attributes of an outcome that failed: a result, JSON-RPC's error object, or an exception that has one."""
    outcome = getattr(outcome, "root", outcome)
    error = getattr(outcome, "error", outcome)
    code = getattr(error, "code", None)
    if isinstance(code, int) and hasattr(error, "message"):
        return {"error.type": str(code), "rpc.response.status_code": str(code)}
    if isinstance(outcome, Exception) and is_invalid(outcome):
        return {"error.type": _INVALID, "rpc.response.status_code": _INVALID}
    failed = _get(outcome, "isError") is True or getattr(outcome, "is_error", None) is True
    return {"error.type": "tool_error"} if failed else None


def is_invalid(error: Exception) -> bool:
    """Whether it says what is wrong with a request by quoting it, which the SDK keeps out of its own spans."""
    return any(
        kind.__name__ == "ValidationError" and kind.__module__.startswith("pydantic") for kind in type(error).__mro__
    )


def note_outcome(work: Incoming, outcome: object) -> None:
    """Have it fail where that says so. Never raises."""
    try:
        failed = failure(outcome)
    except Exception:  # noqa: BLE001 (an object of the application's)
        return
    if failed is not None:
        work.attributes.update(failed)
        work.fail()


def as_headers(meta: object) -> Mapping[str, Any]:
    """`_meta`: a mapping in 2.x, a model with additional fields in 1.x, or nothing."""
    found = meta if isinstance(meta, dict) else getattr(meta, "model_extra", None)
    return found or {}


def _get(params: object, name: str) -> Any:
    return params.get(name) if isinstance(params, dict) else getattr(params, name, None)
