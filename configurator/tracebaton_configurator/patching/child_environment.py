"""The environment of the programs that this process starts: one patch for all who have something to put into it.

`asyncio`, `os.popen` and `subprocess.run` go through `subprocess.Popen`, uvloop does not; nor do `os.system`,
`os.exec...`, `os.posix_spawn` and `multiprocessing`. Checked with CPython 3.10 to 3.14 and uvloop 0.19 to 0.23.
"""

from __future__ import annotations

from functools import update_wrapper
from typing import TYPE_CHECKING, Any

from tracebaton_configurator.patching.frames import hide
from tracebaton_configurator.patching.registry import apply_on_import, put

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

# Position of `env` among the arguments of `Popen`, `self` not counted, for those who count them.
_ENV = 10
_changes: dict[str, Callable[[Any], Any]] = {}


def change(name: str, env: Callable[[Any], Any]) -> Callable[[], None]:
    """Call `env` with what a program would be given as `env`, or None for this process's own; returns what it is given.

    `name` is the patch's. Returns what undoes it.
    """

    def come(subprocess: ModuleType) -> None:
        _replace_init(subprocess.Popen)
        _changes[name] = env

    def undo() -> None:
        _changes.pop(name, None)

    apply_on_import(name, "subprocess", come)
    apply_on_import("uvloop-subprocesses", "uvloop", _replace_in_uvloop)
    return undo


def _changed(env: Any) -> Any:
    for one in _changes.values():
        env = one(env)
    return env


def _replace_init(popen: Any) -> None:
    original = popen.__init__
    if getattr(original, "_tracebaton", False):
        return

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807
        if len(args) > _ENV:
            args = (*args[:_ENV], _changed(args[_ENV]), *args[_ENV + 1 :])
        else:
            env = kwargs.get("env")
            changed = _changed(env)
            if changed is not env:
                kwargs["env"] = changed
        try:
            original(self, *args, **kwargs)
        except BaseException as error:
            hide(error)
            raise

    __init__._tracebaton = True  # type: ignore[attr-defined]  # noqa: SLF001
    popen.__init__ = update_wrapper(__init__, original)


def _replace_in_uvloop(uvloop: ModuleType) -> None:
    for name in ("subprocess_exec", "subprocess_shell"):
        original = getattr(uvloop.Loop, name)
        if name not in vars(uvloop.Loop):
            put(uvloop.Loop, name, update_wrapper(_with_env(original), original))


def _with_env(original: Callable[..., Any]) -> Callable[..., Any]:
    # No coroutine of its own: that of `original` is returned.
    def start(self: Any, *args: Any, **kwargs: Any) -> Any:
        changed = _changed(kwargs.get("env"))
        if changed is not None:
            kwargs["env"] = changed
        return original(self, *args, **kwargs)

    return start
