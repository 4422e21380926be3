"""A failure that the answer does not show is one; a client that has gone is none."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import loguru
import pytest
from fastapi import FastAPI, Request, WebSocket
from fastapi.responses import StreamingResponse
from opentelemetry import context as context_api
from opentelemetry.trace import StatusCode
from rawasgi import http_scope, send, websocket_scope
from starlette.requests import ClientDisconnect

from tracebaton_configurator.logs import hook, logged_errors
from tracebaton_configurator.sampling import late_spans
from tracebaton_configurator.sampling.decision import UNSAMPLED, RequestDecision
from tracebaton_configurator.sampling.late_spans import mark_failed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import Behind

    MakeBehind = Callable[..., Behind]


@pytest.fixture(autouse=True)
def hooked(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    uninstall = hook.install("inject", "here")
    monkeypatch.setattr(logged_errors, "on_logged_error", late_spans.mark_failed)
    yield
    uninstall()


def _raise() -> None:
    raise ValueError("on purpose")


def _log(name: str = "app", level: int = logging.ERROR, *, exc_info: bool = True, error: Any = _raise) -> None:
    try:
        error()
    except BaseException:  # a cancelled task, too
        logging.getLogger(name).log(level, "it failed", exc_info=exc_info)


def _client_goes() -> None:
    raise ClientDisconnect


def _is_cancelled() -> None:
    raise asyncio.CancelledError


def ask(made: Behind, endpoint: Any) -> None:
    app = FastAPI()
    app.get("/")(endpoint)
    asyncio.run(send(made.put_on(app), http_scope(path="/", headers=[(b"host", b"shop.example")])))


def test_a_logged_error_is_kept(behind: MakeBehind) -> None:
    made = behind("*=0")

    async def endpoint() -> str:
        _log()
        return "fine"

    ask(made, endpoint)
    span = made.only
    assert (span.attributes or {})[late_spans.REASON] == "error"
    assert (span.attributes or {})["http.status_code"] == 200
    assert span.status.status_code is StatusCode.ERROR
    assert (span.events[0].attributes or {})["exception.message"] == "on purpose"


def test_of_loguru(behind: MakeBehind) -> None:
    made = behind("*=0")

    async def endpoint() -> str:
        try:
            _raise()
        except ValueError:
            loguru.logger.exception("it failed")
        return "fine"

    sink = loguru.logger.add(lambda _: None)  # without one, loguru does nothing at all
    try:
        ask(made, endpoint)
    finally:
        loguru.logger.remove(sink)
    assert made.only.status.status_code is StatusCode.ERROR


def test_in_a_thread_and_a_task_of_the_request(behind: MakeBehind) -> None:
    made = behind("*=0")

    def endpoint() -> str:
        _log()
        return "fine"

    async def with_task() -> str:
        await asyncio.create_task(asyncio.to_thread(_log))
        return "fine"

    ask(made, endpoint)
    ask(made, with_task)
    assert len(made.spans) == 2


@pytest.mark.parametrize(
    "log",
    [
        lambda: _log(level=logging.WARNING),
        lambda: _log(exc_info=False),
        lambda: logging.getLogger("app").error("nothing raised", exc_info=True),  # noqa: LOG014 (that is the case)
        lambda: logged_errors.note_logged("no tuple", "a record that somebody made by hand"),
        lambda: _log("asyncio"),
        lambda: _log("opentelemetry.context"),
        lambda: _log(error=_client_goes),
        lambda: _log(error=_is_cancelled),
    ],
    ids=["warning", "no-exc-info", "no-exception", "odd", "asyncio", "opentelemetry", "client-gone", "cancelled"],
)
def test_what_is_no_failure(behind: MakeBehind, log: Callable[[], None]) -> None:
    made = behind("*=0")

    async def endpoint() -> str:
        log()
        return "fine"

    ask(made, endpoint)
    assert made.spans == []


def test_errors_that_are_not_to_be_kept(behind: MakeBehind) -> None:
    made = behind("*=0", keep_errors=False)

    async def endpoint() -> str:
        _log()
        return "fine"

    ask(made, endpoint)
    assert made.spans == []


def test_one_is_not_the_failure_of_another(behind: MakeBehind) -> None:
    made = behind("*=0")
    _log()

    async def endpoint() -> str:
        return "fine"

    ask(made, endpoint)
    assert made.spans == []


def test_a_stream_that_breaks_is_kept_and_a_client_that_goes_is_not(behind: MakeBehind) -> None:
    made = behind("*=0")

    async def streamed(error: BaseException) -> Any:
        yield b"x"
        raise error

    async def breaks() -> StreamingResponse:
        return StreamingResponse(streamed(ValueError("late")))

    async def goes() -> StreamingResponse:
        return StreamingResponse(streamed(ClientDisconnect()))

    async def goes_before(request: Request) -> None:
        raise ClientDisconnect

    ask(made, goes)
    ask(made, goes_before)
    assert made.spans == []
    ask(made, breaks)
    assert made.only.status.status_code is StatusCode.ERROR


def test_a_websocket_that_is_closed_is_no_failure(behind: MakeBehind) -> None:
    made, app = behind("*=0"), FastAPI()

    @app.websocket("/ws")
    async def socket(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.receive_text()

    incoming = [{"type": "websocket.connect"}, {"type": "websocket.disconnect", "code": 1001}]
    asyncio.run(send(made.put_on(app), websocket_scope("/ws"), incoming=incoming))
    assert made.spans == []


def test_what_goes_on_after_the_request_keeps_no_error_alive() -> None:
    decision = RequestDecision(context_api.Context(), recorded=False, trace_id=1, trace_state=None)
    token = context_api.attach(context_api.Context({UNSAMPLED: decision}))
    try:
        decision.ended = True
        mark_failed(ValueError("later"))
    finally:
        context_api.detach(token)
    assert (decision.failed, decision.error) == (False, None)
