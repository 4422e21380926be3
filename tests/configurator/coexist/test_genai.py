"""What stands down for whom, against stand-ins: the libraries themselves are in tests/e2e/edges/test_llm_clients.py."""

from __future__ import annotations

from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import context as context_api
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import set_span_in_context

from tracebaton_configurator.coexist import genai
from tracebaton_configurator.patching import on_import, registry

if TYPE_CHECKING:
    from collections.abc import Callable

MODULES = {"genai-spans": "opentelemetry.util.genai.handler", "anthropic-spans": "anthropic._base_client"}


@pytest.fixture
def patch(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Any], bool]:
    """Patch a module that is a stand-in, as its import would; returns whether it was applied."""

    def imported(name: str, module: Any) -> bool:
        waiting: dict[str, Callable[[Any], object]] = {}
        monkeypatch.setattr(on_import, "after", waiting.__setitem__)
        genai.install()
        waiting[MODULES[name]](module)
        return registry.outcome(name).status == "applied"

    return imported


class Data:
    """What util-genai keeps of a call in the context."""


def handler() -> Any:
    class TelemetryHandler:
        def inference(self, provider: str, *, context: Any = None) -> Any:
            return context_api.get_value("inference", context)

        def embedding(self, provider: str, *, context: Any = None) -> Any:
            return context_api.get_value("embedding", context)

    module: Any = ModuleType("handler")
    module.TelemetryHandler = TelemetryHandler
    module.CLIENT_INFERENCE_CONTEXT_KEY, module.InferenceData = "inference", Data
    module.CLIENT_EMBEDDING_CONTEXT_KEY, module.EmbeddingData = "embedding", Data
    return module


def within(operation: str) -> Any:
    span = TracerProvider(shutdown_on_exit=False).get_tracer("sdk").start_span("chat")
    span.set_attribute("gen_ai.operation.name", operation)
    return set_span_in_context(span)


def test_an_instrumentation_is_quiet_within_a_span_of_the_same_call(patch: Callable[[str, Any], bool]) -> None:
    module = handler()
    assert patch("genai-spans", module)
    begin = module.TelemetryHandler()
    assert begin.inference("openai") is None
    assert isinstance(begin.inference("openai", context=within("chat")), Data)
    assert begin.inference("openai", context=within("invoke_agent")) is None
    assert begin.inference("openai", context=within("embeddings")) is None
    assert isinstance(begin.embedding("openai", context=within("embeddings")), Data)


def test_what_instrumentations_know_of_one_another_stays(patch: Callable[[str, Any], bool]) -> None:
    module = handler()
    assert patch("genai-spans", module)
    known = context_api.set_value("inference", "theirs", within("chat"))
    assert module.TelemetryHandler().inference("openai", context=known) == "theirs"


def test_anthropic_makes_no_span_within_one_and_sends_that_ones_headers(patch: Callable[[str, Any], bool]) -> None:
    module: Any = SimpleNamespace(start_api_call_span=lambda *args, **kwargs: "its own")
    assert patch("anthropic-spans", module)
    call = SimpleNamespace(span_name="anthropic.messages.create")
    assert module.start_api_call_span(None, None, call, {}, stream=True) == "its own"
    context = within("chat")
    token = context_api.attach(context)
    try:
        other = SimpleNamespace(span_name="anthropic.messages.count_tokens")
        assert module.start_api_call_span(None, None, other, {}) == "its own"
        quiet = module.start_api_call_span(None, None, call, {})
    finally:
        context_api.detach(token)
    assert not quiet.is_recording()
    assert quiet.get_span_context().is_valid


def test_anthropic_without_spans_of_its_own_is_left_alone(patch: Callable[[str, Any], bool]) -> None:
    module: Any = SimpleNamespace()
    assert not patch("anthropic-spans", module)
    assert vars(module) == {}


@pytest.mark.parametrize(
    ("distribution", "tracing", "variable", "expected"),
    [
        ("opentelemetry-instrumentation-genai-anthropic", True, None, True),
        ("opentelemetry-instrumentation-genai-anthropic", True, "False", False),
        ("opentelemetry-instrumentation-genai-anthropic", False, None, False),
        ("opentelemetry-instrumentation-anthropic", True, None, False),
    ],
)
def test_an_instrumentation_is_left_out_where_the_sdk_traces_itself(
    monkeypatch: pytest.MonkeyPatch, distribution: str, variable: str | None, *, tracing: bool, expected: bool
) -> None:
    environ = {"ANTHROPIC_OPEN_TELEMETRY": variable} if variable is not None else {}
    monkeypatch.setattr(genai, "find_spec", lambda name: object() if tracing else None)
    point: Any = SimpleNamespace(name="anthropic", dist=SimpleNamespace(name=distribution))
    assert genai.has_own_spans(point, environ) is expected
