"""Callbacks around the import of a module, by a finder that needs nothing but what every Python has loaded.

The finder wraps the loader of a module that somebody waits for: callbacks of `before` run in front of the module's own
code, those of `after` behind it. The module itself ends up with its own loader in `__spec__` and `__loader__`, so that
whoever looks (pkgutil, inspect, importlib.resources) sees what it would see without this.

While OpenTelemetry's own modules are being executed, callbacks of `after` wait: an instrumentation that the application
imports by hand imports its library, and must be complete before it is put to use. What a callback raises stays here and
is given to `on_error`: an import of the application's must not fail for it.
"""

from __future__ import annotations

import sys
from _thread import get_ident

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any

_OPENTELEMETRY = "opentelemetry."

_before: dict[str, list[Callable[[], object]]] = {}
_after: dict[str, list[Callable[[ModuleType], object]]] = {}
# What the loader below is executing.
_wrapped: set[str] = set()
# What the loader below has executed; the import system takes a moment more to call it complete.
_executed: set[str] = set()
# For each thread that is executing OpenTelemetry's modules, how deep they are nested.
_depths: dict[int, int] = {}
# What waits until they are complete, in the order in which it came.
_postponed: list[tuple[Callable[[ModuleType], object], ModuleType]] = []
_whenever_complete: list[Callable[[], object]] = []


def on_error(callback: object, error: Exception) -> None:
    """Called with what a callback has raised; replaced where somebody can say it."""


def before(name: str, callback: Callable[[], object]) -> None:
    """Call it when the module is about to be executed; never where it has been imported already."""
    _install()
    _before.setdefault(name, []).append(callback)


def after(name: str, callback: Callable[[ModuleType], object]) -> None:
    """Call it with the module as soon as it is complete: now, where it has been imported already."""
    module = sys.modules.get(name)
    if module is not None and (name in _executed or not is_being_executed(module)):
        _run_or_postpone([callback], module)
        return
    _install()
    _after.setdefault(name, []).append(callback)
    spec = getattr(module, "__spec__", None)
    if type(spec) is _ModuleSpec and name not in _wrapped:
        spec.__class__ = _SpecUnderWay  # no finder could wrap its loader in time


def when_opentelemetry_is_complete(callback: Callable[[], object]) -> None:
    """Call it once, when an import of one of OpenTelemetry's modules, with all that it imports, is complete."""
    _install()
    _whenever_complete.append(callback)


def is_complete() -> bool:
    """Whether this thread is in the middle of no module of OpenTelemetry's."""
    return get_ident() not in _depths


def is_being_executed(module: ModuleType) -> bool:
    return bool(getattr(getattr(module, "__spec__", None), "_initializing", False))


class Finder:
    """On `sys.meta_path`: `find_spec` is called for every import of the process, and most of them are let through."""

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> Any:
        if name not in _after and name not in _before and not name.startswith(_OPENTELEMETRY):
            return None
        spec = self._found_by_others(name, path, target)
        loader: Any = getattr(spec, "loader", None)
        if spec is not None and hasattr(loader, "exec_module") and hasattr(loader, "create_module"):
            spec.loader = _Loader(loader, name)  # type: ignore[assignment]
        return spec

    def _found_by_others(self, name: str, path: Sequence[str] | None, target: ModuleType | None) -> ModuleSpec | None:
        """What the finders behind this one find, as the import would; those before it have been asked."""
        finders = list(sys.meta_path)
        at = finders.index(self) + 1 if self in finders else 0
        for finder in finders[at:]:
            find_spec = getattr(finder, "find_spec", None)
            spec: ModuleSpec | None = find_spec(name, path, target) if find_spec is not None else None
            if spec is not None:
                return spec
        return None


class _Loader:
    """Stands in for a module's loader until the module is executed."""

    def __init__(self, loader: Any, name: str) -> None:
        self._loader = loader
        self._name = name

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> Any:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        spec: Any = module.__spec__
        if getattr(spec, "loader", None) is self:
            spec.loader = self._loader
        if getattr(module, "__loader__", None) is self:
            module.__loader__ = self._loader
        for callback in _before.pop(self._name, ()):
            _guarded(callback)
        _wrapped.add(self._name)
        try:
            if self._name.startswith(_OPENTELEMETRY):
                self._execute_opentelemetry(module)
            else:
                self._loader.exec_module(module)
        finally:
            _wrapped.discard(self._name)
        _note_executed(self._name, module)

    def _execute_opentelemetry(self, module: ModuleType) -> None:
        thread = get_ident()
        _depths[thread] = _depths.get(thread, 0) + 1
        try:
            self._loader.exec_module(module)
        finally:
            _depths[thread] -= 1
            if not _depths[thread]:
                del _depths[thread]
        if thread not in _depths:
            _complete()


FINDER = Finder()
_ModuleSpec: Any = type(sys.__spec__)


class _SpecUnderWay(_ModuleSpec):  # type: ignore[misc]
    """The spec of a module that is being executed, where importlib notes the end of that.

    Checked with CPython 3.10 to 3.14 (Lib/importlib/_bootstrap.py, `_load_unlocked`).
    """

    @property
    def _initializing(self) -> bool:
        return bool(self.__dict__["_initializing"])

    @_initializing.setter
    def _initializing(self, value: bool) -> None:
        self.__dict__["_initializing"] = value
        if value:
            return
        self.__class__ = _ModuleSpec
        module = sys.modules.get(self.name)
        if module is not None:  # else it has failed, and may be tried again
            _note_executed(self.name, module)


def _note_executed(name: str, module: ModuleType) -> None:
    _executed.add(name)
    # One of them may be the first of all, and bring along others that wait for this very module.
    while name in _after:
        _run_or_postpone(_after.pop(name), module)


def _install() -> None:
    """In front, and there once."""
    if FINDER not in sys.meta_path:
        sys.meta_path.insert(0, FINDER)


def _complete() -> None:
    while _whenever_complete:
        _guarded(_whenever_complete.pop(0))
    while _postponed:
        callback, module = _postponed.pop(0)
        _guarded(callback, module)


def _run_or_postpone(callbacks: Sequence[Callable[[ModuleType], object]], module: ModuleType) -> None:
    for callback in callbacks:
        if is_complete():
            _guarded(callback, module)
        else:
            _postponed.append((callback, module))


def _guarded(callback: Callable[..., object], *args: object) -> None:
    try:
        callback(*args)
    except Exception as error:  # noqa: BLE001 (see the module's docstring)
        on_error(callback, error)
