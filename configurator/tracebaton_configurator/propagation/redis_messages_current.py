"""Which message is current in a thread or task, from when it is handed out until it has been dealt with.

A message is current from when an iteration hands it out, or from when its fields are first read, until the iteration
goes on. After a `break`, an exception or without any iteration it stays so until the next command that waits for the
same key, stream or PubSub, or until another message comes, so that what is logged of a failure, and an acknowledgement,
belong to it. Where other work is going on, a request that waits for a reply perhaps, only an iteration makes one
current, until it is left; else that work goes on, and links to the sender.

One whose fields have not been read when the iteration goes on is handled later: by a task, by a coroutine that
`gather` runs, from a list made of all of them. Its span stays open, and it is current again where its fields are read.
The end of a task, with its exception, is the end of the message that is current in it. What nobody ends, ends with the
last reference to it, with the process, or with the second command that its reader waits with for the same.

A second iteration over what has been dealt with has the same contexts, and no spans, as long as nothing has been waited
for since. What a job library receives is its run's: `give_way`. A forked child ends nothing that its parent has begun.
"""

from __future__ import annotations

import _thread
import contextvars
import os
import sys
from contextlib import suppress
from contextvars import ContextVar
from time import monotonic_ns
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakKeyDictionary, ref

from opentelemetry import context as context_api
from opentelemetry.context import Context
from opentelemetry.trace import get_current_span

from tracebaton_configurator.logs.diagnostics import report_error
from tracebaton_configurator.logs.ids import current_request
from tracebaton_configurator.propagation.incoming import Incoming, context_of
from tracebaton_configurator.sampling.decision import UNSAMPLED
from tracebaton_configurator.sampling.upstream import SUPPRESS_INSTRUMENTATION

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from opentelemetry.util.types import AttributeValue

    from tracebaton_configurator.logs.ids import OwnRequest

_current: ContextVar[Message | None] = ContextVar("tracebaton-redis-message", default=None)
# How often something was waited for.
_waited: ContextVar[int] = ContextVar("tracebaton-redis-waited", default=0)
# By task: its latest message, None between two.
_of_task: WeakKeyDictionary[Any, Message | None] = WeakKeyDictionary()
# By identity; a dictionary, which another thread may change while it is copied.
_open: dict[int, ref[Message]] = {}
_FAILED = "The trace of a Redis message could not be followed"
# Messages of messages of messages: more than anybody handles within one another.
_DEEPEST = 100


