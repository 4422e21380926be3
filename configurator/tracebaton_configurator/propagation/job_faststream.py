"""faststream: its own telemetry middleware is switched on, in front, for each broker that has none.

An application that adds one itself, then or later, has that one only. It hands on what is not sampled as well; but for
what is not sampled the run is one of this project's, so that it is kept where it fails. Batches are all its own.
Checked with faststream 0.5.34 and 0.7.8, over Redis; Kafka, RabbitMQ, NATS and MQTT have the same middleware.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from functools import cache, update_wrapper
from importlib import import_module
from typing import TYPE_CHECKING, Any
from weakref import ref

from opentelemetry import context as context_api
from opentelemetry.trace import get_current_span

from tracebaton_configurator.patching import registry
from tracebaton_configurator.propagation.incoming import Incoming, context_of, is_off
from tracebaton_configurator.propagation.job_queues import headers_in, instead_of_message

if TYPE_CHECKING:
    from collections.abc import Callable


def replace(module: Any) -> None:
    """`module` has the class of all brokers."""
    broker_class = module.BrokerUsecase
    init = broker_class.__init__

    def init_and_switch_on(self: Any, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        registry.apply("faststream", lambda: _switch_on(self))

    registry.put(broker_class, "__init__", update_wrapper(init_and_switch_on, init))


def _switch_on(broker: Any) -> None:
    telemetry = import_module(f"faststream.{_kind(broker)}.opentelemetry")
    middleware = _middleware_class(getattr(telemetry, telemetry.__all__[0]))()
    middleware.broker = ref(broker)
    if hasattr(broker, "_middlewares"):  # before 0.6
        broker._middlewares = (middleware, *broker._middlewares)  # noqa: SLF001
    else:
        broker.insert_middleware(middleware)


def _kind(broker: Any) -> str:
    """The name of its package, such as `redis` for `faststream.redis.broker.broker`. Raises StopIteration."""
    modules = (kind.__module__.split(".") for kind in type(broker).__mro__)
    return next(words[1] for words in modules if words[0] == "faststream" and words[2:3] == ["broker"])


@cache
def _middleware_class(original: Any) -> Any:
    common: Any = sys.modules["faststream.opentelemetry.middleware"]
    scope = _scope_class(common.BaseTelemetryMiddleware)

    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        broker: Any = self.broker()
        middlewares = getattr(broker, "_middlewares", None) or getattr(broker, "middlewares", ())
        if any(isinstance(one, common.TelemetryMiddleware) and one is not self for one in middlewares or ()):
            return common.BaseMiddleware(*args, **kwargs)
        made = original.__call__(self, *args, **kwargs)
        made.__class__ = scope
        return made

    return type("FaststreamTelemetry", (original,), {"__call__": call})


def _scope_class(original: Any) -> Any:
    """What accompanies one message: it arrives, and what its subscriber returns is perhaps published."""

    async def consume_scope(self: Any, call_next: Callable[..., Any], msg: Any) -> Any:
        _take_the_place_of_redis(msg)
        work = _unsampled(self, msg)
        if work is None:
            return await original.consume_scope(self, call_next, msg)
        with work:
            self._origin_context = context_api.get_current()
            return await call_next(msg)

    async def publish_scope(self: Any, call_next: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if is_off():
            return await call_next(*args, **kwargs)
        if self._current_span is not None or self._origin_context is None:
            return await original.publish_scope(self, call_next, *args, **kwargs)
        token = context_api.attach(self._origin_context)
        try:
            return await original.publish_scope(self, call_next, *args, **kwargs)
        finally:
            context_api.detach(token)

    scopes = {"__slots__": (), "consume_scope": consume_scope, "publish_scope": publish_scope}
    return type("FaststreamScope", (original,), scopes)


def _take_the_place_of_redis(msg: Any) -> None:
    """The run is the one span of what it has come in, unless it knows its trace from there only."""
    with suppress(Exception):
        headers = headers_in(msg.headers)
        if not msg.batch_headers and get_current_span(context_of(headers)).get_span_context().is_valid:
            instead_of_message(headers)


def _unsampled(middleware: Any, msg: Any) -> Incoming | None:
    """The run, unless its sender was sampled and tracing is on; None also where nobody can say."""
    with suppress(Exception):
        if msg.batch_headers:
            return None
        sender = get_current_span(context_of(msg.headers)).get_span_context()
        provider = middleware._BaseTelemetryMiddleware__settings_provider  # noqa: SLF001
        if provider is None or (sender.is_valid and sender.trace_flags.sampled and not is_off()):
            return None
        attributes = {"messaging.operation": "process", **provider.get_consume_attrs_from_message(msg)}
        name = f"{provider.get_consume_destination_name(msg)} process"
        return Incoming(name, dict(msg.headers), attributes=attributes)
    return None
