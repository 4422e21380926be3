"""An agent that asks the model by the client that is asked for; each is imported when it is used first."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from fastapi import FastAPI

app = FastAPI()
URL = os.environ["MODEL"]
MODEL = "model-1"
PROMPT = "the-prompt"
MESSAGES: Any = [{"role": "user", "content": PROMPT}]
OPENAI: Any = {"base_url": f"{URL}/v1", "api_key": "none", "max_retries": 0}
ANTHROPIC: Any = {"base_url": URL, "api_key": "none", "max_retries": 0}


def by_openai(model: str = MODEL) -> Any:
    import openai

    return openai.OpenAI(**OPENAI).chat.completions.create(model=model, messages=MESSAGES).choices[0].message.content


async def by_openai_async(model: str = MODEL) -> Any:
    import openai

    answer = await openai.AsyncOpenAI(**OPENAI).chat.completions.create(model=model, messages=MESSAGES)
    return answer.choices[0].message.content


async def by_openai_aiohttp() -> Any:
    import openai

    async with openai.DefaultAioHttpClient() as http:
        client = openai.AsyncOpenAI(**OPENAI, http_client=http)
        answer = await client.chat.completions.create(model=MODEL, messages=MESSAGES)
    return answer.choices[0].message.content


def by_openai_stream() -> str:
    import openai

    options: Any = {"stream_options": {"include_usage": True}}
    answer = openai.OpenAI(**OPENAI).chat.completions.create(model=MODEL, messages=MESSAGES, stream=True, **options)
    return "".join(choice.delta.content or "" for chunk in answer for choice in chunk.choices)


async def by_openai_stream_async() -> str:
    import openai

    options: Any = {"stream_options": {"include_usage": True}}
    client = openai.AsyncOpenAI(**OPENAI)
    answer = await client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True, **options)
    return "".join([choice.delta.content or "" async for chunk in answer for choice in chunk.choices])


def by_openai_responses() -> Any:
    import openai

    return openai.OpenAI(**OPENAI).responses.create(model=MODEL, input=PROMPT).output_text


def by_anthropic(model: str = MODEL) -> Any:
    import anthropic

    answer = anthropic.Anthropic(**ANTHROPIC).messages.create(model=model, max_tokens=9, messages=MESSAGES)
    return answer.content[0].text


async def by_anthropic_async() -> Any:
    import anthropic

    answer = await anthropic.AsyncAnthropic(**ANTHROPIC).messages.create(model=MODEL, max_tokens=9, messages=MESSAGES)
    return answer.content[0].text


def by_anthropic_stream() -> str:
    import anthropic

    with anthropic.Anthropic(**ANTHROPIC).messages.stream(model=MODEL, max_tokens=9, messages=MESSAGES) as answer:
        return "".join(answer.text_stream)


async def by_anthropic_stream_async() -> str:
    import anthropic

    client = anthropic.AsyncAnthropic(**ANTHROPIC)
    async with client.messages.stream(model=MODEL, max_tokens=9, messages=MESSAGES) as answer:
        return "".join([text async for text in answer.text_stream])


def _agent(kind: str, **options: Any) -> Any:
    from pydantic_ai import Agent

    model: Any
    if kind == "openai":
        import openai
        from pydantic_ai.models.openai import OpenAIChatModel
        from pydantic_ai.providers.openai import OpenAIProvider

        model = OpenAIChatModel(MODEL, provider=OpenAIProvider(openai_client=openai.AsyncOpenAI(**OPENAI)))
    else:
        import anthropic
        from pydantic_ai.models.anthropic import AnthropicModel
        from pydantic_ai.providers.anthropic import AnthropicProvider

        client = anthropic.AsyncAnthropic(**ANTHROPIC)
        model = AnthropicModel(MODEL, provider=AnthropicProvider(anthropic_client=client))
    return Agent(model, **options)


async def by_pydantic_ai() -> Any:
    return (await _agent("openai").run(PROMPT)).output


async def by_pydantic_ai_anthropic() -> Any:
    return (await _agent("anthropic").run(PROMPT)).output


async def by_pydantic_ai_instrumented() -> Any:
    return (await _agent("openai", **_own_spans()).run(PROMPT)).output


async def by_pydantic_ai_instrumented_stream() -> str:
    async with _agent("anthropic", **_own_spans()).run_stream(PROMPT) as answer:
        return str(await answer.get_output())


def _own_spans() -> dict[str, Any]:
    from pydantic_ai.models.instrumented import InstrumentationSettings

    settings = InstrumentationSettings(include_content=False)
    try:
        from pydantic_ai.capabilities import Instrumentation
    except ImportError:
        return {"instrument": settings}
    return {"capabilities": [Instrumentation(settings=settings)]}


def by_langchain() -> Any:
    from langchain_openai import ChatOpenAI

    return ChatOpenAI(model=MODEL, **OPENAI).invoke(PROMPT).content


def by_langgraph(model: str = MODEL) -> Any:
    from langchain.agents import create_agent
    from langchain_openai import ChatOpenAI

    agent = create_agent(ChatOpenAI(model=model, **OPENAI), tools=[])
    return agent.invoke({"messages": MESSAGES})["messages"][-1].content


async def by_langgraph_async() -> Any:
    from langchain.agents import create_agent
    from langchain_openai import ChatOpenAI

    agent = create_agent(ChatOpenAI(model=MODEL, **OPENAI), tools=[])
    return (await agent.ainvoke({"messages": MESSAGES}))["messages"][-1].content


async def by_openai_agents() -> Any:
    import agents
    import openai

    agents.set_default_openai_client(openai.AsyncOpenAI(**OPENAI), use_for_tracing=False)
    return (await agents.Runner.run(agents.Agent("one", model=MODEL), PROMPT)).final_output


def _google() -> Any:
    from google import genai

    return genai.Client(api_key="none", http_options=genai.types.HttpOptions(base_url=URL))


def by_google_genai() -> Any:
    client = _google()
    return client.models.generate_content(model=MODEL, contents=PROMPT).text


async def by_google_genai_async() -> Any:
    client = _google()
    return (await client.aio.models.generate_content(model=MODEL, contents=PROMPT)).text


def by_litellm() -> Any:
    import litellm

    answer = litellm.completion("openai/model-1", MESSAGES, base_url=f"{URL}/v1", api_key="none")
    return answer.choices[0].message.content


async def by_litellm_async() -> Any:
    import litellm

    answer = await litellm.acompletion("anthropic/model-1", MESSAGES, base_url=URL, api_key="none")
    return answer.choices[0].message.content


async def by_google_adk() -> str:
    from google.adk.models.lite_llm import LiteLlm

    return await _run_adk(LiteLlm("openai/model-1", api_base=f"{URL}/v1", api_key="none"))


async def by_google_adk_gemini() -> str:
    from google.adk.models.google_llm import Gemini

    return await _run_adk(Gemini(model=MODEL, base_url=URL))


async def _run_adk(model: Any) -> str:
    from google.adk.agents import LlmAgent
    from google.adk.runners import InMemoryRunner
    from google.genai import types

    runner = InMemoryRunner(LlmAgent(name="one", model=model), app_name="app")
    session = await runner.session_service.create_session(app_name="app", user_id="user")
    prompt = types.Content(role="user", parts=[types.Part(text=PROMPT)])
    events = runner.run_async(user_id="user", session_id=session.id, new_message=prompt)
    return "".join(
        [part.text or "" async for event in events for part in (event.content and event.content.parts) or ()]
    )


@app.get("/by/{client}")
async def by(client: str) -> Any:
    function = globals()[f"by_{client}"]
    return await (function() if asyncio.iscoroutinefunction(function) else asyncio.to_thread(function))


@app.get("/broken/{client}")
def broken(client: str) -> Any:
    """The model `broken`, with what it raises."""
    return {"openai": by_openai, "anthropic": by_anthropic, "langgraph": by_langgraph}[client]("broken")
