"""What has to be so before any test module is imported."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# No test depends on how fast the machine is: an example may take as long as it takes.
settings.register_profile("any-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any-machine")

# Tests that serve gRPC themselves start programs, too, by fork and exec. What gRPC does in the child in between, which
# it decides when it is imported, now and then ends it ("epoll_wait error: Bad file descriptor", status -6).
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"

# Thousands of programs import the same files: they compile them once, whatever the shell has set for its own programs.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# What starts the tests in the background may ignore these, and programs would inherit that: a signal that they are
# tested with would do nothing.
for _number, _default in (
    (signal.SIGINT, signal.default_int_handler),
    (signal.SIGHUP, signal.SIG_DFL),
    (signal.SIGQUIT, signal.SIG_DFL),
):
    if signal.getsignal(_number) == signal.SIG_IGN:
        signal.signal(_number, _default)

# Of tests without a process, the files that take longest, waiting for receivers or taking in anything at all.
SLOW = (
    *("test_bad_batch.py", "test_doctor_receiver.py", "test_ends.py", "test_ids_model.py", "test_rule_set.py"),
    *("test_spool_model.py", "test_view_hostile.py", "test_view_http_receiver.py"),
)
# Two processes share the tests file by file, those of equality one by one. A third one saves a tenth of the time, and
# keeps two cores so busy that tests of outages and forks meet bounds of theirs. What builds images and starts
# containers stays in one of them, and the longest come first, so that both end at about the same time.
_FIRST = ("docker", "e2e", "duty", "matrix", "equality")
_STARTS_A_PROCESS = frozenset(("subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.system"))


class Listening:
    """The receiver of `tracebaton view` in this process, on a loop of its own, and where its spans come out."""

    def __init__(self, **limits: Any) -> None:
        from tracebaton.view.connections import Limits
        from tracebaton.view.intake import Intake
        from tracebaton.view.receiver import Receiver

        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._intake = Intake(slots=100)
        self._receiver = Receiver(self._intake, Limits(**limits))
        self._run(self._receiver.start("127.0.0.1", 0, 0))
        self.grpc, self.http = (url.rpartition("/")[2] for url in self._receiver.urls)

    def spans(self, seconds: float = 0) -> list[Any]:
        return self._run(self._intake.get(seconds or 0.001)) or []

    def names(self) -> list[str]:
        """Those of all spans that have come by now."""
        names = []
        while spans := self.spans():
            names += [span.name for span in spans]
        return names

    def stop(self) -> None:
        self._intake.close()
        self._run(self._receiver.stop(0))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(30)


@pytest.fixture(scope="session")
def listen() -> Callable[..., AbstractContextManager[Listening]]:
    """Serves on free ports within a `with` block."""

    @contextmanager
    def listening(**limits: Any) -> Iterator[Listening]:
        made = Listening(**limits)
        try:
            yield made
        finally:
            made.stop()

    return listening


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fast", action="store_true", help="skip what starts a process, and the slow files")


def pytest_collection(session: pytest.Session) -> None:
    # Whoever shares the tests among other processes starts those.
    config = session.config
    shares = not hasattr(config, "workerinput") and getattr(config.option, "numprocesses", None)
    if config.getoption("--fast") and not shares:
        sys.addaudithook(_skip_processes)


def pytest_ignore_collect(collection_path: Any, config: pytest.Config) -> bool | None:
    return True if config.getoption("--fast") and collection_path.name in SLOW else None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not getattr(config.option, "loadgroup", False):
        return
    here = Path(__file__).parent
    places = {item: item.path.relative_to(here).parts for item in items}
    for item, (directory, *_) in places.items():
        if directory != "equality":
            item.add_marker(
                pytest.mark.xdist_group("docker" if _is_beside_none(places[item]) else "/".join(places[item]))
            )
    items.sort(key=lambda item: _FIRST.index(place) if (place := places[item][0]) in _FIRST else len(_FIRST))


def _is_beside_none(place: tuple[str, ...]) -> bool:
    """What starts containers, and a browser, which gives up what it loads when a network interface comes or goes."""
    return place[0] == "docker" or place[:2] == ("entrypoint", "page")


def _skip_processes(event: str, _: Any) -> None:
    if event in _STARTS_A_PROCESS:
        pytest.skip(f"starts a process ({event})", allow_module_level=True)
