"""Nothing of tracing raises into a request: not before it, not while it is answered, and not after it."""

from __future__ import annotations

import asyncio
import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import pytest
from fastapi import FastAPI
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.trace import StatusCode
from rawasgi import Answer, http_scope, send, traceparent, websocket_scope
from starlette.applications import Starlette
from starlette.convertors import Convertor, register_url_convertor
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from tracebaton_configurator.asgi.starlette import add_to_starlette

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

RULES = ["*=1", "*=0", "*=10/s+10%"]


class Nameless:
    """A value of a path that has no text."""

    def __str__(self) -> str:
        raise RuntimeError("this value has no text")

    __repr__ = __str__


class NamelessConvertor(Convertor[Nameless]):
    regex = "[^/]+"

    def convert(self, value: str) -> Nameless:
        return Nameless()

    def to_string(self, value: Nameless) -> str:
        return "x"


class SpeechlessError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("this exception has no text")


register_url_convertor("nameless", NamelessConvertor())


def run(app: Any, scope: dict[str, Any], **more: Any) -> Answer:
    return asyncio.run(send(app, scope, **more))


@pytest.fixture(autouse=True)
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    lines: list[str] = []
    monkeypatch.setattr("tracebaton_configurator.logs.diagnostics.report", lambda _, line: lines.append(line))
    return lines


@pytest.mark.parametrize("rules", RULES)
@pytest.mark.parametrize("path", ["/things/7", "/mounted/things/7"])
def test_a_value_of_the_path_without_text(behind: Callable[..., Any], rules: str, path: str) -> None:
    inner = Starlette(routes=[Route("/things/{it:nameless}", lambda _: PlainTextResponse("served"))])
    app = FastAPI()
    app.add_route("/things/{it:nameless}", lambda _: PlainTextResponse("served"))
    app.mount("/mounted", inner)
    made = behind(rules).put_on(app)
    for _ in range(3):
        answer = run(made, http_scope(path=path))
        assert (answer.status, answer.body, answer.error) == (200, b"served", None)


@pytest.fixture
def starlette_patched() -> Iterator[None]:
    before = Starlette.build_middleware_stack
    yield
    Starlette.build_middleware_stack = before  # type: ignore[method-assign]


@pytest.mark.parametrize("broken", ["learn", "request", "ids"])
@pytest.mark.parametrize("rules", RULES)
def test_a_part_of_ours_that_fails(behind: Callable[..., Any], said: list[str], rules: str, broken: str) -> None:
    behind_it = behind(rules)
    app = FastAPI()
    app.add_api_route("/", lambda: "served")
    behind_it.put_on(app)

    def fail(*_: Any, **__: Any) -> Any:
        raise RuntimeError("broken")

    if broken == "ids":
        behind_it.provider.id_generator.generate_span_id = fail
    else:
        setattr(behind_it.fast_path.root_sampler, broken, fail)
    answer = run(app, http_scope())
    assert (answer.status, answer.body, answer.error) == (200, b'"served"', None)
    if broken == "request":
        assert any("served untraced: RuntimeError: broken" in line for line in said)


@pytest.mark.parametrize("rules", RULES)
@pytest.mark.parametrize(
    "change",
    [
        {"headers": None},
        {"headers": [(b"host",)]},
        {"headers": [("host", "text")]},
        {"client": None},
        {"client": ()},
        {"client": "unix"},
        {"client": ["a", "b"]},
        {"server": None},
        {"server": ("/run/socket", None)},
        {"path": None},
        {"path": b"/"},
        {"method": None},
        {"method": b"GET"},
        {"query_string": "a=1"},
        {"query_string": None},
        {"query_string": b"\xff=%zz"},
        {"http_version": None},
        {"scheme": None},
        {"root_path": None},
    ],
)
@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_a_scope_that_is_not_quite_asgi(
    behind: Callable[..., Any], change: dict[str, Any], rules: str, kind: str
) -> None:
    """The application gets it as it would without: here one that looks at nothing."""

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": f"{'http' if kind == 'http' else 'websocket.http'}.response.start", "status": 204})

    app = FastAPI()
    made = behind(rules).put_on(app, excluded_urls="nothing")
    stack = made.build_middleware_stack()
    stack._inner = application
    stack._recorder._inner = application
    stack.app = application
    scope = {**(http_scope() if kind == "http" else websocket_scope("/")), **change}
    answer = run(stack, scope)
    assert (answer.error, len(answer.messages)) == (None, 1)


