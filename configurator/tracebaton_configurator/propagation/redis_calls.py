"""The Redis commands of a request that is not recorded, as notes of its calls.

Upstream's instrumentation does nothing there, and its wrapper is in its place all the same: above it stands one that
makes the note. What upstream says of a command is worked out only where the request is kept.
Checked with opentelemetry-instrumentation-redis 0.66b2 and redis 5.2 to 8.1.
"""

from __future__ import annotations

from functools import partial
from time import time_ns
from typing import TYPE_CHECKING, Any, NamedTuple

from opentelemetry.trace import SpanKind

from tracebaton_configurator.logs.diagnostics import described, report_error
from tracebaton_configurator.logs.upstream import get_current
from tracebaton_configurator.patching.registry import put
from tracebaton_configurator.sampling.decision import RequestDecision, notes_calls
from tracebaton_configurator.sampling.late_spans import begin_call, end_call
from tracebaton_configurator.sampling.upstream import CURRENT_SPAN

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.trace import Span, SpanContext, Tracer

    from tracebaton_configurator.sampling.call_notes import CallNote

    Arguments = tuple[Any, ...]
    # What the one makes of an instance and the arguments of a call, the other ends: None where nothing is noted.
    Begin = Callable[[Tracer, Any, Arguments], Any]
    Through = Callable[[Any, Callable[..., Any], Arguments, dict[str, Any]], Any]

_new: Any = tuple.__new__

# A client's own way to find out: that a script is not loaded, that a value has changed, that a group is there already.
_NO_FAILURES = ("NoScriptError", "WatchError")
_GROUP_EXISTS = "BUSYGROUP"


def replace_factories() -> None:
    """For the patch `redis-calls`: before the instrumentation of redis is loaded."""
    import opentelemetry.instrumentation.redis as upstream

    for name, begin, through in _FACTORIES:
        put(upstream, name, _noting(getattr(upstream, name), begin, through))


def _noting(make: Callable[..., Any], begin: Begin, through: Through) -> Callable[..., Any]:
    def factory(tracer: Tracer, *options: Any, **more: Any) -> Callable[..., Any]:
        traced = make(tracer, *options, **more)

        # No coroutine of its own: what is below may have something to do when it is called.
        def execute(call: Callable[..., Any], instance: Any, args: Arguments, kwargs: dict[str, Any]) -> Any:
            note = None
            try:
                note = begin(tracer, instance, args)
            except Exception as error:  # noqa: BLE001 (the application's command is sent as it is)
                report_error("A Redis command could not be noted", error)
            return traced(call, instance, args, kwargs) if note is None else through(note, call, args, kwargs)

        return execute

    return factory


class CommandNote(NamedTuple):
    """A command that is sent below an unsampled request: what a `CallNote` is made of if the request is kept.

    A command hands no id on and nobody sets anything on its span, so it needs no more while it is under way. `words`:
    how many the command has; `options`: those of its connections; `started` and `ended`: in ns since the epoch.
    """

    tracer: Any
    request: RequestDecision
    parent: SpanContext
    name: str
    words: int
    options: Any
    started: int
    ended: int
    failed: bool

    def as_call(self) -> CallNote:
        """One that has not ended."""
        from tracebaton_configurator.sampling.call_notes import CallNote

        tracer, request, parent, name, words, options, started, _, _ = self
        note = CallNote(tracer, request, parent, name, SpanKind.CLIENT, start_time=started, sampled=True)
        note.complete = partial(_complete, options, [(name, words)], pipeline=False)
        return note

    def make(self, reason: str) -> None:
        note = self.as_call()
        note.ended = self.ended
        note.make(reason)


def _begin_command(tracer: Tracer, instance: Any, args: Arguments) -> tuple[Any, ...] | None:
    """The first six of `CommandNote`."""
    context = get_current()
    request = notes_calls(context)
    if request is None:
        return None
    span: Any = context.get(CURRENT_SPAN)
    if span is None:
        return None
    parent = span.get_span_context()
    # In a trace of its own, or of a tracer that is not the SDK's and gives no ids.
    if parent[0] != request.trace_id or not hasattr(tracer, "id_generator"):
        return None
    # Without the arguments, which may be large and secret.
    name = args[0] if args and args[0] else "redis"
    if name.__class__ is not str:
        name = str(name)
    return tracer, request, parent, name, len(args), _options(instance)


def _through_command(begun: tuple[Any, ...], call: Callable[..., Any], args: Arguments, kwargs: dict[str, Any]) -> Any:
    started = time_ns()
    try:
        response = call(*args, **kwargs)
    except BaseException as error:
        _fail_command(begun, started, error)
        raise
    _take(begun, started)
    return response


async def _through_command_async(
    begun: tuple[Any, ...], call: Callable[..., Any], args: Arguments, kwargs: dict[str, Any]
) -> Any:
    started = time_ns()
    try:
        response = await call(*args, **kwargs)
    except BaseException as error:
        _fail_command(begun, started, error)
        raise
    _take(begun, started)
    return response


def _take(begun: tuple[Any, ...], started: int) -> None:
    late_spans = begun[1].late_spans
    if late_spans is not None:
        late_spans.take(_new(CommandNote, (*begun, started, time_ns(), False)))


def _fail_command(begun: tuple[Any, ...], started: int, error: BaseException) -> None:
    try:
        note = CommandNote._make((*begun, started, 0, True)).as_call()
    except Exception as problem:  # noqa: BLE001 (a tracer of another provider's: the error is the application's)
        report_error("A Redis command could not be noted", problem)
    else:
        _fail(note, error)


def _begin_pipeline(tracer: Tracer, instance: Any, _: Arguments) -> CallNote | None:
    note = begin_call(tracer, "redis")
    if note is not None:
        from tracebaton_configurator.propagation.upstream_redis import commands_of

        commands = commands_of(instance)
        note.update_name(" ".join(name for name, _ in commands) or "redis")
        note.complete = partial(_complete, _options(instance), commands, pipeline=True)
    return note


def _through_pipeline(note: CallNote, call: Callable[..., Any], args: Arguments, kwargs: dict[str, Any]) -> Any:
    try:
        response = call(*args, **kwargs)
    except BaseException as error:
        _fail(note, error)
        raise
    note.end()
    return response


async def _through_pipeline_async(
    note: CallNote, call: Callable[..., Any], args: Arguments, kwargs: dict[str, Any]
) -> Any:
    note.begin()
    try:
        response = await call(*args, **kwargs)
    except BaseException as error:
        _fail(note, error)
        raise
    note.end()
    return response


def _fail(note: CallNote, error: BaseException) -> None:
    is_well = type(error).__name__ in _NO_FAILURES or _GROUP_EXISTS in described(error)
    end_call(note, None if is_well else error)


def _options(instance: Any) -> Any:
    """Those of its connections, which upstream looks at. A client that was held on to would be closed later."""
    try:
        return instance.connection_pool.connection_kwargs
    except AttributeError:  # a client of a cluster
        return None


def _complete(options: Any, commands: list[tuple[str, int]], span: Span, _: CallNote, *, pipeline: bool) -> None:
    from tracebaton_configurator.propagation.upstream_redis import set_attributes

    set_attributes(span, options, commands, pipeline=pipeline)


_FACTORIES: tuple[tuple[str, Begin, Through], ...] = (
    ("_traced_execute_factory", _begin_command, _through_command),
    ("_traced_execute_pipeline_factory", _begin_pipeline, _through_pipeline),
    ("_async_traced_execute_factory", _begin_command, _through_command_async),
    ("_async_traced_execute_pipeline_factory", _begin_pipeline, _through_pipeline_async),
)
