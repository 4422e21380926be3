"""The real processes of tests/configurator/live."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

LIVE = Path(__file__).resolve().parents[2] / "configurator" / "live"
_spec = importlib.util.spec_from_file_location("live_conftest", LIVE / "conftest.py")
assert _spec is not None
assert _spec.loader is not None
_live = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_live)

Process, service, start = _live.Process, _live.service, _live.start
running, process, own = _live.running, _live.process, _live.own


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents and not _live.AVAILABLE:
            item.add_marker(pytest.mark.skip(reason="live control works on Linux only"))
