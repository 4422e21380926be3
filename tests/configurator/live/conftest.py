"""Real processes that can be controlled, each a service that no other has: one for a module, and one for a test."""

from __future__ import annotations

import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from live_processes import Process  # noqa: E402

from tracebaton_configurator.live.address import AVAILABLE  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents and item.path.stem != "test_live_control" and not AVAILABLE:
            item.add_marker(pytest.mark.skip(reason="live control works on Linux only"))


@pytest.fixture
def service() -> str:
    return f"live-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def start(service: str) -> Iterator[Callable[..., Process]]:
    """Starts a process, of the test's own service unless told otherwise."""
    started: list[Process] = []

    def start_one(named: str = service, *wrapper: str, ready: bool = True) -> Process:
        started.append(Process(named, *wrapper))
        if ready:
            started[-1].wait_until_ready()
        return started[-1]

    yield start_one
    for process in started:
        process.end()


@pytest.fixture(scope="module")
def running() -> Iterator[Process]:
    """What the tests of a module share."""
    process = Process(f"live-{uuid.uuid4().hex[:12]}")
    process.wait_until_ready()
    yield process
    process.end()


@pytest.fixture
def process(running: Process) -> Process:
    """That one, with nothing left of what another test told it."""
    running.ask("on")
    said = running.ask("reset")
    assert (said["on"], said["sampler_set_by"]) == (True, "environment")
    return running


@pytest.fixture
def own(start: Callable[..., Process]) -> Process:
    """A process that this test may leave in any state."""
    return start()
