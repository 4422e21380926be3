"""kombu over Redis: what a worker of celery does all day to keep its queues begins no traces.

Within a request or a task the same commands are a part of that. Checked with kombu 5.4.2 and 5.7.0.
"""

from __future__ import annotations

from contextlib import contextmanager
from functools import update_wrapper
from typing import TYPE_CHECKING, Any

from opentelemetry.trace import get_current_span

from tracebaton_configurator.patching.registry import put
from tracebaton_configurator.propagation.job_queues import between_runs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def replace(redis: Any) -> None:
    """`redis` is kombu's transport: its commands go to the client that one method yields, but for those of two more."""
    acquire = redis.Channel.conn_or_acquire

    @contextmanager
    def conn_or_acquire(*args: Any, **kwargs: Any) -> Iterator[Any]:
        with _without_traces(), acquire(*args, **kwargs) as client:
            yield client

    put(redis.Channel, "conn_or_acquire", update_wrapper(conn_or_acquire, acquire))
    put(redis.Channel, "__init__", _quiet(redis.Channel.__init__))  # a PING
    put(redis.QoS, "ack", _quiet(redis.QoS.ack))


def _quiet(method: Callable[..., Any]) -> Callable[..., Any]:
    def call_without_traces(*args: Any, **kwargs: Any) -> Any:
        with _without_traces():
            return method(*args, **kwargs)

    return update_wrapper(call_without_traces, method)


@contextmanager
def _without_traces() -> Iterator[None]:
    if get_current_span().get_span_context().is_valid:
        yield
        return
    with between_runs("kombu"):
        yield
