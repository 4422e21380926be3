"""A fork waits for what another thread imports of this package, whether that takes the lock for it or not."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

# A child of a fork in the middle of an import would wait for the importing thread, which it does not have.
_CODE = """
# What registers something to be done at forks has to be there: a fork that has begun calls half of it otherwise.
import concurrent.futures.thread, importlib.machinery, logging, os, signal, sys, threading, time
from tracebaton_configurator.export import forks
NAME = {name!r}
begun = threading.Event()

class Slow:
    def find_spec(self, name, path=None, target=None):
        if name != NAME:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        execute = spec.loader.exec_module
        def execute_slowly(module):
            if not begun.is_set():
                begun.set()
                time.sleep({seconds})
            execute(module)
        spec.loader.exec_module = execute_slowly
        return spec

sys.meta_path.insert(0, Slow())
if {elsewhere}:
    thread = threading.Thread(target=__import__, args=(NAME,), daemon=True)
    thread.start()
    begun.wait()
else:
    begun.set()
before = time.monotonic()
child = os.fork()
took = time.monotonic() - before
if child == 0:
    signal.alarm({alarm})
    __import__(NAME)
    os._exit(0)
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
print(status, took < 30, flush=True)
os._exit(0)  # whatever still imports
"""


def run(name: str, *, seconds: float = 0.3, alarm: int = 10, elsewhere: bool = True) -> str:
    """How the child ended, and whether the fork did not wait for an import of a minute."""
    code = _CODE.format(name=name, seconds=seconds, alarm=alarm, elsewhere=elsewhere)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr == ""
    return done.stdout.strip()


@pytest.mark.parametrize("name", ["sampling.call_notes", "propagation.bodies", "asgi.websockets"])
def test_a_child_can_import_what_was_being_imported(name: str) -> None:
    assert run(f"tracebaton_configurator.{name}") == "0 True"


@pytest.mark.parametrize("name", ["tracebaton_configurator.sampling.call_notes", "colorsys"])
def test_what_takes_for_ever_and_what_is_the_applications_own_is_as_without_tracing(name: str) -> None:
    assert run(name, seconds=60, alarm=2) == f"{-signal.SIGALRM} True"


def test_a_thread_does_not_wait_for_itself() -> None:
    assert run("tracebaton_configurator.sampling.call_notes", elsewhere=False) == "0 True"
