"""The HTTP clients that are served without an instrumentation, each patched when it is imported (`other_clients`)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from tracebaton_configurator.patching.registry import apply_on_import, later

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

# The names of upstream's instrumentations, and the module whose import each waits for.
_MODULES = {"aiohttp-client": "aiohttp", "requests": "requests", "urllib": "urllib.request", "urllib3": "urllib3"}


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
