"""kombu over Redis: what a worker of celery does all day to keep its queues begins no traces.

Within a request or a task the same commands are a part of that. Checked with kombu 5.4.2 and 5.7.0.
"""

from __future__ import annotations

from contextlib import contextmanager
from functools import update_wrapper
from typing import TYPE_CHECKING, Any

from opentelemetry import context as context_api
from opentelemetry.trace import get_current_span

from tracebaton_configurator.sampling.upstream import SUPPRESS_INSTRUMENTATION

if TYPE_CHECKING:
    from collections.abc import Iterator


def replace(redis: Any) -> None:
    """`redis` is kombu's transport: the client for its commands is what one method yields, but for those of `ack`."""
    acquire, ack = redis.Channel.conn_or_acquire, redis.QoS.ack

    @contextmanager
    def conn_or_acquire(*args: Any, **kwargs: Any) -> Iterator[Any]:
        with _without_traces(), acquire(*args, **kwargs) as client:
            yield client

    def ack_without_traces(*args: Any, **kwargs: Any) -> Any:
        with _without_traces():
            return ack(*args, **kwargs)

    redis.Channel.conn_or_acquire = update_wrapper(conn_or_acquire, acquire)
    redis.QoS.ack = update_wrapper(ack_without_traces, ack)


@contextmanager
def _without_traces() -> Iterator[None]:
    context = context_api.get_current()
    if get_current_span(context).get_span_context().is_valid:
        yield
        return
    token = context_api.attach(context_api.Context({**context, SUPPRESS_INSTRUMENTATION: True}))
    try:
        yield
    finally:
        context_api.detach(token)