class Message:
    """One that was received by `command`; `is_read`: whether somebody has looked into it, here.

    `source` is what its reader waits for: the destination unless given, and whatever it may be where that is empty.

    Nothing of it raises. It refers to nothing that refers to it, tokens of context variables among that: its end is
    the end of the last reference.
    """

    __slots__ = (
        "__weakref__",
        "_attributes",
        "_context",
        "_first_place",
        "_headers",
        "_interrupts",
        "_is_a_tasks",
        "_is_elsewhere",
        "_is_ended",
        "_iterator",
        "_name",
        "_place",
        "_previous",
        "_source",
        "_waited",
        "_waits",
        "_work",
        "command",
        "is_read",
    )

    def __init__(
        self,
        command: str,
        destination: str,
        headers: Mapping[str, str] | None,
        attributes: Mapping[str, AttributeValue] | None = None,
        *,
        source: object = None,
    ) -> None:
        self.command = command
        self._source = source or destination
        self._interrupts = False
        self._waited = 0
        self.is_read = self._is_elsewhere = self._is_a_tasks = self._is_ended = False
        self._waits = 0
        self._name = f"process {destination}".rstrip()
        self._headers = headers
        self._attributes: dict[str, AttributeValue] = {
            "messaging.system": "redis",
            "messaging.operation.type": "process",
            "messaging.operation.name": command.lower(),
            **({"messaging.destination.name": destination} if destination else {}),
            **(attributes or {}),
        }
        self._work: Incoming | None = None
        self._context: Context | None = None
        self._iterator: ref[object] | None = None
        # While it is current: in which thread or task, and what was so there before.
        self._place: _Place | None = None
        self._first_place: _Place | None = None
        self._previous: tuple[Context, OwnRequest | None, Message | None] | None = None

    def take(self, iterator: object = None) -> None:
        """Make it current here, for as long as the iterator lives if there is one."""
        try:
            _let_go_of_others(self)
            place = _Place.here()
            if self._place not in {None, place} or (self._is_ended and not self._may_return(iterator)):
                return
            self._iterator = ref(iterator) if iterator is not None else None
            if self._place is not None:
                return
            if _is_for_nobody():
                self.end()
                return
            at_work = _is_at_work()
            if iterator is None and self._first_place in {None, place} and at_work:
                self._link()
                return
            self._interrupts = at_work
            self._first_place = self._first_place or place
            self._previous = context_api.get_current(), current_request.get(), _current.get()
            self._place = place
            _current.set(self)
            place.watch(self)
            if self._work is None:
                _open[id(self)] = ref(self)
                self._work = Incoming(self._name, self._headers, attributes=self._attributes).__enter__()
                self._context = self._work.keep_in_context()
            elif self._context is not None:
                if not self._is_ended:
                    self._work.until = 0
                context_api.attach(self._context)
                current_request.set(self._work.decision)
        except Exception as error:  # noqa: BLE001 (the application has its message)
            report_error(_FAILED, error)

    def read(self) -> None:
        """Somebody looks into it here."""
        if self._is_ended:
            return
        try:
            now, place = _current.get(), _Place.here()
            if place == self._place:
                self.is_read = True
            elif now is self or (self._context is not None and context_api.get_current() is self._context):
                # In what was started while it was current, and has its context anyway.
                self._is_elsewhere = True
                self._is_a_tasks = place.task is not None
                if self._work is not None and self._work.until:
                    self._work.until = monotonic_ns()
                place.watch(self)
            elif self._place is None and (now is None or not now.is_iterated()):
                self.is_read = True
                self._is_a_tasks = place.task is not None
                self.take()
        except Exception as error:  # noqa: BLE001 (see `take`)
            report_error(_FAILED, error)

    def _may_return(self, iterator: object) -> bool:
        return iterator is not None and self._context is not None and self._waited == _waited.get()

    def resume_work(self) -> None:
        """The iteration that it is current in was left: what it has interrupted goes on."""
        if self._interrupts:
            self.let_go()

    def is_from(self, sources: Collection[object] | None) -> bool:
        return sources is None or not self._source or self._source in sources

    def is_iterated(self) -> bool:
        return self._iterator is not None and self._iterator() is not None

    def let_go(self) -> bool:
        """End it, or suspend it where it is dealt with elsewhere or later; whether it was current here."""
        try:
            _let_go_of_others(self)
            place = _Place.here()
            if self._place != place:
                return False
            self._leave()
            if self.is_read and not self._is_elsewhere:
                self.end()
            elif self._work is not None:
                self._work.until = monotonic_ns()
                place.forget(self)
        except Exception as error:  # noqa: BLE001 (see `take`)
            report_error(_FAILED, error)
            return False
        return True

    def end(self, error: BaseException | None = None) -> None:
        """A second call does nothing."""
        if self._is_ended:
            return
        self._is_ended = True
        self._waited = _waited.get()
        _open.pop(id(self), None)
        if self._place is not None and self._place == _Place.here():
            self._leave()
        if self._work is not None:
            self._work.end(error)

    def note_wait(self, place: _Place) -> None:
        """Its reader waits for others: what nobody deals with ends, and begins anew with whoever reads it later."""
        if self._place is not None or self._first_place != place or self._is_a_tasks:
            return
        self._waits += 1
        if self._waits > 1:
            self.end()
            self._waited = -1
            if not self.is_read and not self._is_elsewhere:
                self._work = self._context = self._first_place = None
                self._is_ended = False
                self._waits = 0

    def leave_to_parent(self) -> None:
        """In a forked child. What is not recorded leaves a span only where it fails."""
        decision = self._work.decision if self._work is not None else None
        if decision is not None and decision.recorded:
            self._is_ended = True
            _open.pop(id(self), None)

    def give_way(self, headers: Mapping[str, str]) -> Mapping[str, str]:
        """A run with these headers begins in its stead, if nothing else has begun within it: it leaves no span.

        Returns the headers, or its own where those have no trace context.
        """
        decision = self._work.decision if self._work is not None else None
        if self._work is None or decision is None or decision.span_context is None or self._is_ended:
            return headers
        sender = get_current_span(context_of(headers)).get_span_context()
        own = decision.span_context.span_id
        if own == sender.span_id or own != get_current_span().get_span_context().span_id:
            return headers
        if self._place == _Place.here():
            self._leave()
        else:
            context_api.attach(Context())
            current_request.set(None)
        self._work.discard()
        self.end()
        self._context = None
        return headers if sender.is_valid else self._headers or headers

    def end_with_task(self, error: BaseException | None) -> None:
        """It was dealt with by a task, until now."""
        if self._work is not None:
            self._work.until = 0
        self.end(error)

    def _link(self) -> None:
        """It is part of what goes on."""
        self.end()
        sender = get_current_span(context_of(self._headers)).get_span_context()
        if sender.is_valid:
            get_current_span().add_link(sender)

    def _leave(self) -> None:
        previous, self._previous, self._place = self._previous, None, None
        if previous is None:
            return
        context, request, message = previous
        _current.set(message)
        if context_api.get_current() is self._context:  # else it has been left already, as a whole
            context_api.attach(context)
        if self._work is not None and current_request.get() is self._work.decision:
            current_request.set(request)

    def __del__(self) -> None:
        with suppress(Exception):  # also where half of this module is gone already
            self.end()