@pytest.mark.parametrize("rules", ["*=1", "*=0"])
@pytest.mark.parametrize(
    "message",
    [
        {"type": "http.response.start"},
        {"type": "http.response.start", "status": None},
        {"type": "http.response.start", "status": "200"},
        {"type": "http.response.start", "status": "teapot"},
        {"type": "http.response.start", "status": HTTPStatus.OK},
        {"type": "http.response.start", "status": [500]},
        {},
        {"type": None},
    ],
)
def test_an_answer_that_is_not_quite_asgi(behind: Callable[..., Any], message: dict[str, Any], rules: str) -> None:
    """It goes to the server as it is, which says what it has to say."""
    app = FastAPI()

    async def endpoint(scope: Any, receive: Any, send: Any) -> None:
        await send(message)
        await send({"type": "http.response.body", "body": b"done"})

    made = behind(rules).put_on(app)
    stack = made.build_middleware_stack()
    stack._inner = endpoint
    stack._recorder._inner = endpoint
    answer = run(stack, http_scope())
    assert answer.error is None
    assert answer.messages == [message, {"type": "http.response.body", "body": b"done"}]


def test_an_exception_without_text_is_the_one_that_comes_out(behind: Callable[..., Any]) -> None:
    """Where the span is recorded, a middleware of upstream's below the gate asks the exception for its text."""
    app = FastAPI()

    @app.get("/")
    def fail() -> None:
        raise SpeechlessError

    behind_it = behind("*=0")
    answer = run(behind_it.put_on(app), http_scope())
    assert answer.status == 500
    assert type(answer.error) is SpeechlessError
    assert behind_it.only.status.status_code is StatusCode.ERROR


class Broken(SpanProcessor):
    def on_start(self, span: Any, parent_context: Any = None) -> None:
        raise RuntimeError("broken")

    def on_end(self, span: Any) -> None:
        raise RuntimeError("broken")


class BrokenAtEnd(Broken):
    def on_start(self, span: Any, parent_context: Any = None) -> None:
        """Nothing."""


@pytest.mark.parametrize("kind", [Broken, BrokenAtEnd])
@pytest.mark.parametrize("path", ["/", "/fails"])
@pytest.mark.parametrize("rules", ["*=1", "*=0"])
def test_a_span_processor_that_raises(
    behind: Callable[..., Any], rules: str, path: str, kind: type[SpanProcessor]
) -> None:
    app = FastAPI()
    app.add_api_route("/", lambda: "served")

    @app.get("/fails")
    def fail() -> None:
        raise ValueError("the application's own")

    behind_it = behind(rules)
    behind_it.provider.add_span_processor(kind())
    answer = run(behind_it.put_on(app), http_scope(path=path, headers=[traceparent(flags=int(rules == "*=1"))]))
    if path == "/":
        assert (answer.status, answer.body, answer.error) == (200, b'"served"', None)
    else:
        assert (answer.status, str(answer.error)) == (500, "the application's own")


class TestPropagators:
    @pytest.mark.parametrize("what", ["inject", "extract"])
    def test_one_that_raises_fails_nobody(self, what: str, caplog: pytest.LogCaptureFixture) -> None:
        from opentelemetry.context import Context
        from opentelemetry.propagators.textmap import TextMapPropagator

        from tracebaton_configurator.propagation.w3c.propagator import CallersPropagator

        class Failing(TextMapPropagator):
            def extract(self, *_: Any, **__: Any) -> Any:
                raise RuntimeError("broken")

            def inject(self, *_: Any, **__: Any) -> None:
                raise RuntimeError("broken")

            @property
            def fields(self) -> set[str]:
                return set()

        caplog.set_level(logging.ERROR)
        propagators = CallersPropagator([Failing()])
        context = Context({"a": "b"})
        if what == "inject":
            propagators.inject({}, context)
        else:
            assert propagators.extract({}, context) == context
            assert propagators.extract({}) == Context()


@pytest.mark.usefixtures("starlette_patched")
def test_starlette(behind: Callable[..., Any]) -> None:
    """The same guards: its middleware stands in the middle of the application's own."""
    from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
    from starlette.middleware import Middleware

    for rules in RULES:
        behind_it = behind(rules)
        add_to_starlette(behind_it, event_spans=False)
        app = Starlette(
            routes=[Route("/things/{it:nameless}", lambda _: PlainTextResponse("served"))],
            middleware=[Middleware(OpenTelemetryMiddleware, tracer_provider=behind_it.provider)],
        )
        answer = run(app, http_scope(path="/things/7"))
        assert (answer.status, answer.error) == (200, None)
