"""What a start would leave behind, or bring along, that costs every process and serves none."""

from __future__ import annotations

import os
import sys
from types import ModuleType
from typing import Any

_CLIENT = "httpx._main"
_LAUNCHER = "opentelemetry.instrumentation.auto_instrumentation"
# docker/autoinstrumentation/Dockerfile puts it beside the packages.
_LAYER_MARK = ".tracebaton-layer"


def leave_launcher_directory() -> None:
    """Take the directory of upstream's `sitecustomize` off `sys.path`; child processes find it by PYTHONPATH.

    It has served its purpose, and every import that fails searches it: httpx tries one or two in each request.
    """
    directory = launcher_directory()
    if directory:
        sys.path[:] = [path for path in sys.path if path != directory]
        _put_layer_behind(os.path.normpath(os.path.join(directory, *[os.pardir] * 3)))  # noqa: PTH118 (see above)


def _put_layer_behind(root: str) -> None:
    """Let the application's own packages win over those of the same name in a layer on PYTHONPATH.

    Such a layer stands before site-packages, so an application would get h11, requests or protobuf in versions that it
    never chose (opentelemetry-operator issue 1885). What is loaded by now stays, and OpenTelemetry stays the layer's
    as a whole: half of it from here and half from there would not fit. Its top is a namespace package, whose places
    follow `sys.path` only until they are a list.
    """
    if root not in sys.path or not os.path.exists(os.path.join(root, _LAYER_MARK)):  # noqa: PTH110, PTH118 (see above)
        return
    top = sys.modules.get("opentelemetry")
    if top is not None:
        top.__path__ = list(top.__path__)
    sys.path[:] = [*(path for path in sys.path if path != root), root]


def launcher_directory() -> str:
    """The directory that the launcher put first in PYTHONPATH; empty where this was not started by it."""
    launcher = sys.modules.get(_LAUNCHER)
    return os.path.dirname(getattr(launcher, "__file__", None) or "")  # noqa: PTH120 (imports pathlib)


def leave_out_httpx_client() -> None:
    """Let `import httpx` not bring its command-line client along, until somebody calls that.

    `httpx/__init__.py` imports `httpx._main`, and that one rich, click and pygments where they are installed, as rich
    is with this package: about 40 ms of CPU in every process for a program that none of them runs. Checked with httpx
    0.28. Where httpx has been imported already, nothing is changed.
    """
    if "httpx" in sys.modules or _CLIENT in sys.modules:
        return
    stand_in = ModuleType(_CLIENT, "Stands in for the command-line client of httpx until it is called.")

    def main(*args: Any, **kwargs: Any) -> Any:
        from importlib import import_module

        if sys.modules.get(_CLIENT) is stand_in:
            del sys.modules[_CLIENT]
        return import_module(_CLIENT).main(*args, **kwargs)

    stand_in.main = main  # type: ignore[attr-defined]
    sys.modules[_CLIENT] = stand_in
