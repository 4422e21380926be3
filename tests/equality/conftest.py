"""A receiver for what the traced runs deliver, and a redis-server for those that want one."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "docker" / "demo"), str(Path(__file__).parent)]

from harness import System  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--variants", help="compare only these ways of tracing, e.g. 'default,100 %%'; all without it")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.e2e)


@pytest.fixture(scope="session")
def equality_system() -> Iterator[System]:
    with System() as system:
        system.start_receiver()
        system.start_redis()
        yield system
