"""`OTEL_TRACEBATON_CHILDREN=false`: the programs that an application runs start as they would without the launcher.

The launcher works by PYTHONPATH, so every Python program that the application runs, a tool with telemetry of its own
perhaps, is instrumented as well. Its workers should be, and are still: `multiprocessing` starts them past
`subprocess.Popen`, which is the one place that this patches (checked with CPython 3.10 to 3.13; `asyncio` and
`subprocess.run` go through it, `os.system`, `os.exec...` and `os.posix_spawn` do not).
"""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING, Any

from tracebaton_configurator import settings
from tracebaton_configurator.choice import CONFIGURATOR, DISTRO, NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

# Position of `env` among the arguments of `Popen`, for those who count them.
_ENV = 10


def leave_children_alone(launcher_directory: str, here: str, private: Collection[str]) -> Callable[[], None]:
    """Patch `Popen` for commands of this process. Returns what undoes it.

    `launcher_directory` is that of upstream's `sitecustomize`, `here` the working directory that the launcher put
    behind it, and `private` the variables by which workers are told what their parent found out or said.
    """
    original = subprocess.Popen.__init__

    def start(self: Any, *args: Any, **kwargs: Any) -> None:
        if len(args) > _ENV:
            given = args[_ENV]
            args = (*args[:_ENV], _as_before(given, launcher_directory, here, private), *args[_ENV + 1 :])
        else:
            kwargs["env"] = _as_before(kwargs.get("env"), launcher_directory, here, private)
        original(self, *args, **kwargs)

    subprocess.Popen.__init__ = start  # type: ignore[method-assign]

    def undo() -> None:
        subprocess.Popen.__init__ = original  # type: ignore[method-assign]

    return undo


def _as_before(given: Any, launcher_directory: str, here: str, private: Collection[str]) -> Any:
    """`given`, or this process's environment, less what the launcher has put there; something unforeseen stays."""
    try:
        environ: Mapping[str, str] = settings.environment() if given is None else given
        found = environ.get("PYTHONPATH", "")
        paths = found.split(os.pathsep)
        if launcher_directory not in paths:
            return given  # made from scratch: nothing of the launcher's is in there
        cleaned = {name: value for name, value in environ.items() if name not in private}
        at = paths.index(launcher_directory)
        # The launcher puts both in front, each where it is not there already.
        del paths[at : at + 2 if paths[at + 1 : at + 2] == [here] else at + 1]
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
