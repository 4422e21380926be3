"""The promise: with tracing a process answers, starts, ends and prints as it does without.

Every application of `apps/` runs plain and in the ways of tracing it that equality_variants.py chooses.
equality_apps.py says how to add one, and equality_differences.py what may differ.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest
from equality_apps import App, all_apps
from equality_together import compared
from equality_variants import TRACED, variants_of

if TYPE_CHECKING:
    from harness import System


@pytest.mark.parametrize("app", all_apps(), ids=lambda app: app.name)
def test_everything_is_as_without_tracing(app: App, equality_system: System, request: pytest.FixtureRequest) -> None:
    for need in app.needs:
        kind, _, name = need.partition(":")
        if kind == "package" and find_spec(name) is None:
            pytest.skip(f"NOT COMPARED: {name} is not installed")
    wanted = request.config.getoption("--variants", default=None)
    names = {one.name for one in TRACED}
    chosen = set(wanted.split(",")) if wanted else names
    assert chosen <= names, f"no variant is called {wanted!r}"
    variants = [one for one in variants_of(app) if one.name in chosen]
    if not variants:
        pytest.skip(f"it is not compared in {wanted!r}")
    found = compared(app, equality_system, variants)
    assert not found, "\n".join(["", *found])
