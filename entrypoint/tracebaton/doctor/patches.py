"""Which parts of other libraries are replaced, and in which versions that was checked."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING

from tracebaton.doctor.finding import Finding, installed, ok
from tracebaton_configurator.patching.catalogue import CATALOGUE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tracebaton.doctor.situation import Situation


def check(situation: Situation) -> Iterator[Finding]:
    here = situation.settings
    if here.disabled:
        yield ok("none is applied, as OTEL_SDK_DISABLED=true")
        return
    waiting: list[str] = []
    absent: list[str] = []
    for patch in CATALOGUE.values():
        library = patch.library.partition(",")[0]
        found = platform.python_version() if library == "CPython" else installed(library)
        if patch.name in here.disabled_patches:
            continue
        if found is None or (patch.name == "children" and here.children != "false"):
            absent.append(patch.name)
        else:
            waiting.append(f"{patch.name} ({library} {found}, checked with {patch.versions})")
    yield ok(
        f"applied when their library is imported, where it is as expected: {', '.join(waiting)}",
        "`tracebaton status --json` shows what became of each in a running process",
    )
    if absent:
        yield ok(f"not needed here: {', '.join(absent)}")
    if here.disabled_patches:
        left_out = ", ".join(name for name in CATALOGUE if name in here.disabled_patches)
        yield ok(f"not applied, as OTEL_TRACEBATON_DISABLED_PATCHES says: {left_out}")
