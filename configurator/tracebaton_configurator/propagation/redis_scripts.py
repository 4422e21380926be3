"""A Lua script that the server has not seen yet is no error.

redis-py calls a script by its hash, and loads it when the server answers NOSCRIPT: the first call of each, a lock's
too, would have an ERROR span in a request that is well. So the span does not see that answer; the client does.
Checked with opentelemetry-instrumentation-redis 0.66b2 and redis 8.1.0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tracebaton_configurator.patching.around import Around
from tracebaton_configurator.patching.registry import apply, later, put

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Arguments = tuple[Any, ...]

_COMMANDS = ("EVALSHA", "EVALSHA_RO")


def around() -> dict[str, Around]:
    """For the instrumentation of redis."""
    return {"redis": Around(before=_before)}


def _before() -> None:
    apply("redis-scripts", _replace_factories)
    apply("redis-calls", later("propagation.redis_calls", "replace_factories"))
    apply("redis-attributes", later("propagation.upstream_redis", "remember"))


def _replace_factories() -> bool:
    import opentelemetry.instrumentation.redis as upstream
    from redis.exceptions import NoScriptError

    make = getattr(upstream, "_traced_execute_factory", None)
    make_async = getattr(upstream, "_async_traced_execute_factory", None)
    if make is None or make_async is None:
        return False

    def factory(*options: Any, **more: Any) -> Callable[..., Any]:
        traced = make(*options, **more)

        def execute(call: Callable[..., Any], instance: Any, args: Arguments, kwargs: dict[str, Any]) -> Any:
            if not _is_by_hash(args):
                return traced(call, instance, args, kwargs)
            missing: list[Exception] = []

            def seen(*args: Any, **kwargs: Any) -> Any:
                try:
                    return call(*args, **kwargs)
                except NoScriptError as error:
                    missing.append(error)

            try:
                response = traced(seen, instance, args, kwargs)
            except Exception:
                if not missing:  # else a hook of the application's did not survive that there is no response
                    raise
                response = None
            if missing:
                raise missing.pop()
            return response

        return execute

    def async_factory(*options: Any, **more: Any) -> Callable[..., Awaitable[Any]]:
        traced = make_async(*options, **more)

        def execute(call: Callable[..., Any], instance: Any, args: Arguments, kwargs: dict[str, Any]) -> Any:
            # No coroutine of its own: what is below may have something to do where the command is called.
            return (run if _is_by_hash(args) else traced)(call, instance, args, kwargs)

        async def run(call: Callable[..., Any], instance: Any, args: Arguments, kwargs: dict[str, Any]) -> Any:
            missing: list[Exception] = []

            async def seen(*args: Any, **kwargs: Any) -> Any:
                try:
                    return await call(*args, **kwargs)
                except NoScriptError as error:
                    missing.append(error)

            try:
                response = await traced(seen, instance, args, kwargs)
            except Exception:
                if not missing:  # as above
                    raise
                response = None
            if missing:
                raise missing.pop()
            return response

        return execute

    put(upstream, "_traced_execute_factory", factory)
    put(upstream, "_async_traced_execute_factory", async_factory)
    return True


def _is_by_hash(args: Arguments) -> bool:
    return bool(args) and isinstance(args[0], str) and args[0].upper() in _COMMANDS
