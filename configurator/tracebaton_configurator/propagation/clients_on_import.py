"""What is patched when it is imported.

HTTP clients without an instrumentation (`other_clients`), and instrumentations of databases and gRPC (`noted_clients`).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from tracebaton_configurator.patching.registry import apply_on_import, later

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

# The names of upstream's instrumentations, and the module whose import each waits for.
_MODULES = {"aiohttp-client": "aiohttp", "requests": "requests", "urllib": "urllib.request", "urllib3": "urllib3"}
# Modules of upstream's that ask whether they are suppressed, and the functions of `noted_clients` for each.
_INSTRUMENTATIONS = {
    "asyncpg": "leave_notes",
    "botocore": "leave_notes",
    "dbapi": "leave_notes",  # sqlite3, psycopg, psycopg2, pymysql, mysqlclient, mysql, pymssql
    "grpc._aio_client": "hand_on",
    "grpc._client": "hand_on",
    "pymemcache": "leave_notes",
    "pymongo": "leave_notes_by_events",
    "sqlalchemy.engine": "leave_notes",
    "tortoiseorm": "leave_notes",
}


def serve(taken: Collection[str], disabled: Collection[str], on_served: Callable[[str], object]) -> None:
    """Patch the clients, as they are imported, whose instrumentation is not among `taken`; `on_served` with its name.

    `disabled` are the names of those that the user wants nothing of.
    """
    for name, module in _MODULES.items():
        if name not in taken and name not in disabled:
            apply_on_import(
                "other-clients", module, partial(later("propagation.other_clients", "serve"), name, on_served)
            )
    if "httpx" not in disabled:
        apply_on_import("httpx-transports", "httpx", later("propagation.other_clients", "serve_transports"))
    apply_on_import("websockets", "websockets.client", later("propagation.other_clients", "serve_websockets"))


def note_calls() -> None:
    """Have the instrumentations that suppress themselves below an unsampled request leave notes there."""
    for module, function in _INSTRUMENTATIONS.items():
        apply_on_import(
            "noted-clients", f"opentelemetry.instrumentation.{module}", later("propagation.noted_clients", function)
        )
