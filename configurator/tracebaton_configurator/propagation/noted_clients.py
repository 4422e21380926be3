"""Databases: their commands within a request that is not recorded are notes of its calls.

OpenTelemetry's instrumentations for them do nothing there, because each asks `is_instrumentation_enabled` of its own
module. That is replaced, as for HTTP clients (`http_clients`); what they begin then is a note. Instrumentations that do
not ask (elasticsearch, cassandra, those of model clients) are noted anyway.
Checked with 0.66b2 of each.
"""

from __future__ import annotations

from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

from opentelemetry import context as context_api

from tracebaton_configurator.patching.around import Around
from tracebaton_configurator.patching.registry import apply, put
from tracebaton_configurator.sampling.decision import notes_calls

if TYPE_CHECKING:
    from collections.abc import Callable

_PACKAGE = "opentelemetry.instrumentation"
# By the entry point of each: the module that asks.
_MODULES = {
    **dict.fromkeys(("aiopg", "mysql", "mysqlclient", "psycopg", "psycopg2", "pymysql", "sqlite3"), "dbapi"),
    "asyncpg": "asyncpg",
    "pymemcache": "pymemcache",
    "pymongo": "pymongo",
    "sqlalchemy": "sqlalchemy.engine",
    "tortoiseorm": "tortoiseorm",
}
_ASKED = "is_instrumentation_enabled"


def around() -> dict[str, Around]:
    """For the instrumentations of databases."""
    return {name: Around(after=partial(_after, f"{_PACKAGE}.{module}")) for name, module in _MODULES.items()}


def _after(name: str) -> None:
    module: Any = import_module(name)
    if not isinstance(getattr(module, _ASKED, None), _OrNoted):
        apply("databases", lambda: put(module, _ASKED, _OrNoted(getattr(module, _ASKED))))


class _OrNoted:
    """In place of that function; several instrumentations share a module."""

    def __init__(self, enabled: Callable[[], bool]) -> None:
        self._enabled = enabled

    def __call__(self) -> bool:
        return self._enabled() or notes_calls(context_api.get_current()) is not None
