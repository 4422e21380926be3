"""`OTEL_TRACEBATON_CHILDREN=false`: the programs that an application runs start as they would without the launcher.

The launcher works by PYTHONPATH, so every Python program that the application runs, a tool with telemetry of its own
perhaps, is below it as well. Its workers should be, and are still: `multiprocessing` starts them past what is patched
(see `patching.child_environment`).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from tracebaton_configurator.names import CONFIGURATOR, DISTRO, NAME
from tracebaton_configurator.patching import child_environment

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def leave_children_alone(
    environ: Mapping[str, str], launcher_directory: str, here: str | None = None
) -> Callable[[], None]:
    """Have the commands of this process start so. Returns what undoes it.

    `environ` is this process's own. `launcher_directory` is that of the launcher's `sitecustomize`, and `here` the
    working directory that upstream's launcher put behind it.
    """
    return child_environment.change("children", lambda given: _as_before(given, environ, launcher_directory, here))


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
