"""The routes of an application of Starlette's or FastAPI's, those of mounted applications included."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# A mount may be below itself.
_DEEPEST = 10


def flattened(routes: Iterable[Any]) -> Iterator[Any]:
    """Each route, and in place of an included router what it holds (FastAPI 0.137 and later, as upstream does it)."""
    routing = sys.modules.get("fastapi.routing")
    contexts = getattr(routing, "iter_route_contexts", None)
    if contexts is not None:
        yield from contexts(routes)
        return
    for route in routes:
        if hasattr(route, "effective_route_contexts"):
            yield from route.effective_route_contexts()
        else:
            yield route


def templates(owner: Any, prefix: str = "", depth: int = 0) -> Iterator[tuple[Iterable[str] | None, str]]:
    """The methods of each route, None for all of them, and its whole template; `owner` is as in `whole_route`."""
    if depth > _DEEPEST:
        return
    for route in flattened(owner.routes):
        path = prefix + (getattr(route, "path", None) or "")
        if getattr(route, "endpoint", None) is not None:
            yield getattr(route, "methods", None), path
        elif getattr(route, "routes", None):  # a mount, or a host
            yield from templates(route, path, depth + 1)
        elif getattr(route, "path", None) is not None:
            yield None, f"{path}/{{path:path}}"
