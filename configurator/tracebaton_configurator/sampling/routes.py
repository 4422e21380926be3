"""Which route a path belongs to, learnt from the routes that the framework itself has found before."""

from __future__ import annotations

from typing import Any

_LIMIT = 2000


class Routes:
    """Templates such as `/agents/{name}/heartbeat`, in a tree by segments; at most 2000 of them.

    `{x}` stands for one segment, `{x:path}` at the end for the rest. Where two templates could be meant, the one with
    the literal segment is; that only decides which counter a request is counted on.
    """

    def __init__(self) -> None:
        self._roots: dict[str, _Node] = {}
        self._count = 0

    def add(self, method: str, template: str) -> bool:
        """Learn a template; False when there are too many already, which a program with that many routes survives."""
        if self._count >= _LIMIT:
            return False
        node = self._roots.setdefault(method, _Node())
        for segment in template.split("/"):
            if segment.startswith("{") and segment.endswith(":path}"):
                node.rest = template
                self._count += 1
                return True
            if "{" in segment:
                if node.variable is None:
                    node.variable = _Node()
                node = node.variable
            else:
                node = node.literal.setdefault(segment, _Node())
        self._count += node.template is None
        node.template = template
        return True

    def find(self, method: str, path: str) -> str | None:
        """The template of a path, None for one that no template fits."""
        root = self._roots.get(method)
        return None if root is None else _find(root, path.split("/"), 0)


class _Node:
    __slots__ = ("literal", "rest", "template", "variable")

    def __init__(self) -> None:
        self.literal: dict[str, _Node] = {}
        self.variable: _Node | None = None
        self.rest: str | None = None
        self.template: str | None = None


def _find(node: _Node, segments: list[str], depth: int) -> str | None:
    """Literal before variable before rest; a template has few variables, so the ways to go wrong are few."""
    if depth == len(segments):
        return node.template
    below = node.literal.get(segments[depth])
    found = _find(below, segments, depth + 1) if below is not None else None
    if found is None and node.variable is not None:
        found = _find(node.variable, segments, depth + 1)
    return found if found is not None else node.rest


def template_of(scope: dict[str, Any], path: str) -> str | None:
    """The template of the request that this ASGI scope has been routed for; None where no route was found.

    FastAPI leaves the route in the scope, Starlette (before 1.0) only the parameters' values. The scope's `path_params`
    hold those of the mounts above as well, so putting names for values into the path serves mounted applications too;
    a value is only replaced where it is a whole segment, or the rest of the path.
    """
    parameters = scope.get("path_params")
    if parameters is None or scope.get("endpoint") is None:
        return None
    template = path
    for name, value in parameters.items():
        text = str(value)
        if "/" in text and template.endswith(text):
            template = f"{template[: -len(text)]}{{{name}:path}}"
            continue
        segments = template.split("/")
        if text in segments:
            # The last one: in `/agents/{name}` called for the agent `agents` the first segment is the literal.
            position = len(segments) - 1 - segments[::-1].index(text)
            segments[position] = f"{{{name}}}"
            template = "/".join(segments)
    return template
