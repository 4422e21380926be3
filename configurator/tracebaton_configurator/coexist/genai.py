"""Clients of models that make spans of their own beside OpenTelemetry's GenAI instrumentations: tokens count once.

* Below a span of a model call, whoever made it (pydantic-ai, google-adk), neither an instrumentation nor the SDK that
  sends the request makes a second one. Instrumentations know this of one another; opentelemetry-util-genai asks the
  context for it.
* anthropic 2 makes its span further down than its instrumentation, which is therefore left out where those are on.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from opentelemetry import context as context_api
from opentelemetry.trace import NonRecordingSpan, get_current_span

from tracebaton_configurator.patching import registry

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from importlib.metadata import EntryPoint
    from types import ModuleType

    from opentelemetry.context import Context

# `gen_ai.operation.name` of OpenTelemetry's semantic conventions, by the method of util-genai's TelemetryHandler.
_OPERATIONS = {"inference": ("chat", "text_completion", "generate_content"), "embedding": ("embeddings",)}


def install() -> None:
    """Patch the two when they are imported. Checked with opentelemetry-util-genai 1.3b0, anthropic 2.14."""
    registry.apply_on_import("genai-spans", "opentelemetry.util.genai.handler", _quiet_instrumentations)
    registry.apply_on_import("anthropic-spans", "anthropic._base_client", _quiet_anthropic)


def has_own_spans(point: EntryPoint, environ: Mapping[str, str]) -> bool:
    """Whether the library that this instrumentation is for makes the same spans, and they are on in `environ`."""
    if point.dist is None or point.dist.name != "opentelemetry-instrumentation-genai-anthropic":
        return False
    # As anthropic/_tracing.py reads it.
    is_on = environ.get("ANTHROPIC_OPEN_TELEMETRY", "").lower() != "false"
    return is_on and find_spec("anthropic._tracing") is not None


def _is_within(method: str, context: Context | None = None) -> bool:
    """Whether the current span is one of such a call already."""
    attributes = getattr(get_current_span(context), "attributes", None) or {}
    return attributes.get("gen_ai.operation.name") in _OPERATIONS[method]


def _quiet_instrumentations(handler: ModuleType) -> None:
    for method, key, data in (
        ("inference", handler.CLIENT_INFERENCE_CONTEXT_KEY, handler.InferenceData),
        ("embedding", handler.CLIENT_EMBEDDING_CONTEXT_KEY, handler.EmbeddingData),
    ):

        def begin(
            wrapped: Callable[..., Any],
            _: Any,
            args: tuple[Any, ...],
            kwargs: dict[str, Any],
            method: str = method,
            key: str = key,
            data: Callable[[], object] = data,
        ) -> Any:
            context = kwargs.get("context")
            if context_api.get_value(key, context) is None and _is_within(method, context):
                # As if one of the instrumentations had begun it.
                kwargs = {**kwargs, "context": context_api.set_value(key, data(), context)}
            return wrapped(*args, **kwargs)

        registry.wrap(handler, f"TelemetryHandler.{method}", begin)


def _quiet_anthropic(client: ModuleType) -> bool:
    original = getattr(client, "start_api_call_span", None)
    if original is None:
        return False

    def start_api_call_span(tracer: Any, base_url: Any, options: Any, *args: Any, **kwargs: Any) -> Any:
        if options.span_name == "anthropic.messages.create" and _is_within("inference"):
            # Not None: the client is to send the headers of the span that there is.
            return NonRecordingSpan(get_current_span().get_span_context())
        return original(tracer, base_url, options, *args, **kwargs)

    client.start_api_call_span = start_api_call_span  # type: ignore[attr-defined]
    return True
