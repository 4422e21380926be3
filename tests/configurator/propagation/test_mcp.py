"""MCP's calls by name and outcome, and an SDK that is not as expected; tests/e2e/edges has real ones."""

from __future__ import annotations

import asyncio
import sys
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from tracebaton_configurator.patching import registry
from tracebaton_configurator.patching.catalogue import CATALOGUE
from tracebaton_configurator.propagation import mcp, mcp_calls, mcp_client, mcp_server, mcp_stdio
from tracebaton_configurator.propagation.incoming import Incoming, Surroundings

if TYPE_CHECKING:
    from collections.abc import Callable

TRACE, SENDER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
HEADERS = {"traceparent": f"00-{TRACE}-{SENDER}-01", "baggage": "tenant=acme"}


class Model(SimpleNamespace):
    """One of the SDK's objects."""


@pytest.mark.parametrize(
    ("method", "params", "name", "attributes"),
    [
        (
            "tools/call",
            Model(name="add"),
            "tools/call add",
            {"gen_ai.tool.name": "add", "gen_ai.operation.name": "execute_tool"},
        ),
        ("tools/call", {"name": 5}, "tools/call", {"gen_ai.operation.name": "execute_tool"}),
        ("prompts/get", {"name": "hello"}, "prompts/get hello", {"gen_ai.prompt.name": "hello"}),
        (
            "resources/read",
            Model(uri="https://a.example/b?token=abc"),
            "resources/read",
            {"mcp.resource.uri": "https://a.example/b?token=REDACTED"},
        ),
        ("tools/list", None, "tools/list", {}),
        ("x/name", {"name": "of many"}, "x/name", {}),
    ],
)
def test_a_call_is_named_by_the_conventions(method: str, params: Any, name: str, attributes: dict[str, str]) -> None:
    found = {"mcp.method.name": method, "jsonrpc.request.id": "7", **attributes}
    assert mcp_calls.described(method, params, 7) == (name, found)


TOOL_ERROR = {"error.type": "tool_error"}
CODE = {"error.type": "-32602", "rpc.response.status_code": "-32602"}


@pytest.mark.parametrize(
    ("outcome", "failed"),
    [
        (Model(root=Model(isError=True)), TOOL_ERROR),
        (Model(is_error=True), TOOL_ERROR),
        ({"isError": True}, TOOL_ERROR),
        ({"isError": 1, "content": []}, None),
        (Model(isError=False), None),
        (Model(code=-32602, message="no"), CODE),
        (Model(error=Model(code=-32602, message="no")), CODE),
        (None, None),
        (ValueError("x"), None),
    ],
)
def test_an_outcome_says_whether_it_failed(outcome: Any, failed: dict[str, str] | None) -> None:
    assert mcp_calls.failure(outcome) == failed


def sent(params: Any, *, within: bool = True) -> tuple[Any, Any]:
    """What a session's stream makes of a request with these `params`, and where it remembers that it was sent."""
    item = Model(message=Model(root=Model(id=1, method="tools/call", params=params)))
    got: list[Any] = []

    async def send(item: Any) -> None:
        got.append(item)

    async def run() -> None:
        await mcp_client._Sending(Model(send=send)).send(item)

    if within:
        with Incoming("request", HEADERS):
            asyncio.run(run())
    else:
        asyncio.run(run())
    (found,) = got
    return found.message.root.params, found._tracebaton_sent_in


def test_a_request_carries_the_trace_beside_what_is_there(traced: Any) -> None:
    made = traced("*=1")
    application = {"name": "a", "_meta": {"progressToken": 3, "own": {"x": 1}}}
    params, sent_in = sent(application)
    (span,) = made.spans()
    traceparent = f"00-{TRACE}-{span.context.span_id:016x}-01"
    assert params["_meta"] == {
        "progressToken": 3,
        "own": {"x": 1},
        "traceparent": traceparent,
        "baggage": "tenant=acme",
    }
    assert application == {"name": "a", "_meta": {"progressToken": 3, "own": {"x": 1}}}
    assert sent_in.request.span_context == span.context


def test_a_trace_that_the_application_has_put_there_stays(traced: Any) -> None:
    traced("*=1")
    own = {"traceparent": f"00-{'3' * 32}-{SENDER}-01"}
    assert sent({"_meta": own})[0] == {"_meta": own}


def test_outside_any_trace_nothing_is_added(traced: Any) -> None:
    traced("*=1")
    assert sent(None, within=False) == (None, Surroundings.current())


def test_while_off_nothing_is_added(traced: Any) -> None:
    traced("*=1").switch(off=True)
    assert sent({"name": "a"})[0] == {"name": "a"}


def test_what_cannot_be_read_is_sent_as_it_is(traced: Any) -> None:
    traced("*=1")
    assert sent("text")[0] == "text"


@pytest.mark.parametrize(
    ("meta", "found"),
    [
        (None, {}),
        ({"a": 1}, {"a": 1}),
        (Model(model_extra={"b": 2}), {"b": 2}),
        (Model(model_extra=None), {}),
        ("x", {}),
    ],
)
def test_meta_of_either_generation(meta: Any, found: Any) -> None:
    assert mcp_calls.as_headers(meta) == found