class _Place(NamedTuple):
    """A thread (or a greenlet, where those stand for threads), or a task."""

    thread: int
    task: ref[Any] | None

    @classmethod
    def here(cls) -> _Place:
        asyncio = sys.modules.get("asyncio")
        try:
            task = asyncio.current_task() if asyncio is not None else None
        except RuntimeError:  # no loop runs in this thread
            task = None
        return cls(_thread.get_ident(), ref(task) if task is not None else None)

    def watch(self, message: Message) -> None:
        """Have the message end with the task."""
        task = self.task() if self.task is not None else None
        if task is None:
            return
        if task not in _of_task:
            # A copy of the context would keep alive what is current now.
            task.add_done_callback(_end_with_task, context=contextvars.Context())
        _of_task[task] = message

    def forget(self, message: Message) -> None:
        task = self.task() if self.task is not None else None
        if task is not None and _of_task.get(task) is message:
            _of_task[task] = None


def _is_for_nobody() -> bool:
    """Whether a job library's worker looks for work here, as `between_runs` says; an unsampled request is no such."""
    context = context_api.get_current()
    return context.get(SUPPRESS_INSTRUMENTATION) is True and UNSAMPLED not in context


def _is_at_work() -> bool:
    """Whether something else goes on here that has a trace: a request, or a span of the application's."""
    request = current_request.get()
    return (request is not None and not request.answered) or get_current_span().is_recording()


def _let_go_of_others(message: Message) -> None:
    """What stays current here without an iteration makes way."""
    for _ in range(_DEEPEST):
        now = _current.get()
        if now is None or now is message or now.is_iterated() or not now.let_go():
            return


def let_go(command: str, sources: Collection[object] | None = None, *, waits: bool) -> None:
    """To be called before a command that waits, or before any other command that receives. Never raises.

    `sources`: what it receives from; None for anything.
    """
    for _ in range(_DEEPEST):
        now = _current.get()
        if now is None or now.is_iterated() or not (waits or now.command == command) or not now.is_from(sources):
            break
        if not now.let_go():
            break
    if not waits:
        return
    _waited.set(_waited.get() + 1)
    if _open:
        place = _Place.here()
        for message in _all_open():
            if message.is_from(sources):
                message.note_wait(place)


def give_way(headers: Mapping[str, str]) -> Mapping[str, str]:
    """A job library's run begins: the message that it came in is not dealt with beside it. Never raises.

    Returns what the run's headers are: these, or the message's where these have no trace context.
    """
    message = _current.get()
    try:
        return message.give_way(headers) if message is not None else headers
    except Exception as error:  # noqa: BLE001 (the job is run)
        report_error(_FAILED, error)
        return headers


def end_all() -> None:
    """At the end of the process, which is perhaps an exception's."""
    error = getattr(sys, "last_exc", None) or getattr(sys, "last_value", None)
    mine = _current.get()
    for message in _all_open():
        message.end(error if message is mine else None)


def _all_open() -> list[Message]:
    return [message for known in list(_open.values()) if (message := known()) is not None]


def _leave_to_parent() -> None:
    for message in _all_open():
        message.leave_to_parent()


os.register_at_fork(after_in_child=_leave_to_parent)


def any_open() -> bool:
    return bool(_open)


def _end_with_task(task: Any) -> None:
    message = _of_task.pop(task, None)
    if message is not None:
        # `exception()` would keep asyncio from saying that nobody has asked for it.
        error = getattr(task, "_exception", None)
        message.end_with_task(error if isinstance(error, Exception) else None)
