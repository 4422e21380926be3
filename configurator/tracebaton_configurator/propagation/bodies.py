"""The body of an answer: the span of a call lasts until it has been read, or closed.

Instrumentations end the span of a call when its headers have come, so that an answer that streams for a minute looks
like one of 300 ms. Here that end is put off. Nothing is buffered, and no byte touched.

What nobody reads on ends with its last byte, once the next call is answered or the process ends: the garbage collector,
which finds it, may have stopped a thread anywhere, with a lock that a span processor wants.
Checked with httpx 0.28 and aiohttp 3.10 to 3.14.
"""

from __future__ import annotations

import os
from collections import deque
from contextlib import suppress
from functools import lru_cache
from time import time_ns
from typing import TYPE_CHECKING, Any
from weakref import ref

from tracebaton_configurator.logs.diagnostics import report_error
from tracebaton_configurator.names import FIRST_BYTE
from tracebaton_configurator.propagation import http_clients
from tracebaton_configurator.sampling.late_spans import note_error

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from opentelemetry.trace import Span

# The bytes on the wire: https://opentelemetry.io/docs/specs/semconv/registry/attributes/http/
_SWITCHING_PROTOCOLS = 101
_SIZE = "http.response.body.size"


# By their ids.
_open: dict[int, ref[Body]] = {}
_abandoned: deque[Body] = deque()
_process = object()
"""Another one after a fork: the spans of the parent are the parent's to end."""


def hold(span: Span) -> bool:
    """Have the next `end` of a span that is recorded do nothing but be noted; whether that can be."""
    if not span.is_recording() or "end" in getattr(span, "__dict__", {"end": None}):
        return False
    try:
        span.end = _PutOff()  # type: ignore[method-assign]
    except AttributeError:
        return False
    return True


class _PutOff:
    """The end that an instrumentation gives a span whose body is still to come; `asked` once it has."""

    __slots__ = ("asked",)

    def __init__(self) -> None:
        self.asked = False

    def __call__(self, end_time: int | None = None) -> None:
        self.asked = True


class Body:
    """What is known of one. `last` is when its last byte came, in ns since the epoch.

    Its span has been held, unless nobody else ends it: then `held` is false. From its second piece on there is
    something to lose when the process is told to end.
    """

    def __init__(self, span: Span, *, held: bool = True) -> None:
        self._span: Span | None = span
        self._held = held
        self._owner = _process
        self.size = self.pieces = self.first = 0
        self.last = time_ns()
        self._holder: object | None = None
        if _abandoned:
            _end_abandoned()
        _open[id(self)] = ref(self)

    def add(self, piece: bytes) -> None:
        self.last = time_ns()
        self.pieces += 1
        self.size += len(piece)
        if self.pieces == 1:
            self.first = self.last
        elif self.pieces == 2 and self._span is not None:
            try:
                self._hold_signal()
            except Exception as error:  # noqa: BLE001 (the application reads on)
                report_error("SIGTERM could not be held while an answer is read", error)

    def _hold_signal(self) -> None:
        holder = object()  # not the body, which has to be collected when nobody reads on
        http_clients.hold_signal(holder)
        self._holder = holder

    def done(self, error: BaseException | None = None, *, at: int | None = None) -> None:
        """End the span, with what reading the body has raised. Never raises; a second call does nothing.

        While the instrumentation is still at it, such as in a hook that reads the body itself, the end is left to it.
        """
        span, self._span = self._span, None
        if span is None or self._owner is not _process:
            return
        _open.pop(id(self), None)
        try:
            is_over = True
            if self._held:
                is_over = getattr(span.end, "asked", True)
                del span.end
            if isinstance(error, Exception):
                note_error(span, error)
                span.set_attribute("error.type", type(error).__qualname__)
            if self.pieces > 1:
                span.add_event(FIRST_BYTE, timestamp=self.first)
            span.set_attribute(_SIZE, self.size)
            if is_over:
                span.end(at)
        except Exception as problem:  # noqa: BLE001 (a span processor of the application's)
            report_error("The span of a call could not be ended", problem)
        finally:
            if self._holder is not None:  # until its span is queued, which holds by itself
                with suppress(Exception):
                    http_clients.let_go_of_signal(self._holder)

    def abandon(self) -> None:
        """Nobody is going to read on."""
        self.done(at=self.last)

    def __del__(self) -> None:
        if self._span is None:
            return
        with suppress(Exception):  # an interpreter that is ending
            _open.pop(id(self), None)
            if self._owner is _process:
                _abandoned.append(self)
                if self._holder is None:
                    self._hold_signal()


def watch_httpx(response: Any, span: Span, *, held: bool = True) -> bool:
    """Have `span`, which is a call's, last until the end of its answer; whether it will be ended then. Never raises.

    `held` where somebody else is about to end it, whose end is put off.
    """
    try:
        if response.is_closed:  # it was made with its body
            return False
        stream = response.stream
        kind: Any = type(stream)
        watched = _httpx_stream(kind)
        if watched is None or (held and not hold(span)):
            return False
        response.stream = watched(stream, Body(span, held=held))
    except Exception as error:  # noqa: BLE001 (the application has its answer)
        report_error("The body of an answer could not be watched", error)
        return False
    return True


