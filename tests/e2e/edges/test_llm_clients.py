"""Clients of models with OpenTelemetry's GenAI instrumentations: one tree, tokens counted once, nothing of the text."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from uuid import uuid4

import httpx
import pytest
from edge_services import assert_whole, serve
from libraries import EVERY_AGE, ages

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edge_services import Edge
    from processes import Child

    from tracebaton.view.spans import Span

PARENT = "b7ad6b7169203331"
INSTRUMENTATIONS = " ".join(
    f"opentelemetry-instrumentation-{name}>=1.3b0,<2"
    for name in ("genai-anthropic", "genai-langchain", "genai-openai", "genai-openai-agents", "google-genai")
)
# Upstream has none for google-genai 3 yet.
NEWEST = (
    "openai[aiohttp] anthropic pydantic-ai-slim[openai,anthropic] langchain langchain-openai openai-agents "
    "google-genai<3"
)
# The oldest that these instrumentations and today's OpenTelemetry are for and that can be installed together.
OLDEST = (
    "openai[aiohttp]==1.109.1 anthropic==0.67.0 langchain==1.0.0 langchain-openai==1.0.0 openai-agents==0.3.3 "
    "google-genai==1.32.0"
)
OLDEST_PYDANTIC_AI = "openai[aiohttp]==2.11.0 anthropic==0.75.0 pydantic-ai-slim[openai,anthropic]==1.32.0"
CLIENTS = {
    "openai": "sync",
    "openai_async": "async",
    "openai_aiohttp": "async",
    "openai_stream": "sync",
    "openai_stream_async": "async",
    "openai_responses": "sync",
    "anthropic": "sync",
    "anthropic_async": "async",
    "anthropic_stream": "sync",
    "anthropic_stream_async": "async",
    "pydantic_ai": "async",
    "pydantic_ai_anthropic": "async",
    "pydantic_ai_instrumented": "async",
    "pydantic_ai_instrumented_stream": "async",
    "langchain": "sync",
    "langgraph": "sync",
    "langgraph_async": "async",
    "openai_agents": "async",
    "google_genai": "sync",
    "google_genai_async": "async",
}
# A run of an agent is none: what it says of tokens is a sum (`gen_ai.aggregated_usage`, and pydantic-ai 1's `usage`).
MODEL_CALLS = {"chat", "generate_content"}


class Services(NamedTuple):
    """An agent, and the model that it asks."""

    agent: Child
    url: str
    model: str

    def ask(self, name: str, headers: dict[str, str]) -> tuple[str, bool]:
        """Have the agent ask; returns the trace id that the model got, which is asked once, and whether sampled."""
        httpx.get(f"{self.model}/traceparents")
        answer = httpx.get(f"{self.url}/by/{name}", headers=headers, timeout=60)
        assert answer.json() == "the-completion"
        (received,) = httpx.get(f"{self.model}/traceparents").json()
        _, trace_id, _, flags = received.split("-")
        return trace_id, bool(int(flags, 16) & 1)


ENVIRONMENTS = [
    *ages(f"{INSTRUMENTATIONS} {NEWEST}", f"{INSTRUMENTATIONS} {OLDEST}"),
    *ages("", f"{INSTRUMENTATIONS} {OLDEST_PYDANTIC_AI}")[1:],
]


@pytest.fixture(scope="module", params=ENVIRONMENTS)
def libraries(request: pytest.FixtureRequest) -> tuple[str, ...]:
    found: tuple[str, ...] = request.param
    return found


@pytest.fixture(scope="module")
def services(module_edge: Edge, libraries: tuple[str, ...]) -> Services:
    return start(module_edge, libraries)


def start(edge: Edge, libraries: tuple[str, ...], **env: str) -> Services:
    # A system keeps its children by name, and there is one for all environments.
    number = len(edge.system.children)
    env["OTEL_TRACES_SAMPLER_ARG"] = "*=1"
    _, model = serve(edge, f"model-{number}", "model:app", OTEL_SERVICE_NAME="model", **env)
    agent, url = serve(edge, f"agent-{number}", "llm:app", libraries, OTEL_SERVICE_NAME="agent", MODEL=model, **env)
    return Services(agent, url, model)


def skip_without(libraries: tuple[str, ...], name: str) -> None:
    """Not every environment has the library of each client."""
    name = name.replace("langgraph", "langchain").replace("_", "-")
    wanted = max((one for one in ("pydantic-ai", "openai-agents") if name.startswith(one)), default=name.split("-")[0])
    if not any(one.startswith(wanted) for one in libraries):
        pytest.skip(f"{wanted} is not in this environment")


def of_trace(edge: Edge, trace_id: str, *, partial: bool = False) -> Sequence[Span]:
    """All of a trace: both SERVER spans are there, and unless it is `partial` each span's parent."""

    def is_whole(spans: Sequence[Span]) -> bool:
        served = {span.service for span in spans if span.trace_id == trace_id and span.kind == "SERVER"}
        return served == {"agent", "model"}

    return [span for span in edge.whole(() if partial else {trace_id}, is_whole) if span.trace_id == trace_id]