def test_an_untrusted_client_of_an_http_server_is_not_followed(traced: Any) -> None:
    made = traced("*=1", trust=False)
    http = Model(headers={}, scope={"client": ("10.0.0.1", 80)})
    with mcp_server.arrived(("tools/call a", {}), HEADERS, http):
        pass
    (span,) = made.spans()
    assert (span.parent, [f"{link.context.trace_id:032x}" for link in span.links]) == (None, [TRACE])


@pytest.mark.parametrize(("name", "replace"), [(name, replace) for name, _, replace in mcp._PATCHES])
def test_an_sdk_that_is_not_as_expected_stays_as_it_was(
    name: str, replace: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "_outcomes", {})
    module = ModuleType("mcp.elsewhere")
    # With a class of each name, and nothing in it.
    classes = {
        kind: type(kind, (), {}) for kind in ("BaseSession", "ClientSession", "StreamableHTTPTransport", "Server")
    }
    vars(module).update(classes)
    before = {kind: dict(vars(found)) for kind, found in classes.items()}
    assert not registry.apply(name, lambda: replace(module))
    assert registry.outcome(name).status == "declined"
    assert {kind: dict(vars(found)) for kind, found in classes.items()} == before
    assert CATALOGUE[name].library in ("mcp", "fastmcp")


LAUNCHER = "/x/tracebaton_configurator/startup/autoload"
UPSTREAMS = "/x/opentelemetry/instrumentation/auto_instrumentation"
ENVIRON = {
    "PYTHONPATH": f"{LAUNCHER}:/application",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4317",
    "OTEL_EXPORTER_OTLP_METRICS_HEADERS": "authorization=Bearer abc",
    "OTEL_EXPORTER_OTLP_CLIENT_KEY": "/etc/key.pem",
    "OTEL_SERVICE_NAME": "agent",
    "_OTEL_TRACEBATON_PARENT": "1,2,3",
    "DATABASE_URL": "postgres://",
}
TRACING = {
    "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4317",
    "OTEL_EXPORTER_OTLP_CLIENT_KEY": "/etc/key.pem",
    "_OTEL_TRACEBATON_PARENT": "1,2,3",
}


class Parameters(Model):
    """The SDK's are immutable in the same way."""

    def model_copy(self, *, update: dict[str, Any]) -> Parameters:
        return Parameters(**{**vars(self), **update})


@pytest.mark.parametrize(
    ("command", "env", "environ", "expected"),
    [
        ("python3.12", None, ENVIRON, {**TRACING, "PYTHONPATH": LAUNCHER}),
        ("/usr/bin/python", {"A": "1"}, ENVIRON, {**TRACING, "A": "1", "PYTHONPATH": LAUNCHER}),
        ("python", {"PYTHONPATH": "/own"}, ENVIRON, {**TRACING, "PYTHONPATH": f"{LAUNCHER}:/own"}),
        ("python", dict(ENVIRON), ENVIRON, ENVIRON),
        ("python", {"A": "1"}, {"PYTHONPATH": "/application"}, {"A": "1"}),
        ("npx", {"A": "1"}, ENVIRON, {"A": "1"}),
        ("python", {"A": "1"}, {**ENVIRON, "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer abc"}, {"A": "1"}),
        ("python", {"A": "1"}, {**ENVIRON, "OTEL_TRACES_EXPORTER": "otlp,console"}, {"A": "1"}),
        ("python", {"A": "1"}, {**ENVIRON, "OTEL_TRACES_EXPORTER": "console\n"}, {"A": "1"}),
        ("python", {"A": "1"}, {**ENVIRON, "OTEL_EXPORTER_OTLP_ENDPOINT": "http://user:hunter2@host"}, {"A": "1"}),
        ("python", {"A": "1"}, {**ENVIRON, "OTEL_TRACEBATON_ENDPOINT": "http://host?token=hunter2"}, {"A": "1"}),
        ("/other/bin/python", {"A": "1"}, {"PYTHONPATH": UPSTREAMS}, {"A": "1"}),
        (sys.executable, {"A": "1"}, {"PYTHONPATH": UPSTREAMS}, {"A": "1", "PYTHONPATH": UPSTREAMS}),
        ("python", None, {}, None),
    ],
)
def test_a_server_in_python_is_started_traced(
    command: str, env: dict[str, str] | None, environ: dict[str, str], expected: dict[str, str] | None
) -> None:
    given = Parameters(command=command, env=env)
    before = None if env is None else dict(env)
    assert mcp_stdio._with_tracing(given, environ).env == expected
    assert given.env == before


def test_what_a_request_has_wrong_is_not_quoted(traced: Callable[..., Any]) -> None:
    from pydantic import BaseModel

    class Call(BaseModel):
        arguments: dict[str, str]

    class Middleware:
        async def __call__(self, ctx: Any, call_next: Callable[[Any], Any]) -> Any:
            return await call_next(ctx)

    async def fail(_: Any) -> None:
        Call.model_validate({"arguments": "pin=hunter2"})

    made = traced("*=1")
    mcp_server._patch_call(Middleware, makes_span=False)
    ctx = SimpleNamespace(request_id=1, method="tools/call", params={}, protocol_version="1", meta={}, request=None)
    with pytest.raises(ValueError, match="hunter2"):
        asyncio.run(Middleware()(ctx, fail))
    (span,) = made.spans()
    assert (span.attributes["error.type"], span.status.status_code.name, span.events) == ("-32602", "ERROR", ())
    assert "hunter2" not in span.to_json()
