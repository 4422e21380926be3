"""Each line has the ids of the request that it is about, whatever requests, tasks, threads and callbacks there are.

A program is a list of steps. In each, one actor (an endpoint, a task, a thread, what an executor runs) does one thing,
to its end; so any two of them take turns in any way, and the same list is the same program. Requests come over
connections that are kept alive, to a FastAPI application on uvicorn. What the model says:

* What is logged in the course of a request, by whatever it has started, has the ids of its SERVER span, sampled or not.
  What nobody's request has started has none: that is so for the application's start, a worker of an executor, and for
  requests while tracing is off.
* A consumer, or a pool of the application's own, has those of who started it, whoever it works for: nobody can know
  better. Only what an executor is given has those of who gave it.
* A span below an unsampled request is not recorded, and so names nothing: its lines have the ids of the request.
* So has a copy of the context, wherever it is run.
* Work that goes on has them until `DETACH_AFTER` has passed since the answer. Threads and what is given to executors
  later than that have none from then on. A background task that is recorded has a span of its own as long as it runs.
* What asyncio says of a task or a callback has the ids of that; of a future, those of where its exception was raised,
  if that is known. The moment at which it says so is somebody else's.
* So has what a server says of an exception, and a record that waits in a queue.

`__del__` is left out: it has the ids of the moment, and nobody can know better.
"""

from __future__ import annotations

import asyncio
import contextvars
import gc
import logging
import sys
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from ids_model import (
    DETACH_AFTER,
    Actor,
    Application,
    Asked,
    Connection,
    End,
    Owner,
    fail,
    raise_error,
    read_answer,
    wait_for_ever,
)
from opentelemetry.trace import SpanKind

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

LOOPS = [name for name in ("asyncio", "uvloop") if find_spec(name)]
HTTP = [name for name in ("h11", "httptools") if find_spec(name)]
KINDS = ["task", "thread", "stream", "task then task", "task then thread", "mounted/task", "mounted/thread", "raw"]
which = st.integers(0, 30)
NONE = {"trace_id": None, "span_id": None, "trace_flags": None}


class Open:
    """A request that is under way, and who its actors are."""

    def __init__(self, number: int, asked: Asked, actor: Actor, connection: Connection) -> None:
        self.number = number
        self.asked = asked
        self.owner: Owner | None = None
        self.actor = actor
        self.connection = connection
        self.after: Actor | None = None
        self.pipelined: Open | None = None


