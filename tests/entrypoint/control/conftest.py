"""The real processes of tests/configurator/live."""

from __future__ import annotations

import importlib.util
import os
import re
from pathlib import Path
from typing import Any

import pytest

from tracebaton_configurator.live import address

LIVE = Path(__file__).resolve().parents[2] / "configurator" / "live"
_spec = importlib.util.spec_from_file_location("live_conftest", LIVE / "conftest.py")
assert _spec is not None
assert _spec.loader is not None
_live = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_live)

Process, service, start = _live.Process, _live.service, _live.start
running, process, own = _live.running, _live.process, _live.own


class _WithoutOtherTests:
    """What listens here, without processes that tests beside these have started: one of them may be about to end."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __str__(self) -> str:
        return str(self._path)

    def read_text(self, **options: Any) -> str:
        lines = self._path.read_text(**options).splitlines()
        return "\n".join(line for line in lines if not _is_of_another_test(line))

    def open(self) -> Any:
        return self._path.open()


def _is_of_another_test(line: str) -> bool:
    found = re.search(address._LISTED, line)
    if found is None:
        return False
    at = int(found[2])
    while at > 1:
        if at == os.getpid():
            return False
        try:
            at = int(Path(f"/proc/{at}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            return True
    return True


@pytest.fixture(autouse=True)
def _own_processes_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(address, "_LIST", _WithoutOtherTests(address._LIST))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents and not _live.AVAILABLE:
            item.add_marker(pytest.mark.skip(reason="live control works on Linux only"))
