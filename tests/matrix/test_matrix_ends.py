"""The two ends of the version matrix; `make matrix` runs all of it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from cells import ENDS, Cell
from run_matrix import check


@pytest.mark.e2e
@pytest.mark.parametrize("cell", ENDS, ids=lambda cell: cell.name)
def test_everything_holds(cell: Cell) -> None:
    assert check(cell) == ""
