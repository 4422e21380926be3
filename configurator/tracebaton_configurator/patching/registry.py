"""What became of each patch of the catalogue in this process.

A patch that does not fit declines, and the library stays as it was: what a patch has replaced by `put` before that is
taken back. `OTEL_TRACEBATON_DISABLED_PATCHES` names those that are not applied.
"""

from __future__ import annotations

from contextlib import suppress
from contextvars import ContextVar
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from tracebaton_configurator.patching import on_import
from tracebaton_configurator.patching.catalogue import CATALOGUE

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from types import ModuleType

    from tracebaton_configurator.patching.catalogue import Patch

Status = Literal["waiting", "applied", "declined", "disabled"]


class PatchOutcome(NamedTuple):
    """`reason` says why a patch declined."""

    status: Status
    reason: str = ""


_outcomes: dict[str, PatchOutcome] = {}
_disabled: frozenset[str] = frozenset()
# What takes back, in this order, what the patch that is being applied has done so far.
_undo: ContextVar[list[Callable[[], object]] | None] = ContextVar("tracebaton-undo-patch", default=None)
_MISSING = object()


def on_declined(patch: Patch, reason: str) -> None:
    """Called where a patch does not fit; replaced where somebody can say it."""


def disable(names: Collection[str]) -> None:
    """Have the patches of these names left out from now on."""
    global _disabled  # noqa: PLW0603 (a setting of the process)
    _disabled = frozenset(names)


def apply(name: str, replace: Callable[[], object]) -> bool:
    """Call `replace`, which raises, or returns False, where the library is not as expected; whether it was applied.

    `name` is one of the catalogue's (KeyError).
    """
    patch = CATALOGUE[name]
    if name in _disabled:
        _outcomes[name] = PatchOutcome("disabled")
        return False
    undo: list[Callable[[], object]] = []
    token = _undo.set(undo)
    try:
        fits = replace() is not False
        reason = "" if fits else f"{patch.replaces} is not there"
    except Exception as error:  # noqa: BLE001 (the library stays as it was)
        fits, reason = False, f"{type(error).__name__}: {error}"
    finally:
        _undo.reset(token)
    _outcomes[name] = PatchOutcome("applied" if fits else "declined", reason)
    if not fits:
        for take_back in reversed(undo):
            with suppress(Exception):
                take_back()
        on_declined(patch, reason)
    return fits


def put(owner: Any, name: str, ours: object) -> None:
    """`setattr` on a module or class, taken back if the patch that is being applied declines after all."""
    theirs = vars(owner).get(name, _MISSING)  # as it stands there: no method is bound, and none inherited
    undo_with(lambda: delattr(owner, name) if theirs is _MISSING else setattr(owner, name, theirs))
    setattr(owner, name, ours)


def wrap(module: ModuleType, path: str, wrapper: Callable[..., Any]) -> None:
    """`wrapt.wrap_function_wrapper`, taken back in the same way."""
    from wrapt import FunctionWrapper, resolve_path

    owner, name, theirs = resolve_path(module, path)
    put(owner, name, FunctionWrapper(theirs, wrapper))


def undo_with(take_back: Callable[[], object]) -> None:
    """Have this called if the patch that is being applied declines after all."""
    undo = _undo.get()
    if undo is not None:
        undo.append(take_back)


def apply_on_import(name: str, module: str, replace: Callable[[ModuleType], object]) -> None:
    """`apply` when `module` has been imported; at once where it has been already."""
    on_import.after(module, lambda imported: apply(name, lambda: replace(imported)))


def later(module: str, function: str) -> Callable[..., object]:
    """A function of this package, whose module is imported when it is called: most processes never need it."""

    def call(*args: Any) -> object:
        return getattr(import_module(f"tracebaton_configurator.{module}"), function)(*args)

    return call


def withdraw(name: str, reason: str) -> None:
    """Note that a patch is not in force any more, which is as it should be."""
    if name not in _disabled:
        _outcomes[name] = PatchOutcome("declined", reason)


def outcome(name: str) -> PatchOutcome:
    """What became of the patch of that name; it waits where its library has not been imported."""
    return _outcomes.get(name) or PatchOutcome("disabled" if name in _disabled else "waiting")
