"""One patch for what is put into a child's environment, which nobody notices."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import traceback
from typing import TYPE_CHECKING, Any

import pytest
import uvloop

from tracebaton_configurator.patching import child_environment, registry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SHOW = [sys.executable, "-c", "import os; print(os.environ.get('WORD'), os.environ.get('OWN'))"]


def with_word(given: Any) -> Any:
    return {**(os.environ if given is None else given), "WORD": "said"}


@pytest.fixture
def undo() -> Iterator[Callable[[], None]]:
    undo = child_environment.change("subprocesses", with_word)
    yield undo
    undo()


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
@pytest.mark.parametrize(("env", "own"), [(None, "None"), ({"OWN": "kept"}, "kept")])
@pytest.mark.usefixtures("undo")
def test_every_way(loop: Any, env: Any, own: str) -> None:
    async def run() -> list[bytes]:
        found = [await asyncio.to_thread(subprocess.check_output, SHOW, env=env)]
        for start in (asyncio.create_subprocess_exec, asyncio.create_subprocess_shell):
            words: Any = SHOW if start is asyncio.create_subprocess_exec else [subprocess.list2cmdline(SHOW)]
            process = await start(*words, stdout=subprocess.PIPE, env=env)
            found.append((await process.communicate())[0])
        return found

    running = loop()
    try:
        assert running.run_until_complete(run()) == [f"said {own}\n".encode()] * 3
    finally:
        running.close()
    assert env in (None, {"OWN": "kept"})


def test_undone(undo: Callable[[], None]) -> None:
    undo()
    assert subprocess.check_output(SHOW) == b"None None\n"


@pytest.mark.usefixtures("undo")
def test_a_second_one_does_not_stack() -> None:
    before = subprocess.Popen.__init__
    child_environment.change("children", with_word)()
    assert subprocess.Popen.__init__ is before


@pytest.mark.skipif(sys.version_info < (3, 11), reason="`raise` has noted the frame by then")
@pytest.mark.usefixtures("undo")
def test_a_traceback_is_as_without() -> None:
    with pytest.raises(FileNotFoundError) as raised:
        subprocess.Popen(["/no/such/program"])
    files = [frame.filename for frame in traceback.extract_tb(raised.value.__traceback__)]
    assert set(files) == {__file__, subprocess.__file__}


@pytest.mark.usefixtures("undo")
def test_the_quick_ways_to_start_a_program_are_still_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an `env`, subprocess would take posix_spawn or vfork here, and with one, too."""
    taken: list[str] = []

    def spawn(path: str, arguments: Any, env: Any, **how: Any) -> int:
        taken.append(env["WORD"])
        return os_spawn(path, arguments, env, **how)

    os_spawn = os.posix_spawn
    monkeypatch.setattr(os, "posix_spawn", spawn)
    assert subprocess.check_output(SHOW, close_fds=False) == b"said None\n"
    assert taken == ["said"]

    if sys.version_info < (3, 11):
        return  # where `fork_exec` is not asked for one or the other

    def fork_exec(*arguments: Any) -> int:
        taken.append("vfork" if arguments[-1] is True else "fork")
        return original(*arguments)

    original = vars(subprocess)["_fork_exec"]
    monkeypatch.setattr(subprocess, "_fork_exec", fork_exec)
    assert subprocess.check_output(SHOW) == b"said None\n"
    assert taken == ["said", "vfork"]


def test_a_patch_that_is_disabled_changes_nothing() -> None:
    registry.disable(["subprocesses"])
    try:
        undo = child_environment.change("subprocesses", with_word)
        assert subprocess.check_output(SHOW) == b"None None\n"
        undo()
    finally:
        registry.disable([])