class Model(RuleBasedStateMachine):
    """`expected` has the owner of each line that is to come, or None, by the number in it."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.app: Application | None = None
        self.next = 0
        self.expected: dict[int, Owner | None] = {}
        self.owners: list[Owner] = []
        self.actors: list[Actor] = []
        self.tasks: list[Actor] = []
        self.open: list[Open] = []
        self.idle: list[Connection] = []
        self.contexts: list[tuple[contextvars.Context, Owner | None]] = []
        self.orphans: list[object] = []
        self.reports: list[tuple[int, Callable[[], Owner | None]]] = []
        self.futures: list[tuple[asyncio.Future[None], int, Owner | None]] = []
        self.errors: list[tuple[BaseException, Owner | None]] = []
        self.has_failed = False

    @initialize(
        loop=st.sampled_from(LOOPS),
        http=st.sampled_from(HTTP),
        custom=st.booleans(),
        requests=st.lists(st.tuples(st.sampled_from(KINDS), st.booleans()), max_size=4),
    )
    def begin(self, loop: str, http: str, custom: bool, requests: list[tuple[str, bool]]) -> None:  # noqa: FBT001
        gc.collect()
        gc.freeze()
        gc.disable()
        self.app = Application(self.patch, loop, http)
        self.actors.append(self.app.at_start)
        if custom:
            say = logging.getLogger("custom").error
            self.app.loop.set_exception_handler(
                lambda _, report: say("%s %s", report.get("exception"), report.get("task"))
            )
        for kind, sampled in requests:
            self.request(kind, sampled, "", reuse=False)

    # What the model says.

    def now(self, owner: Owner | None) -> Owner | None:
        """Whose ids a line has that is logged now by what belongs to `owner`."""
        return owner if owner and (owner.recording or not self.is_detached(owner)) else None

    def is_detached(self, owner: Owner) -> bool:
        answered = owner.request.answered
        return answered is not None and self.app.clock - answered > DETACH_AFTER

    def handed(self, owner: Owner | None) -> Owner | None:
        """To whom that belongs which `owner` gives to a thread or an executor."""
        return None if owner is None or self.is_detached(owner) else owner

    def number(self, owner: Owner | None) -> int:
        """That of a line which is to come."""
        self.next += 1
        self.expected[self.next] = owner
        return self.next

    def line_of(self, actor: Actor) -> int:
        return self.number(self.now(actor.owner))

    # How things are done.

    def actor(self, index: int) -> Actor:
        return self.actors[index % len(self.actors)]

    def async_actor(self, index: int) -> Actor:
        able = [actor for actor in self.actors if not actor.in_thread]
        return able[index % len(able)]

    def run(self, done: Coroutine[Any, Any, None]) -> None:
        try:
            self.app.run(done)
        except BaseException:
            self.has_failed = True
            raise

    def do(self, actor: Actor, command: Any, *numbers: int) -> None:
        """Have it done, and wait for those lines."""
        self.run(self.doing(actor, command, numbers))

    async def doing(self, actor: Actor, command: Any, numbers: tuple[int, ...]) -> None:
        await actor.do(command)
        for number in numbers:
            await self.app.wait_for(lambda number=number: self.app.has(number), f"x{number}x")

    def say(self, number: int) -> Callable[[], None]:
        return lambda: self.app.say(number)

    def become(self, actor: Actor) -> Actor:
        self.actors.append(actor)
        return actor

    # The steps.

    @rule(
        kind=st.sampled_from(KINDS),
        sampled=st.booleans(),
        parent=st.sampled_from(["", "", "01", "00"]),
        reuse=st.booleans(),
    )
    def request(self, kind: str, sampled: bool, parent: str, reuse: bool) -> None:  # noqa: FBT001
        self.run(self.requesting(kind, parent, sampled=sampled, reuse=reuse))

    async def requesting(self, kind: str, parent: str, *, sampled: bool, reuse: bool) -> None:
        connection = self.idle.pop() if reuse and self.idle else await self.app.connect()
        await self.beginning(self.sent(kind, parent, sampled, connection))

    @precondition(lambda self: self.unanswered())
    @rule(index=which, kind=st.sampled_from(KINDS), sampled=st.booleans())
    def pipeline(self, index: int, kind: str, sampled: bool) -> None:  # noqa: FBT001
        """The server begins it in the course of what answers the one before."""
        before = self.unanswered()[index % len(self.unanswered())]
        before.pipelined = self.sent(kind, "", sampled, before.connection)

    def unanswered(self) -> list[Open]:
        return [one for one in self.open if one.asked.answered is None and one.pipelined is None]

    def sent(self, kind: str, parent: str, sampled: bool, connection: Connection) -> Open:  # noqa: FBT001
        self.next += 1
        number, token = self.next, f"x{self.next}x"
        kind, _, after = kind.partition(" then ")
        sampled = parent == "01" if parent else sampled
        path = f"/{'s' if sampled else 'u'}/{kind}/{token}"
        asked = Asked(path, f"00-{number:032x}-{number:016x}-{parent}" if parent else "", sampled=sampled)
        actor = self.app.parts[token] = Actor(None, in_thread=kind.endswith("thread"))
        request = Open(number, asked, actor, connection)
        if after:
            request.after = self.app.background[token] = Actor(None, in_thread=after == "thread")
        header = f"traceparent: {asked.traceparent}\r\n" if parent else ""
        connection.writer.write(f"GET {path} HTTP/1.1\r\nHost: shop\r\n{header}\r\n".encode())
        return request

    async def beginning(self, request: Open) -> None:
        """Once the server has begun it, it has ids or none."""
        await self.app.wait_for(lambda: request.actor.begun, request.asked.path)
        owner = None
        if not self.app.fast_path.off:
            owner = Owner(request.asked, recording=request.asked.sampled)
            self.owners.append(owner)
        self.expected[request.number] = request.owner = request.actor.owner = owner  # the access log
        if request.after is not None:
            request.after.owner = owner
            if owner is not None and owner.recording:  # it has a span of its own
                request.after.owner = Owner(request.asked, recording=False)
                self.owners.append(request.after.owner)
        self.open.append(request)
        self.become(request.actor)

    @precondition(lambda self: self.open)
    @rule(index=which, fails=st.booleans())
    def answer(self, index: int, fails: bool) -> None:  # noqa: FBT001
        self.run(self.answering(self.open.pop(index % len(self.open)), fails=fails))

    async def answering(self, request: Open, *, fails: bool) -> None:
        """What the endpoint does is at its end; then what its background task does, which the caller does not await."""
        actor = request.actor
        error = None
        if fails and request.pipelined is None:  # or the server would close the connection
            number = self.number(self.now(request.owner))
            error = ValueError(f"x{number}x")
            self.errors.append((error, self.expected[number]))
        is_answer = request.asked.answered is None
        if is_answer:
            request.asked.answered = self.app.clock
        if actor.owner is not None:
            actor.owner.recording = False
        self.actors.remove(actor)
        await actor.do(End(error))
        if is_answer:
            await read_answer(request.connection.reader)
        if error is not None:
            await self.app.wait_for(lambda: self.app.has(number), error)
            if is_answer:
                request.connection.writer.close()
            return
        if is_answer and request.pipelined is None:
            self.idle.append(request.connection)
        if request.after is not None:
            request.actor, request.after = request.after, None
            await self.app.wait_for(lambda: request.actor.begun, "the background task")
            if request.actor.owner is not request.owner:
                request.actor.owner.recording = True
            self.open.append(request)
            self.become(request.actor)
        if is_answer and request.pipelined is not None:
            await self.beginning(request.pipelined)

    @rule(index=which)
    def log(self, index: int) -> None:
        actor = self.actor(index)
        number = self.line_of(actor)
        self.do(actor, self.say(number), number)

    @rule(seconds=st.sampled_from([1, 200, 400]))
    def time_passes(self, seconds: int) -> None:
        self.app.clock += seconds

    # The span of a background task is upstream's: whether it is made shows when that begins.
    @precondition(lambda self: all(one.after is None for one in self.open))
    @rule(off=st.sampled_from([False, False, True]))
    def tracing_is_switched(self, off: bool) -> None:  # noqa: FBT001
        for one in self.app.switched:
            one.off = off

    @rule(index=which)
    def start_a_task(self, index: int) -> None:
        actor = self.actor(index)
        made = Actor(actor.owner)
        number = self.line_of(actor)
        cancelled = self.next = self.next + 1

        def on_cancelled() -> None:
            self.expected[cancelled] = self.now(made.owner)
            self.app.say(cancelled)

        made.on_cancelled = on_cancelled

        async def live() -> None:
            self.app.say(number)
            await made.live()

        def start() -> None:
            if actor.in_thread:
                made.task = asyncio.run_coroutine_threadsafe(live(), self.app.loop)
            else:
                made.task = asyncio.create_task(live())

        self.do(actor, start, number)
        self.tasks.append(self.become(made))

    @precondition(lambda self: self.tasks)
    @rule(index=which, by=which, how=st.sampled_from(["cancel", "end", "fail"]))
    def a_task_ends(self, index: int, by: int, how: str) -> None:
        """It is awaited by somebody, who logs what it raised."""
        made = self.tasks.pop(index % len(self.tasks))
        self.actors.remove(made)
        by_whom = self.async_actor(by)
        if how == "cancel":
            self.do(by_whom, made.task.cancel)
        else:
            self.next += 1
            self.do(made, End(ValueError(f"x{self.next}x") if how == "fail" else None))
        number = self.expected_error(by_whom, None) if how == "fail" else self.line_of(by_whom)

        async def wait() -> None:
            task = made.task
            wrapped = task if isinstance(task, asyncio.Future) else asyncio.wrap_future(task)
            (error,) = await asyncio.gather(wrapped, return_exceptions=True)
            if how == "fail":
                logging.getLogger("model").error("awaited", exc_info=error)
            else:
                self.app.say(number)

        self.do(by_whom, wait, number)

    def expected_error(self, actor: Actor, remembered: Owner | None) -> int:
        """The line about the error that has just got a number."""
        self.expected[self.next] = self.now(actor.owner) or remembered
        return self.next

    @rule(index=which, of=which)
    @precondition(lambda self: self.errors)
    def log_an_error(self, index: int, of: int) -> None:
        """Outside any request, a line about an exception is one about the request that raised it."""
        actor = self.actor(index)
        error, raised_by = self.errors[of % len(self.errors)]
        number = self.number(self.now(actor.owner) or raised_by)
        error.args = ()  # where the number of another line is
        self.do(actor, lambda: logging.getLogger("model").error("x%dx", number, exc_info=error), number)

    @rule(index=which, fails=st.booleans(), later=st.booleans())
    def call_soon(self, index: int, fails: bool, later: bool) -> None:  # noqa: FBT001
        actor = self.actor(index)
        number = self.line_of(actor)
        callback = (lambda: raise_error(number)) if fails else self.say(number)
        loop = self.app.loop

        def call() -> None:
            if actor.in_thread:
                loop.call_soon_threadsafe(callback)
            elif later:
                loop.call_later(0.0001, callback)
            else:
                loop.call_soon(callback)

        self.do(actor, call, number)

    @rule(
        index=which,
        how=st.sampled_from(["submit", "map", "run_in_executor", "to_thread", "of its own"]),
    )
    def use_an_executor(self, index: int, how: str) -> None:
        actor = self.actor(index)
        if actor.in_thread and how in ("run_in_executor", "to_thread"):
            how = "submit"
        numbers = [self.number(self.now(self.handed(actor.owner)))]
        if how == "to_thread":
            self.expected[numbers[0]] = self.now(actor.owner)
        if how in ("map", "of its own"):
            numbers += [self.number(self.now(self.handed(actor.owner)) if how == "map" else None)]
        say = self.app.say

        def use() -> Any:
            if how == "submit":
                self.app.executor.submit(say, numbers[0])
            elif how == "map":
                self.app.executor.map(say, numbers)
            elif how == "run_in_executor":
                return asyncio.get_running_loop().run_in_executor(self.app.executor, say, numbers[0])
            elif how == "to_thread":
                return asyncio.to_thread(say, numbers[0])
            else:  # a worker belongs to nobody
                with ThreadPoolExecutor(1, initializer=say, initargs=(numbers[1],)) as executor:
                    executor.submit(say, numbers[0])
            return None

        self.do(actor, use, *numbers)

    @rule(index=which, how=st.sampled_from(["thread", "executor", "to_thread"]))
    def start_a_thread(self, index: int, how: str) -> None:
        """An actor that goes on in a thread."""
        actor = self.actor(index)
        if actor.in_thread and how == "to_thread":
            how = "executor"
        made = Actor(actor.owner if how == "to_thread" else self.handed(actor.owner), in_thread=True)
        number = self.line_of(made)

        def work() -> None:
            self.app.say(number)
            made.work()

        def start() -> None:
            if how == "thread":
                threading.Thread(target=work, daemon=True).start()
            elif how == "executor":
                self.app.executor.submit(work)
            else:
                made.task = asyncio.create_task(asyncio.to_thread(work))

        self.do(actor, start, number)
        self.become(made)

    @rule(index=which, how=st.sampled_from(["timer", "fails", "asyncio.run"]))
    def use_a_thread(self, index: int, how: str) -> None:
        actor = self.actor(index)
        number = self.number(self.now(self.handed(actor.owner)))

        async def say() -> None:
            await asyncio.sleep(0)
            self.app.say(number)

        def use() -> None:
            thread = {
                "timer": lambda: threading.Timer(0, self.app.say, (number,)),
                "fails": lambda: threading.Thread(target=raise_error, args=(number,)),
                "asyncio.run": lambda: threading.Thread(target=lambda: asyncio.run(say())),
            }[how]()
            thread.start()
            thread.join(20)

        self.do(actor, use, number)

    @precondition(lambda self: self.unsampled_actors())
    @rule(index=which)
    def log_in_a_span(self, index: int) -> None:
        """One of the application's own, which is not recorded either."""
        able = self.unsampled_actors()
        actor = able[index % len(able)]
        number = self.line_of(actor)

        def log() -> None:
            with self.app.provider.get_tracer("own").start_as_current_span("step"):
                self.app.say(number)

        self.do(actor, log, number)

    def unsampled_actors(self) -> list[Actor]:
        return [actor for actor in self.actors if actor.owner is not None and not actor.owner.request.sampled]

    @rule(index=which)
    def gather(self, index: int) -> None:
        actor = self.async_actor(index)
        numbers = [self.line_of(actor) for _ in range(3)]

        async def say(number: int) -> None:
            await asyncio.sleep(0)
            self.app.say(number)

        async def gather() -> None:
            await asyncio.gather(*map(say, numbers))

        self.do(actor, gather, *numbers)

    @rule(index=which, kind=st.sampled_from(["failed task", "pending task", "executor", "future"]))
    def leave_something_behind(self, index: int, kind: str) -> None:
        actor = self.async_actor(index)
        self.next += 1
        number, owner, loop = self.next, actor.owner, self.app.loop

        async def leave() -> None:
            if kind == "failed task":
                thing = asyncio.create_task(fail(number))
            elif kind == "pending task":
                thing = asyncio.create_task(wait_for_ever(), name=f"x{number}x")
                await asyncio.sleep(0)
            elif kind == "executor":
                thing = loop.run_in_executor(self.app.executor, raise_error, number)
            else:
                thing = loop.create_future()
                thing.set_exception(ValueError(f"x{number}x"))
            if kind != "pending task":
                await asyncio.wait([thing])
            self.orphans.append(thing)

        raised_by = self.now(self.handed(owner)) if kind == "executor" else None
        self.do(actor, leave)
        self.reports.append((number, (lambda: self.now(owner)) if kind.endswith("task") else lambda: raised_by))

    @precondition(lambda self: self.orphans)
    @rule(index=which, by=which)
    def somebody_collects_it(self, index: int, by: int) -> None:
        index %= len(self.orphans)
        number, whose = self.reports.pop(index)
        self.expected[number] = whose()
        self.do(self.actor(by), lambda: self.drop(index, number))

    def drop(self, index: int, number: int) -> None:
        """What ran it may have it in hand for a moment more."""
        del self.orphans[index]
        for _ in range(1000):
            gc.collect()
            if self.app.has(number):
                return
            time.sleep(0.001)

    @rule(index=which)
    def add_a_callback(self, index: int) -> None:
        actor = self.async_actor(index)
        self.next += 1
        number = self.next

        def add() -> None:
            future = self.app.loop.create_future()
            callback = raise_error if number % 2 else self.app.say
            future.add_done_callback(lambda _: callback(number))
            self.futures.append((future, number, actor.owner))

        self.do(actor, add)

    @precondition(lambda self: self.futures)
    @rule(index=which, by=which)
    def resolve_a_future(self, index: int, by: int) -> None:
        future, number, owner = self.futures.pop(index % len(self.futures))
        self.expected[number] = self.now(owner)
        self.do(self.async_actor(by), lambda: future.set_result(None), number)

    @rule(index=which, empty=st.integers(0, 5))
    def keep_a_context(self, index: int, empty: int) -> None:
        actor = self.actor(index)

        def keep() -> None:
            self.contexts.append((contextvars.copy_context(), actor.owner) if empty else (contextvars.Context(), None))

        self.do(actor, keep)

    @precondition(lambda self: self.contexts)
    @rule(index=which, of=which, how=st.sampled_from(["run", "call_soon", "fail soon", "task", "thread", "submit"]))
    def run_in_a_context(self, index: int, of: int, how: str) -> None:
        context, owner = self.contexts[of % len(self.contexts)]
        actor = self.actor(index)
        number = self.number(self.now(owner))
        say, loop = self.say(number), self.app.loop

        async def in_task() -> None:
            say()

        def run() -> None:
            if how == "thread":
                threading.Thread(target=context.run, args=(say,)).start()
            elif how == "submit":
                self.app.executor.submit(context.run, say)
            elif how == "run" or actor.in_thread:
                context.run(say)
            elif how == "fail soon":
                loop.call_soon(raise_error, number, context=context)
            elif how == "task" and sys.version_info >= (3, 11):
                asyncio.create_task(in_task(), context=context)  # noqa: RUF006
            else:
                loop.call_soon(say, context=context)

        self.do(actor, run, number)

    @rule(index=which, later=which)
    def log_for_later(self, index: int, later: int) -> None:
        """A record waits in a queue, until somebody else may write all that there are."""
        actor = self.actor(index)
        number = self.line_of(actor)
        self.do(actor, lambda: self.app.later_log.info("x%dx", number))
        if later % 2:
            self.do(self.actor(later), self.drain)

    def drain(self) -> None:
        while not self.app.later.empty():
            self.app.handler.handle(self.app.later.get())

    # At the end.

    def teardown(self) -> None:
        if self.app is None:
            return
        try:
            if not self.has_failed:
                self.finish()
        finally:
            for actor in self.actors:  # that are left: nobody waits for their threads
                actor.inbox.put((End(), Future()))
            self.app.undo()
            self.patch.undo()
            gc.enable()
            gc.unfreeze()
        if not self.has_failed:
            self.compare(self.app.memory.get_finished_spans())

    def finish(self) -> None:
        self.app.clock += 1
        while self.open:
            self.run(self.answering(self.open.pop(), fails=False))
        while len(self.actors) > 1:
            self.run(self.actors.pop().do(End()))
        while self.futures:
            self.resolve_a_future(0, 0)
        while self.orphans:
            self.somebody_collects_it(0, 0)
        self.drain()
        for connection in self.idle:
            connection.writer.close()
        self.run(self.app.shut_down())

    def compare(self, spans: Any) -> None:
        servers = {span.attributes["http.target"]: span for span in spans if span.kind is SpanKind.SERVER}
        found: dict[Owner, dict[str, Any]] = {}
        seen = set()
        for numbers, line in self.app.lines():
            has = {name: line.get(name) for name in NONE}
            if not numbers:
                assert has == NONE, line
                continue
            (number,) = numbers
            assert number not in seen, line
            seen.add(number)
            owner = self.expected[number]
            if owner is None:
                assert has == NONE, line
            else:
                assert has["trace_id"] is not None, (owner.request.path, line)
                assert found.setdefault(owner, has) == has, (owner.request.path, line)
        assert seen == set(self.expected)
        assert len({ids["span_id"] for ids in found.values()}) == len(found)
        of_requests: dict[Asked, str] = {}
        for owner, ids in found.items():
            request = owner.request
            assert of_requests.setdefault(request, ids["trace_id"]) == ids["trace_id"]
            assert ids["trace_flags"] == ("01" if request.sampled else "00")
            if request.traceparent:
                assert ids["trace_id"] == request.traceparent[3:35]
        assert len(set(of_requests.values())) == len(of_requests)
        # One SERVER span each, with the parent of its headers or none.
        sampled = {request for request in (owner.request for owner in self.owners) if request.sampled}
        assert sorted(servers) == sorted(request.path for request in sampled)
        for request in sampled:
            span = servers[request.path]
            parent = f"{span.parent.span_id:016x}" if span.parent else ""
            assert parent == request.traceparent[36:52]
            assert f"{span.context.trace_id:032x}" == of_requests[request]


def test_a_span_that_is_not_recorded_has_the_ids_of_its_request() -> None:
    """Upstream makes one of a background task, and the application may make its own."""
    model = Model()
    model.begin(LOOPS[0], HTTP[0], custom=False, requests=[("task then task", False)])
    model.log_in_a_span(0)
    model.answer(0, fails=False)
    model.log(1)
    model.teardown()


TestIdsModel: Any = Model.TestCase
TestIdsModel.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
