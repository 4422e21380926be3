"""Laid beside a suite of upstream's as its conftest.py: what the suite imports and an older library does not have.

Otherwise a whole file of tests could not be collected for the sake of one. What uses the stand-in fails alike under
every launcher.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from types import ModuleType

_EXIT_STACK = "fastapi.middleware.asyncexitstack"  # since 0.118

if find_spec("fastapi") is not None and find_spec(_EXIT_STACK) is None:
    _module = ModuleType(_EXIT_STACK)
    _module.AsyncExitStackMiddleware = type("AsyncExitStackMiddleware", (), {})  # type: ignore[attr-defined]
    sys.modules[_EXIT_STACK] = _module
