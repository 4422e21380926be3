"""`OTEL_TRACEBATON_CHILDREN=false`: the programs that an application runs start as they would without the launcher.

The launcher works by PYTHONPATH, so every Python program that the application runs, a tool with telemetry of its own
perhaps, is below it as well. Its workers should be, and are still: `multiprocessing` starts them past
`subprocess.Popen`, which is the one place that this patches (checked with CPython 3.10 to 3.14; `asyncio` and
`subprocess.run` go through it, `os.system`, `os.exec...` and `os.posix_spawn` do not).
"""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING, Any

from tracebaton_configurator.names import CONFIGURATOR, DISTRO, NAME
from tracebaton_configurator.patching.registry import apply

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# Position of `env` among the arguments of `Popen`, for those who count them.
_ENV = 10


def leave_children_alone(
    environ: Mapping[str, str], launcher_directory: str, here: str | None = None
) -> Callable[[], None]:
    """Patch `Popen` for commands of this process. Returns what undoes it.

    `environ` is this process's own. `launcher_directory` is that of the launcher's `sitecustomize`, and `here` the
    working directory that upstream's launcher put behind it.
    """
    original = subprocess.Popen.__init__

    def start(self: Any, *args: Any, **kwargs: Any) -> None:
        if len(args) > _ENV:
            given = args[_ENV]
            args = (*args[:_ENV], _as_before(given, environ, launcher_directory, here), *args[_ENV + 1 :])
        else:
            kwargs["env"] = _as_before(kwargs.get("env"), environ, launcher_directory, here)
        original(self, *args, **kwargs)

    def undo() -> None:
        subprocess.Popen.__init__ = original  # type: ignore[method-assign]

    def patch() -> None:
        subprocess.Popen.__init__ = start  # type: ignore[method-assign]

    apply("children", patch)
    return undo


def _as_before(given: Any, environ: Mapping[str, str], launcher_directory: str, here: str | None) -> Any:
    """`given`, or this process's environment, less what the launcher has put there; something unforeseen stays."""
    try:
        found: Mapping[str, str] = environ if given is None else given
        paths = found.get("PYTHONPATH", "").split(os.pathsep)
        if launcher_directory not in paths:
            return given  # made from scratch: nothing of the launcher's is in there
        cleaned = {name: value for name, value in found.items() if not name.startswith("_OTEL_TRACEBATON_")}
        at = paths.index(launcher_directory)
        # Upstream's launcher puts both in front, each where it is not there already.
        del paths[at : at + 2 if here is not None and paths[at + 1 : at + 2] == [here] else at + 1]
        if paths:
            cleaned["PYTHONPATH"] = os.pathsep.join(paths)
        else:
            del cleaned["PYTHONPATH"]
        for name in (DISTRO, CONFIGURATOR):
            if cleaned.get(name) == NAME:
                del cleaned[name]
    except Exception:  # noqa: BLE001 (an environment of another type is for `Popen` to judge)
        return given
    return cleaned
