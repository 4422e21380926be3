"""What stands on `sys.path` and in `sys.modules` because of a launcher, and what an application finds there instead."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_CLIENT = "httpx._main"
_LAUNCHER = "opentelemetry.instrumentation.auto_instrumentation"
# docker/autoinstrumentation/Dockerfile puts it beside the packages.
_LAYER_MARK = ".tracebaton-layer"


def leave_launcher_directory() -> None:
    """Take the directory of upstream's `sitecustomize` off `sys.path`; child processes find it by PYTHONPATH.

    It has served its purpose, and every import that fails searches it: httpx tries one or two in each request. Then run
    the `sitecustomize` that it has hidden, the user's own or the system's.
    """
    directory = launcher_directory()
    if not directory:
        return
    sys.path[:] = [path for path in sys.path if path != directory]
    put_layer_behind(os.path.normpath(os.path.join(directory, *[os.pardir] * 3)))  # noqa: PTH118 (imports pathlib)
    _run_hidden_sitecustomize(directory)


def launcher_directory() -> str:
    """The directory that the launcher put first in PYTHONPATH; empty where this was not started by it."""
    launcher = sys.modules.get(_LAUNCHER)
    return os.path.dirname(getattr(launcher, "__file__", None) or "")  # noqa: PTH120 (imports pathlib)


def put_layer_behind(root: str) -> None:
    """Let the application's own packages win over those of the same name in a layer on PYTHONPATH.

    Such a layer stands before site-packages, so an application would get h11, requests or protobuf in versions that it
    never chose (opentelemetry-operator issue 1885). What is loaded by now stays, and OpenTelemetry stays the layer's
    as a whole: half of it from here and half from there would not fit. Its top is a namespace package, whose places
    follow `sys.path` only until they are a list.
    """
    if root not in sys.path or not os.path.exists(os.path.join(root, _LAYER_MARK)):  # noqa: PTH110, PTH118
        return
    import opentelemetry

    opentelemetry.__path__ = list(opentelemetry.__path__)
    sys.path[:] = [*(path for path in sys.path if path != root), root]


def leave_out_httpx_client_on_import() -> None:
    from tracebaton_configurator.patching import on_import

    on_import.before("httpx", leave_out_httpx_client)


def leave_out_httpx_client() -> None:
    from tracebaton_configurator.patching import registry

    registry.apply("httpx-client", _leave_out_httpx_client)


def _leave_out_httpx_client() -> None:
    """Let `import httpx` not bring its command-line client along, until somebody calls that.

    `httpx/__init__.py` imports `httpx._main`, and that one rich, click and pygments where they are installed, as they
    are with `tracebaton[view]`: about 40 ms of CPU in every process for a program that none of them runs. Checked with
    httpx 0.28. Where httpx has been imported already, nothing is changed.
    """
    if _CLIENT in sys.modules:
        return
    from importlib import import_module

    stand_in = type(sys)(_CLIENT, "Stands in for the command-line client of httpx until it is called.")

    def main(*args: Any, **kwargs: Any) -> Any:
        if sys.modules.get(_CLIENT) is stand_in:
            del sys.modules[_CLIENT]
        return import_module(_CLIENT).main(*args, **kwargs)

    stand_in.main = main  # type: ignore[attr-defined]
    sys.modules[_CLIENT] = stand_in


def _run_hidden_sitecustomize(directory: str) -> None:
    """Only while upstream's is being imported: `site` has then not gone on to the application yet."""
    running = sys.modules.get("sitecustomize")
    place = os.path.dirname(os.path.abspath(getattr(running, "__file__", None) or ""))  # noqa: PTH100, PTH120
    if running is None or place != directory:
        return
    del sys.modules["sitecustomize"]
    try:
        import sitecustomize  # noqa: F401
    except ImportError as error:
        if error.name != "sitecustomize":
            _show(error)
    except Exception as error:  # noqa: BLE001 (as `site` does: the interpreter starts all the same)
        _show(error)
    finally:
        sys.modules.setdefault("sitecustomize", running)


def _show(error: Exception) -> None:
    """In the words of `site.execsitecustomize`."""
    sys.stderr.write(f"Error in sitecustomize; set PYTHONVERBOSE for traceback:\n{type(error).__name__}: {error}\n")
