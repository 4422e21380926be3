"""Which parts of other libraries are replaced, and in which versions that was checked."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from tracebaton.doctor.finding import Finding, ok
from tracebaton_configurator.patching.catalogue import CATALOGUE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tracebaton.doctor.situation import Situation
    from tracebaton_configurator.patching.catalogue import Patch

__all__ = ["check"]

_CHILDREN = "children"


def check(situation: Situation) -> Iterator[Finding]:
    settings = situation.settings
    if settings.disabled:
        yield ok("none is applied, as OTEL_SDK_DISABLED=true")
        return
    waiting: list[str] = []
    absent: list[str] = []
    disabled: list[str] = []
    for patch in CATALOGUE.values():
        found = _installed(patch)
        if patch.name in settings.disabled_patches:
            disabled.append(patch.name)
        elif found is None or (patch.name == _CHILDREN and settings.children != "false"):
            absent.append(patch.name)
        else:
            waiting.append(f"{patch.name} ({patch.library.partition(',')[0]} {found}, checked with {patch.versions})")
    yield ok(
        f"applied when their library is imported, where it is as expected: {', '.join(waiting)}",
        "`tracebaton status --json` shows what became of each in a running process",
    )
    if absent:
        yield ok(f"not needed here: {', '.join(absent)}")
    if disabled:
        yield ok(f"not applied, as OTEL_TRACEBATON_DISABLED_PATCHES says: {', '.join(disabled)}")


def _installed(patch: Patch) -> str | None:
    """The library's version; None where it is not installed."""
    import platform

    if patch.library == "CPython":
        return platform.python_version()
    try:
        return version(patch.library.partition(",")[0])
    except PackageNotFoundError:
        return None
