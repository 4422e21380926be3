"""Laid beside a suite of upstream's as its conftest.py: what the suite imports and an older library does not have.

Otherwise a whole file of tests could not be collected for the sake of one. The report says whose sampler is at work.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace

if TYPE_CHECKING:
    from collections.abc import Callable

# The tests set providers of their own in its place.
_PROVIDER = trace.get_tracer_provider()
_EXIT_STACK = "fastapi.middleware.asyncexitstack"  # since 0.118


@pytest.fixture(scope="session", autouse=True)
def sampler(record_testsuite_property: Callable[[str, object], None]) -> None:
    record_testsuite_property("sampler", type(getattr(_PROVIDER, "sampler", None)).__module__)


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
