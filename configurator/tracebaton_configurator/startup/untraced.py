"""Libraries that applications call others with: a call that is made with one of them untraced ends the trace."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Container


class CallingLibrary(NamedTuple):
    """A distribution, the entry point of an instrumentation that serves it, and upstream's package that has it.

    `patch`, by its name in the catalogue, serves it where there is no instrumentation, and counts as one then.
    It is used where one of `modules` has been imported, unless one of `users` has, which import it for themselves.
    """

    distribution: str
    instrumentation: str
    package: str
    modules: tuple[str, ...]
    users: tuple[str, ...] = ()
    patch: str = ""


_UPSTREAM = "opentelemetry-instrumentation"
_OTLP = "opentelemetry.exporter.otlp.proto"
_PATCH = "other-clients"
CLIENTS = (
    CallingLibrary("aiohttp", "aiohttp-client", f"{_UPSTREAM}-aiohttp-client", ("aiohttp",), patch=_PATCH),
    CallingLibrary("aio-pika", "aio-pika", f"{_UPSTREAM}-aio-pika", ("aio_pika",)),
    CallingLibrary("aiokafka", "aiokafka", f"{_UPSTREAM}-aiokafka", ("aiokafka",)),
    CallingLibrary("celery", "celery", f"{_UPSTREAM}-celery", ("celery",)),
    CallingLibrary("confluent-kafka", "confluent_kafka", f"{_UPSTREAM}-confluent-kafka", ("confluent_kafka",)),
    CallingLibrary("grpcio", "grpc_client", f"{_UPSTREAM}-grpc", ("grpc",), (f"{_OTLP}.grpc",)),
    CallingLibrary("pika", "pika", f"{_UPSTREAM}-pika", ("pika",)),
    CallingLibrary("requests", "requests", f"{_UPSTREAM}-requests", ("requests",), (f"{_OTLP}.http",), _PATCH),
    CallingLibrary("urllib3", "urllib3", f"{_UPSTREAM}-urllib3", ("urllib3",), ("botocore", "requests"), _PATCH),
)


def imported_without(instrumentations: Container[str]) -> list[str]:
    """The distributions that the application has imported, and that none of these instrumentations is for."""
    return [
        one.distribution
        for one in CLIENTS
        if one.instrumentation not in instrumentations
        and any(module in sys.modules for module in one.modules)
        and not any(module in sys.modules for module in one.users)
    ]
