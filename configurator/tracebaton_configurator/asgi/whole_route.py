"""The route of a request from the top: `/sub/{tenant}/items/{item}` where an application is mounted at `/sub/{tenant}`.

Upstream's instrumentations ask the routes of the application they stand above, and know the mount alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tracebaton_configurator.sampling.app_routes import flattened

if TYPE_CHECKING:
    from collections.abc import MutableMapping

_FULL, _PARTIAL = 2, 1


def whole_route(owner: Any, scope: MutableMapping[str, Any]) -> str | None:
    """`owner` has the routes: an application, or a mount. None where nothing matches.

    Never raises: what is mounted may have a `routes` that is something else, and a route may be of any class.
    """
    try:
        return _whole_route(owner, scope)
    except Exception:  # noqa: BLE001 (see above; whoever is above it has a route all the same)
        return None


def _whole_route(owner: Any, scope: MutableMapping[str, Any]) -> str | None:
    partial = None
    for route in flattened(owner.routes):
        match, child = route.matches(scope)
        path = getattr(route, "path", None) or ""
        if match.value == _PARTIAL:  # another method
            partial = path
        elif match.value == _FULL:
            if getattr(route, "routes", None):
                own_root = getattr(child.get("endpoint"), "root_path", None)  # FastAPI's, which goes before the mount's
                below = {**scope, **child, **({"root_path": own_root} if own_root else {})}
                path += whole_route(route, below) or ""
            return path or None
    return partial
