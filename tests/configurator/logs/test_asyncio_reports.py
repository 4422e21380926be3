"""What asyncio says of a task or a callback has the ids of that, whoever runs when it is said."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import logging
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import context as context_api
from opentelemetry import trace

from tracebaton_configurator.logs import asyncio_reports
from tracebaton_configurator.logs.ids import current_ids, current_request
from tracebaton_configurator.patching import registry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def new_loop(name: str) -> asyncio.AbstractEventLoop:
    if name == "asyncio":
        return asyncio.new_event_loop()
    import uvloop

    return uvloop.new_event_loop()


@pytest.fixture(
    params=[
        "asyncio",
        pytest.param(
            "uvloop", marks=pytest.mark.skipif(find_spec("uvloop") is None, reason="UVLOOP IS NOT INSTALLED HERE")
        ),
    ]
)
def loop(request: pytest.FixtureRequest, install: Callable[..., None]) -> Iterator[asyncio.AbstractEventLoop]:
    install("json")
    made = new_loop(request.param)
    gc.disable()
    yield made
    gc.enable()
    made.close()


@pytest.fixture
def said() -> Iterator[list[tuple[str, str | None]]]:
    """The first line of each record of asyncio's, and its trace id."""
    records: list[tuple[str, str | None]] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append((record.getMessage().partition("\n")[0], record.__dict__.get("trace_id")))

    handler = Handler()
    logging.getLogger("asyncio").addHandler(handler)
    yield records
    logging.getLogger("asyncio").removeHandler(handler)


@contextmanager
def request(number: int) -> Iterator[None]:
    context = trace.SpanContext(number, number, is_remote=False, trace_flags=trace.TraceFlags(1))
    with trace.use_span(trace.NonRecordingSpan(context)):
        yield


def ids_of(number: int) -> str:
    return f"{number:032x}"


async def fail() -> None:
    raise ValueError("fails")


def test_an_exception_that_nobody_retrieves(loop: asyncio.AbstractEventLoop, said: list[Any]) -> None:
    async def main() -> None:
        with request(1):
            task = loop.create_task(fail())
        outside = contextvars.Context().run(lambda: loop.create_task(fail()))
        await asyncio.sleep(0)
        with request(2):
            del task
        with request(3):
            del outside
        with request(4):
            loop.create_task(fail())
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    loop.run_until_complete(main())
    never = "Task exception was never retrieved"
    assert said == [(never, ids_of(1)), (never, None), (never, ids_of(4))]


def test_in_a_circle(loop: asyncio.AbstractEventLoop, said: list[Any]) -> None:
    async def main() -> None:
        with request(1):
            task = loop.create_task(fail())
        task.circle = [task]  # type: ignore[attr-defined]
        await asyncio.sleep(0)
        del task
        with request(2):
            gc.collect()

    class Task(asyncio.Task):  # type: ignore[type-arg]
        pass

    loop.set_task_factory(lambda loop, coroutine, **more: Task(coroutine, loop=loop, **more))
    loop.run_until_complete(main())
    assert said == [("Task exception was never retrieved", ids_of(1))]


def test_a_task_that_is_destroyed(loop: asyncio.AbstractEventLoop, said: list[Any]) -> None:
    async def wait(future: Any) -> None:
        await future

    async def main() -> None:
        with request(1):
            task = loop.create_task(wait(loop.create_future()))
        await asyncio.sleep(0)
        with request(2):
            del task
            gc.collect()

    loop.run_until_complete(main())
    assert said == [("Task was destroyed but it is pending!", ids_of(1))]


def test_a_callback_that_fails(loop: asyncio.AbstractEventLoop, said: list[Any]) -> None:
    def broken() -> None:
        raise ValueError

    async def main() -> None:
        with request(1):
            loop.call_soon(broken)
            loop.call_later(0.001, broken)
        await asyncio.sleep(0.01)

    loop.run_until_complete(main())
    assert [trace_id for _, trace_id in said] == [ids_of(1)] * 2
    assert all("Exception in callback" in text for text, _ in said)


def test_a_future_that_nobody_asks(loop: asyncio.AbstractEventLoop, said: list[Any]) -> None:
    """A future knows nothing of where it was made, and who runs when it goes has nothing to do with it."""

    async def main() -> None:
        with request(1):
            future = loop.create_future()
        future.set_exception(ValueError())
        with request(2):
            del future

    loop.run_until_complete(main())
    assert said == [("Future exception was never retrieved", None)]


def test_a_handler_of_the_applications(loop: asyncio.AbstractEventLoop) -> None:
    own: contextvars.ContextVar[str] = contextvars.ContextVar("own", default="none")
    seen: list[Any] = []

    def handler(_: Any, context: dict[str, Any]) -> None:
        ids = current_ids()
        seen.append((context["message"], ids and ids.trace_id))

    async def main() -> None:
        with request(1):
            task = loop.create_task(fail())
        await asyncio.sleep(0)
        own.set("mine")
        with request(2):
            del task
            assert current_ids() is not None
            assert current_ids().trace_id == ids_of(2)  # type: ignore[union-attr]

    loop.set_exception_handler(handler)
    loop.run_until_complete(main())
    assert seen == [("Task exception was never retrieved", ids_of(1))]


def test_what_belongs_to_nobody_stays_where_it_is(loop: asyncio.AbstractEventLoop, said: list[Any]) -> None:
    with request(5):
        loop.call_exception_handler({"message": "a transport failed"})
        loop.call_exception_handler({"message": "a stranger's", "task": object()})
    assert said == [("a transport failed", ids_of(5)), ("a stranger's", ids_of(5))]


def test_nothing_fails_where_ids_cannot_be_had(loop: asyncio.AbstractEventLoop, said: list[Any]) -> None:
    class Odd:
        def get_context(self) -> None:
            raise ValueError

    loop.call_exception_handler({"message": "odd", "task": Odd()})
    assert said == [("odd", None)]


def test_it_is_applied_and_taken_back(install: Callable[..., None]) -> None:
    before = asyncio.BaseEventLoop.call_exception_handler
    undo = asyncio_reports.install()
    assert registry.outcome("asyncio").status == "applied"
    assert asyncio.BaseEventLoop.call_exception_handler is not before
    undo()
    assert asyncio.BaseEventLoop.call_exception_handler is before
    assert context_api.get_current() == {}
    assert current_request.get() is None
