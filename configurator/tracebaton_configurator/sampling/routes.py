"""Which route a path belongs to, learnt from the routes that the framework itself has found before."""

from __future__ import annotations

from functools import partial
from inspect import isclass, isroutine
from re import DOTALL, Pattern, escape
from re import compile as regex
from typing import Any

_LIMIT = 2000
_WHOLE_SEGMENT = regex(r"\{[^{}]*\}")


class Routes:
    """Templates such as `/agents/{name}/heartbeat`, in a tree by segments; at most 2000 of them.

    `{x}` stands for one segment, or for a part of it (`{x}.csv`), `{x:path}` at the end for the rest. Where two
    templates could be meant, the one with the literal segment is; that only decides on which counter a request counts.
    """

    def __init__(self) -> None:
        self._by_method: dict[str, _Node] = {}
        self._templates: set[str] = set()

    def add(self, method: str, template: str) -> bool:
        """Learn a template; False when there are too many already, which a program with that many routes survives."""
        if template not in self._templates:
            if len(self._templates) >= _LIMIT:
                return False
            self._templates.add(template)
        node = self._by_method.setdefault(method, _Node())
        for segment in template.split("/"):
            if segment.startswith("{") and segment.endswith(":path}"):
                node.rest = template
                return True
            if "{" in segment and not _WHOLE_SEGMENT.fullmatch(segment):
                node = node.partly.setdefault(segment, (_pattern(segment), _Node()))[1]
            elif "{" in segment:
                if node.variable is None:
                    node.variable = _Node()
                node = node.variable
            else:
                node = node.literal.setdefault(segment, _Node())
        node.template = template
        return True

    def find(self, method: str, path: str) -> str | None:
        """The template of a path, None for one that no template fits."""
        root = self._by_method.get(method)
        return None if root is None else _find(root, path.split("/"), 0)


class _Node:
    __slots__ = ("literal", "partly", "rest", "template", "variable")

    def __init__(self) -> None:
        self.literal: dict[str, _Node] = {}
        self.partly: dict[str, tuple[Pattern[str], _Node]] = {}
        self.variable: _Node | None = None
        self.rest: str | None = None
        self.template: str | None = None


def _pattern(segment: str) -> Pattern[str]:
    return regex(".+".join(escape(literal) for literal in _WHOLE_SEGMENT.split(segment)), DOTALL)


def _find(node: _Node, segments: list[str], depth: int) -> str | None:
    """Literal, part, variable, rest, in this order; a template has few variables, so the ways to go wrong are few."""
    if depth == len(segments):
        return node.template
    below = node.literal.get(segments[depth])
    found = _find(below, segments, depth + 1) if below is not None else None
    for pattern, below in node.partly.values():
        if found is None and pattern.fullmatch(segments[depth]):
            found = _find(below, segments, depth + 1)
    if found is None and node.variable is not None:
        found = _find(node.variable, segments, depth + 1)
    return found if found is not None else node.rest


# A method that nobody serves is in no route, and of those there is any number (RFC 9110, section 9; RFC 5789; QUERY).
METHODS = frozenset(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "QUERY"])


def template_of(scope: dict[str, Any], path: str) -> str | None:
    """The template of the request that this ASGI scope has been routed for; None where not all of it is known.

    FastAPI leaves the route in the scope, Starlette only the parameters' values. The scope's `path_params` hold those
    of the mounts above as well. What is not certain is not learnt: a path taken for a template would be an endpoint of
    its own, and whoever sends many of them would use up the room for those of the application.
    """
    parameters, endpoint = scope.get("path_params"), scope.get("endpoint")
    if parameters is None or endpoint is None or scope.get("method", "GET") not in METHODS:
        return None
    route = scope.get("route")
    methods = getattr(route, "methods", None)
    if methods and scope.get("method") not in methods:
        return None
    own = getattr(route, "path_format", None)
    if own and ":path}" not in getattr(route, "path", ":path}"):
        # Its segments are the last ones; before them stand mounts, and the prefixes of included routers.
        segments = path.split("/")
        head = "/".join(segments[: -own.count("/")])
        return f"{_with_names(head, parameters, all_of_them=False)}{own}"
    if "app_root_path" in scope and not (isroutine(endpoint) or isclass(endpoint) or isinstance(endpoint, partial)):
        # A mounted application found no route in itself, or has none, as that for static files.
        if hasattr(endpoint, "routes"):
            return None
        return f"{_with_names(scope['root_path'], parameters, all_of_them=False)}/{{path:path}}"
    return _with_names(path, parameters, all_of_them=True)


def _with_names(path: str, parameters: dict[str, Any], *, all_of_them: bool) -> str | None:
    """`path` with names for the values that are whole segments of it, or several; None where one is not in it."""
    for name, value in parameters.items():
        try:
            text = str(value)
        except Exception:  # noqa: BLE001 (what a converter makes of a segment is the application's, and may have no text)
            if all_of_them:
                return None
            continue
        if "/" in text and f"/{text}" in path:
            path = path.replace(f"/{text}", f"/{{{name}:path}}", 1)
            continue
        segments = path.split("/")
        if text in segments:
            # The last one: in `/agents/{name}` called for the agent `agents` the first segment is the literal.
            position = len(segments) - 1 - segments[::-1].index(text)
            segments[position] = f"{{{name}}}"
            path = "/".join(segments)
        elif all_of_them:
            return None
    return path