@pytest.mark.parametrize("name", CLIENTS)
def test_a_sampled_call(
    module_edge: Edge, services: Services, libraries: tuple[str, ...], cell: Callable[..., None], name: str
) -> None:
    skip_without(libraries, name)
    cell("LLM clients", name, style=CLIENTS[name], sampled=True)
    trace_id, sampled = services.ask(name, {})
    assert sampled
    spans = of_trace(module_edge, trace_id)
    assert_whole(spans)
    (call,) = [span for span in spans if span.attributes.get("gen_ai.operation.name") in MODEL_CALLS]
    counted = [span for span in spans if "gen_ai.usage.input_tokens" in span.attributes]
    assert [span for span in counted if not span.name.startswith(("invoke_agent", "agent run"))] == [call]
    assert (call.attributes["gen_ai.usage.input_tokens"], call.attributes["gen_ai.usage.output_tokens"]) == (11, 7)
    by_id = {span.span_id: span for span in spans}
    (served,) = [span for span in spans if span.service == "model"]
    assert by_id[by_id[served.parent_span_id].parent_span_id] is call
    told = f"{spans} {services.agent.output()}"
    assert "the-prompt" not in told
    assert "the-completion" not in told


@pytest.mark.parametrize("name", CLIENTS)
def test_an_unsampled_call(
    services: Services, libraries: tuple[str, ...], cell: Callable[..., None], name: str
) -> None:
    skip_without(libraries, name)
    cell("LLM clients", name, style=CLIENTS[name], sampled=False)
    trace_id = uuid4().hex
    assert services.ask(name, {"traceparent": f"00-{trace_id}-{PARENT}-00"}) == (trace_id, False)


@pytest.mark.parametrize("name", ["openai", "anthropic", "langgraph"])
def test_a_call_that_fails_below_an_unsampled_caller(
    module_edge: Edge, services: Services, libraries: tuple[str, ...], name: str
) -> None:
    skip_without(libraries, name)
    trace_id = uuid4().hex
    headers = {"traceparent": f"00-{trace_id}-{PARENT}-00"}
    assert httpx.get(f"{services.url}/broken/{name}", headers=headers, timeout=60).status_code == 500
    spans = of_trace(module_edge, trace_id, partial=True)
    assert {span.service for span in spans if span.kind == "SERVER"} == {"agent", "model"}
    assert {span.parent_span_id for span in spans} - {span.span_id for span in spans} == {PARENT}


@pytest.fixture(scope="module")
def over_litellm(module_edge: Edge) -> Services:
    libraries = (*INSTRUMENTATIONS.split(), "litellm", "google-adk")
    return start(module_edge, libraries, LITELLM_LOCAL_MODEL_COST_MAP="true", GOOGLE_API_KEY="none")


@pytest.mark.skipif(not EVERY_AGE, reason="too large to be installed with every `make test`")
@pytest.mark.parametrize("sampled", [True, False])
@pytest.mark.parametrize(
    ("name", "style"),
    [("litellm", "sync"), ("litellm_async", "async"), ("google_adk", "async"), ("google_adk_gemini", "async")],
)
def test_what_has_no_instrumentation_or_spans_of_its_own(
    module_edge: Edge, over_litellm: Services, cell: Callable[..., None], name: str, style: str, *, sampled: bool
) -> None:
    cell("LLM clients", name, style=style, sampled=sampled)
    trace_id = uuid4().hex
    if not sampled:
        assert over_litellm.ask(name, {"traceparent": f"00-{trace_id}-{PARENT}-00"}) == (trace_id, False)
        return
    trace_id, _ = over_litellm.ask(name, {})
    spans = of_trace(module_edge, trace_id)
    assert_whole(spans)
    counted = [span for span in spans if "gen_ai.usage.input_tokens" in span.attributes]
    assert len(counted) == ("adk" in name)
    assert "the-prompt" not in str(spans)


def test_upstreams_variable_asks_for_the_text(edge: Edge, libraries: tuple[str, ...]) -> None:
    services = start(edge, libraries, OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT="SPAN_ONLY")
    trace_id, _ = services.ask("openai", {})
    (call,) = [span for span in of_trace(edge, trace_id) if span.attributes.get("gen_ai.operation.name") == "chat"]
    assert "the-prompt" in str(call.attributes["gen_ai.input.messages"])
    assert "the-completion" in str(call.attributes["gen_ai.output.messages"])
