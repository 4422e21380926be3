"""The Redis commands of a request that is not recorded, as notes of its calls.

Upstream's instrumentation does nothing there, and its wrapper is in its place all the same: above it stands one that
makes the note. What upstream says of a command is worked out only where the request is kept.
Checked with opentelemetry-instrumentation-redis 0.66b2 and redis 5.2 to 8.1.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from tracebaton_configurator.logs.diagnostics import described, report_error
from tracebaton_configurator.patching.registry import put
from tracebaton_configurator.sampling.late_spans import begin_call, end_call

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.trace import Span, Tracer

    from tracebaton_configurator.sampling.call_notes import CallNote

    Arguments = tuple[Any, ...]
    Begin = Callable[[Tracer, Any, Arguments], CallNote | None]

# A client's own way to find out: that a script is not loaded, that a value has changed, that a group is there already.
_NO_FAILURES = ("NoScriptError", "WatchError")
_GROUP_EXISTS = "BUSYGROUP"


def replace_factories() -> None:
    """For the patch `redis-calls`: before the instrumentation of redis is loaded."""
    import opentelemetry.instrumentation.redis as upstream

    for name, begin, through in _FACTORIES:
        put(upstream, name, _noting(getattr(upstream, name), begin, through))


def _noting(make: Callable[..., Any], begin: Begin, through: Callable[..., Any]) -> Callable[..., Any]:
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


def _through(note: CallNote, call: Callable[..., Any], args: Arguments, kwargs: dict[str, Any]) -> Any:
    try:
        response = call(*args, **kwargs)
    except BaseException as error:
        _fail(note, error)
        raise
    note.end()
    return response


async def _through_async(note: CallNote, call: Callable[..., Any], args: Arguments, kwargs: dict[str, Any]) -> Any:
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


def _begin_command(tracer: Tracer, instance: Any, args: Arguments) -> CallNote | None:
    # Without the arguments, which may be large and secret.
    name = str(args[0]) if args and args[0] else "redis"
    note = begin_call(tracer, name)
    if note is not None:
        note.complete = partial(_complete, _options(instance), [(name, len(args))], pipeline=False)
    return note


def _begin_pipeline(tracer: Tracer, instance: Any, _: Arguments) -> CallNote | None:
    note = begin_call(tracer, "redis")
    if note is not None:
        from tracebaton_configurator.propagation.upstream_redis import commands_of

        commands = commands_of(instance)
        note.update_name(" ".join(name for name, _ in commands) or "redis")
        note.complete = partial(_complete, _options(instance), commands, pipeline=True)
    return note


def _options(instance: Any) -> Any:
    """Those of its connections, which upstream looks at. A client that was held on to would be closed later."""
    return getattr(getattr(instance, "connection_pool", None), "connection_kwargs", None)


def _complete(options: Any, commands: list[tuple[str, int]], span: Span, _: CallNote, *, pipeline: bool) -> None:
    from tracebaton_configurator.propagation.upstream_redis import set_attributes

    set_attributes(span, options, commands, pipeline=pipeline)


_FACTORIES: tuple[tuple[str, Begin, Callable[..., Any]], ...] = (
    ("_traced_execute_factory", _begin_command, _through),
    ("_traced_execute_pipeline_factory", _begin_pipeline, _through),
    ("_async_traced_execute_factory", _begin_command, _through_async),
    ("_async_traced_execute_pipeline_factory", _begin_pipeline, _through_async),
)
