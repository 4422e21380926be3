"""Starts under a CPU limit, and what they cost."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

ROOT = Path(__file__).resolve().parents[2]
places = ("docker/demo", "tests/duty", "tests/equality", "tests/matrix")
sys.path[:0] = [str(ROOT / place) for place in places]

from harness import System  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.e2e)


@pytest.fixture
def receiving() -> Iterator[System]:
    with System() as system:
        system.start_receiver()
        yield system