@lru_cache(64)
def _httpx_stream(kind: type) -> Any:
    """The class of what stands in for streams of that kind: httpx asks which of its two it is."""
    bases = {one.__name__: one for one in kind.__mro__ if one.__module__.partition(".")[0] in ("httpx", "httpx2")}
    if "SyncByteStream" in bases and "AsyncByteStream" not in bases:
        return type("_WatchedStream", (_Watched, bases["SyncByteStream"]), {})
    if "AsyncByteStream" in bases and "SyncByteStream" not in bases:
        return type("_WatchedAsyncStream", (_WatchedAsync, bases["AsyncByteStream"]), {})
    return None  # one that has been read, such as a body of no bytes


class _Watched:
    def __init__(self, stream: Any, body: Body) -> None:
        self._stream = stream
        self._body = body

    def __getattr__(self, name: str) -> Any:
        if name == "_stream":  # of a copy that is being made
            raise AttributeError(name)
        return getattr(self._stream, name)

    def __iter__(self) -> Iterator[bytes]:
        body = self._body
        try:
            for piece in self._stream:
                body.add(piece)
                yield piece
        except GeneratorExit:  # broken off: who has done so may close the answer, now or later
            raise
        except BaseException as error:
            body.done(error)
            raise
        body.done()

    def close(self) -> None:
        try:
            self._stream.close()
        finally:
            self._body.done()


class _WatchedAsync:
    def __init__(self, stream: Any, body: Body) -> None:
        self._stream = stream
        self._body = body

    def __getattr__(self, name: str) -> Any:
        if name == "_stream":  # of a copy that is being made
            raise AttributeError(name)
        return getattr(self._stream, name)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return _Pieces(self._stream.__aiter__(), self._body)

    async def aclose(self) -> None:
        try:
            await self._stream.aclose()
        finally:
            self._body.done()


class _Pieces:
    """No generator, of each of which asyncio keeps account. Broken off, it leaves the inner one as httpx does."""

    def __init__(self, pieces: AsyncIterator[bytes], body: Body) -> None:
        self._pieces = pieces
        self._body = body

    def __getattr__(self, name: str) -> Any:
        """`aclose` and what else the inner one has, which is mostly a generator."""
        if name == "_pieces":  # of a copy that is being made
            raise AttributeError(name)
        return getattr(self._pieces, name)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        try:
            piece = await self._pieces.__anext__()
        except StopAsyncIteration:
            self._body.done()
            raise
        except GeneratorExit:  # as above
            raise
        except BaseException as error:
            self._body.done(error)
            raise
        self._body.add(piece)
        return piece


class _AiohttpBody(Body):
    """Its pieces are not seen, only how many bytes there are by now."""

    def __init__(self, span: Span, content: Any) -> None:
        super().__init__(span)
        self._content = content

    def done(self, error: BaseException | None = None, *, at: int | None = None) -> None:
        with suppress(Exception):
            self.size = _size(self._content)
        super().done(error, at=at)

    def abandon(self) -> None:
        """When its last byte came is not known."""
        self.done()


def watch_aiohttp(response: Any, span: Span) -> None:
    """The same for aiohttp, whose connection says when the answer leaves it. Never raises."""
    try:
        connection, content = response.connection, response.content
        if response.status == _SWITCHING_PROTOCOLS:  # a WebSocket, which is no answer that is read
            return
        if connection is None:  # all of it has come; who made the span may have more to say, and ends it
            span.set_attribute(_SIZE, _size(content))
            return
        if not hold(span):
            return
        body = _AiohttpBody(span, content)

        def released() -> None:
            error = content.exception()
            # aiohttp's own mark on what was closed or released before its end (`_connection_closed_exception`).
            body.done(None if type(error).__name__ == "ClientConnectionError" else error)

        connection.add_callback(released)
    except Exception as error:  # noqa: BLE001 (the application has its answer)
        report_error("The body of an answer could not be watched", error)


def _size(content: Any) -> int:
    """Of aiohttp's stream, or of the object that stands for an empty one."""
    return int(getattr(content, "total_raw_bytes", content.total_bytes))


def _end_abandoned() -> None:
    with suppress(IndexError):  # another thread was faster
        while True:
            _abandoned.popleft().abandon()


def any_open() -> bool:
    return bool(_open or _abandoned)


def end_all() -> None:
    """The process ends: each span that is open with its last byte."""
    for reference in list(_open.values()):
        body = reference()
        if body is not None:
            body.abandon()
    _end_abandoned()


def _leave_to_parent() -> None:
    global _process  # noqa: PLW0603 (see there)
    _process = object()
    _open.clear()
    _abandoned.clear()


os.register_at_fork(after_in_child=_leave_to_parent)
