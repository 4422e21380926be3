"""Laid beside a suite of upstream's as its conftest.py: what the suite imports and an older library does not have.

Otherwise a whole file of tests could not be collected for the sake of one.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from types import ModuleType
from typing import Any

_EXIT_STACK = "fastapi.middleware.asyncexitstack"  # since 0.118


class AsyncExitStackMiddleware:
    """Older releases do in their routes what this does there."""

    __module__ = _EXIT_STACK

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self._app(scope, receive, send)


if find_spec("fastapi") is not None and find_spec(_EXIT_STACK) is None:
    _module = ModuleType(_EXIT_STACK)
    _module.AsyncExitStackMiddleware = AsyncExitStackMiddleware  # type: ignore[attr-defined]
    sys.modules[_EXIT_STACK] = _module
