"""Clients of MCP: a call carries the trace that it is made in, and a session belongs to no request.

In SDK 1.x one task of the session sends what all requests have to send, in the context of whoever opened it; so each
message remembers where it was sent. 2.x does that itself, but not for its listening streams, nor for what servers ask.
Checked with mcp 1.10 to 1.30 and 2.0 to 2.3.
"""

from __future__ import annotations

from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any

from opentelemetry import context as context_api
from opentelemetry.trace import SpanKind, Status, StatusCode, get_current_span, use_span

from tracebaton_configurator.logs.diagnostics import report_error
from tracebaton_configurator.logs.ids import current_request
from tracebaton_configurator.patching.registry import put
from tracebaton_configurator.propagation import mcp_calls, mcp_server
from tracebaton_configurator.propagation.incoming import NOWHERE, Surroundings, trace_headers, tracer
from tracebaton_configurator.propagation.mcp_stdio import opened_nowhere
from tracebaton_configurator.sampling.decision import notes_calls
from tracebaton_configurator.sampling.late_spans import mark_call_failed
from tracebaton_configurator.sampling.upstream import SUPPRESS_INSTRUMENTATION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

_SENT_IN = "_tracebaton_sent_in"


def patch_session(module: ModuleType) -> None:
    """1.x, both sides: a server asks its client things, too."""
    session: Any = module.BaseSession
    make, send_request, receive_loop = session.__init__, session.send_request, session._receive_loop  # noqa: SLF001

    @wraps(make)
    def make_with_stream(self: Any, *args: Any, **kwargs: Any) -> None:
        make(self, *args, **kwargs)
        self._write_stream = _Sending(self._write_stream)

    @wraps(send_request)
    async def send(self: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
        callback = kwargs.get("progress_callback")
        if callback is not None:
            kwargs["progress_callback"] = _as_here(callback)
        with _calling(request) as note:
            result = await send_request(self, request, *args, **kwargs)
            note(result)
            return result

    @wraps(receive_loop)
    async def receive(self: Any) -> None:
        with NOWHERE.entered():
            await receive_loop(self)

    put(session, "__init__", make_with_stream)
    put(session, "send_request", send)
    put(session, "_receive_loop", receive)


def patch_dispatcher(module: ModuleType) -> None:
    """2.x: progress is told where the call was made, on transports that have one stream for all, too.

    A tool that answers `isError` has failed, which the SDK's own span does not say.
    """
    dispatcher: Any = module.JSONRPCDispatcher
    send_request = dispatcher.send_raw_request

    @wraps(send_request)
    async def send(self: Any, method: str, params: Any, opts: Any = None, **kwargs: Any) -> Any:
        callback = (opts or {}).get("on_progress")
        if callback is not None:
            opts = {**opts, "on_progress": _as_here(callback)}
        result = await send_request(self, method, params, opts, **kwargs)
        if _guarded(mcp_calls.failure, result):
            mark_call_failed()
        return result

    put(dispatcher, "send_raw_request", send)


def patch_callbacks(module: ModuleType) -> bool:
    """What a server asks its client (sampling, elicitation, roots) is run in the trace of the asking tool."""
    session: Any = module.ClientSession
    received, on_request = (getattr(session, name, None) for name in ("_received_request", "_on_request"))
    if received is not None:

        @wraps(received)
        async def receive(self: Any, responder: Any) -> Any:
            request = responder.request.root
            work = _guarded(mcp_server.asked, request.method, responder.request_meta, responder.request_id)
            if work is None:
                return await received(self, responder)
            with work:
                mcp_server.watch(responder, work)
                return await received(self, responder)

        put(session, "_received_request", receive)
    elif on_request is not None:

        @wraps(on_request)
        async def receive_2(self: Any, dctx: Any, method: str, params: Any) -> Any:
            work = _guarded(mcp_server.asked, method, (params or {}).get("_meta"), dctx.request_id)
            if work is None:
                return await on_request(self, dctx, method, params)
            with work:
                try:
                    return await on_request(self, dctx, method, params)
                except Exception as error:
                    mcp_calls.note_outcome(work, error)
                    raise

        put(session, "_on_request", receive_2)
    return received is not None or on_request is not None


def patch_streamable_http(module: ModuleType) -> None:
    """The POST of a message is made where that was sent, and the listening GET nowhere."""
    transport: Any = module.StreamableHTTPTransport
    posts = {name: getattr(transport, name) for name in ("_handle_post_request", "_handle_resumption_request")}
    get = transport.handle_get_stream

    @wraps(get)
    async def listen(self: Any, *args: Any, **kwargs: Any) -> None:
        with NOWHERE.entered():
            await get(self, *args, **kwargs)

    put(transport, "handle_get_stream", listen)
    for name, post in posts.items():
        put(transport, name, _as_sent(post))


def patch_sse(module: ModuleType) -> None:
    """The same for the older transport, whose writing task makes its POSTs itself; in 2.x, each in its own context."""
    put(module, "sse_client", opened_nowhere(module.sse_client))
    if not hasattr(module, "create_context_streams"):
        put(module, "anyio", _AnyioOfSse(module.anyio))


class _Sending:
    """A session's stream for what it sends."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    async def __aenter__(self) -> Any:
        await self._stream.__aenter__()
        return self

    async def __aexit__(self, *raised: object) -> Any:
        return await self._stream.__aexit__(*raised)

    async def send(self, item: Any) -> None:
        _guarded(_prepare, item)
        await self._stream.send(item)


def _prepare(item: Any) -> None:
    """The session has made the message, from copies of what the application gave it."""
    setattr(item, _SENT_IN, Surroundings.current())
    request = getattr(item.message, "root", item.message)
    if not hasattr(request, "method") or not hasattr(request, "id"):
        return
    headers = trace_headers()
    params = request.params or {}
    meta = params.get("_meta") or {}
    if headers.get("traceparent") and meta.get("traceparent", headers["traceparent"]) == headers["traceparent"]:
        request.params = {**params, "_meta": {**headers, **meta}}


@contextmanager
def _calling(request: Any) -> Iterator[Callable[[Any], None]]:
    """A CLIENT span, or a note of one, as SDK 2.x has one; what it yields is to be called with the result."""
    span = _guarded(_start, request)
    if span is None:
        yield lambda _: None
        return

    def note(outcome: Any) -> None:
        failed = _guarded(mcp_calls.failure, outcome)
        if failed is not None:
            span.set_attributes(failed)
            span.set_status(Status(StatusCode.ERROR))

    with use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
        try:
            yield note
        except Exception as error:
            span.set_attribute("error.type", type(error).__qualname__)
            span.set_status(Status(StatusCode.ERROR))
            note(error)
            raise


def _start(request: Any) -> Any:
    request = getattr(request, "root", request)
    used, current = tracer(), get_current_span()
    if used is None or mcp_calls.made_by_others:
        return None
    context = context_api.get_current()
    if notes_calls(context) is None and (not current.is_recording() or context.get(SUPPRESS_INSTRUMENTATION)):
        return None
    if (getattr(current, "attributes", None) or {}).get("mcp.method.name") == request.method and getattr(
        current, "kind", None
    ) is SpanKind.CLIENT:  # FastMCP's
        return None
    name, attributes = mcp_calls.described(request.method, getattr(request, "params", None))
    return used.start_span(name, kind=SpanKind.CLIENT, attributes=attributes)


def _as_here(callback: Callable[..., Any]) -> Callable[..., Any]:
    """A coroutine function, or an object like one, to be called by somebody else."""
    here = Surroundings.current()

    async def call(*args: Any, **kwargs: Any) -> Any:
        with here.entered():
            return await callback(*args, **kwargs)

    return call


def _as_sent(post: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(post)
    async def post_as_sent(self: Any, ctx: Any, *args: Any, **kwargs: Any) -> Any:
        sent_in = getattr(getattr(ctx, "session_message", None), _SENT_IN, None)
        if sent_in is None:
            return await post(self, ctx, *args, **kwargs)
        with sent_in.entered():
            return await post(self, ctx, *args, **kwargs)

    return post_as_sent


class _AnyioOfSse:
    """`anyio` as the module of the older transport sees it."""

    def __init__(self, anyio: ModuleType) -> None:
        self._anyio = anyio

    def __getattr__(self, name: str) -> Any:
        return getattr(self._anyio, name)

    def create_memory_object_stream(self, *args: Any, **kwargs: Any) -> Any:
        send, receive = self._anyio.create_memory_object_stream(*args, **kwargs)
        return send, _Handing(receive)


class _Handing:
    """A stream that hands out each message, to the task that it is for, in the context that it was sent in."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    async def __aenter__(self) -> Any:
        await self._stream.__aenter__()
        return self

    async def __aexit__(self, *raised: object) -> Any:
        return await self._stream.__aexit__(*raised)

    def __aiter__(self) -> Any:
        return self

    async def __anext__(self) -> Any:
        return self._entered(await self._stream.__anext__())

    async def receive(self) -> Any:
        return self._entered(await self._stream.receive())

    @staticmethod
    def _entered(item: Any) -> Any:
        sent_in = getattr(item, _SENT_IN, None)
        if sent_in is not None:
            current_request.set(sent_in.request)
            context_api.attach(sent_in.context)
        return item


def _guarded(do: Callable[..., Any], *args: Any) -> Any:
    """What it returns; None where it raises: the call goes on as it would without."""
    try:
        return do(*args)
    except Exception as error:  # noqa: BLE001 (see above)
        report_error("An MCP message could not be given its trace context", error)
        return None
