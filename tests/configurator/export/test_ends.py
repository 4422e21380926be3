"""Every part is ended, whatever another one does; one line says which failed, and none holds up the end."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

ENDS = {
    "by itself": "",
    "by a signal": "end_by(signal.SIGTERM)",
    "at once": "os._exit(0)",
}
PRELUDE = """
import os, signal, sys, time, threading
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from tracebaton_configurator.export import exits
from tracebaton_configurator.export.ends import Part, SpanProcessors
from tracebaton_configurator.export.sigterm import sigterm
sigterm.hold_for_good()
def say(line):
    os.write(1, line.encode() + b"\\n")
def fail(error):
    raise error
def end_by(number):
    os.kill(os.getpid(), number)
    # Up to CPython 3.12, it may be noticed one step later only (see `sigterm`).
    for _ in range(300):
        time.sleep(0.1)
def begin(*parts):
    exits.flush_at_exit(lambda: list(parts), 1.0)
"""


def run(code: str, end: str) -> tuple[list[str], str, float]:
    """Lines of standard output, in no order, standard error, and seconds."""
    begun = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", PRELUDE + code + end], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode in (0, -15), done.stderr
    return sorted(done.stdout.split()), done.stderr, time.monotonic() - begun


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
class TestParts:
    @pytest.mark.parametrize("error", ["ValueError", "SystemExit", "KeyboardInterrupt", "GeneratorExit"])
    @pytest.mark.parametrize("bounded", [True, False])
    def test_one_that_raises_is_one_line(self, end: str, error: str, bounded: bool) -> None:  # noqa: FBT001
        code = f"""
begin(Part("A", lambda: fail({error}("no")), bounded={bounded}), Part("B", lambda: say("b")),
      Part("C", lambda: say("c"), bounded=True))
"""
        out, errors, _ = run(code, end)
        assert out == ["b", "c"]
        assert (
            errors == f"ERROR: tracebaton: A failed to shut down, and what it had not sent may be lost: {error}: no\n"
        )

    def test_one_that_hangs_is_left_behind(self, end: str) -> None:
        code = """
begin(Part("A", lambda: time.sleep(60)), Part("B", lambda: say("b")), Part("C", lambda: say("c"), bounded=True))
"""
        out, errors, seconds = run(code, end)
        assert out == ["b", "c"]
        assert seconds < 10
        assert errors == "ERROR: tracebaton: A did not shut down within 1.0 s and was abandoned.\n"

    def test_own_deliveries_come_first(self, end: str) -> None:
        code = """
begin(Part("A", lambda: time.sleep(0.3) or say("other")), Part("B", lambda: say("own"), bounded=True))
"""
        assert run(code, end)[0] == ["other", "own"]

    def test_what_is_not_needed_is_left_alone(self, end: str) -> None:
        code = 'begin(Part("A", lambda: say("a"), needed=lambda: False))\n'
        assert run(code, end)[0] == []

    def test_of_a_forked_child_too(self, end: str) -> None:
        code = """
begin(Part("A", lambda: time.sleep(60)), Part("B", lambda: say("b")), Part("C", lambda: fail(SystemExit())))
if child := os.fork():
    begun = time.monotonic()
    os.waitpid(child, 0)
    assert time.monotonic() - begun < 10
"""
        assert run(code, end)[0] == ["b", "b"]


def test_the_application_may_end_its_provider_by_itself() -> None:
    code = """
class Failing(SpanProcessor):
    def shutdown(self):
        raise SystemExit("no")
class Saying(SpanProcessor):
    def shutdown(self):
        say("ended")
processors = SpanProcessors()
provider = TracerProvider(active_span_processor=processors, shutdown_on_exit=False)
provider.add_span_processor(Failing())
provider.add_span_processor(Saying())
provider.shutdown()
"""
    out, errors, _ = run(code, "")
    assert out == ["ended"]
    assert "The span processor Failing failed to shut down" in errors


class TestLines:
    """What is said at the end waits for nobody whom the signal has interrupted."""

    @pytest.mark.parametrize(
        "held",
        [
            "logging._lock if hasattr(logging, '_lock') else threading.Lock()",
            "logging.getLogger().handlers[0].lock",
            "threading._active_limbo_lock",
        ],
    )
    def test_locks_of_logging_and_threading(self, held: str) -> None:
        code = f"""
import logging
logging.basicConfig()
logging.getLogger("tracebaton").addHandler(logging.getLogger().handlers[0])
begin(Part("A", lambda: fail(ValueError("no")), bounded=True))
with {held}:
    end_by(signal.SIGTERM)
"""
        _, errors, seconds = run(code, "")
        assert "tracebaton" in errors
        assert "ValueError: no" in errors
        assert seconds < 5

    def test_a_stream_that_is_being_written_to(self) -> None:
        """The main thread is interrupted within its write to a pipe that is full, and holds the stream's lock."""
        code = """
reading, writing = os.pipe()
out = os.dup(2)
os.dup2(writing, 2)
begin(Part("A", lambda: (os.dup2(out, 2), fail(ValueError("no"))), bounded=True))
threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGTERM)).start()
while True:
    sys.stderr.write("x" * 100_000 + "\\n")
"""
        _, errors, seconds = run(code, "")
        assert "ValueError: no" in errors
        assert seconds < 5

    def test_a_pipe_that_nobody_reads(self) -> None:
        code = """
reading, writing = os.pipe()
os.set_blocking(writing, False)
try:
    while True:
        os.write(writing, b"x" * 4096)
except BlockingIOError:
    os.set_blocking(writing, True)
os.dup2(writing, 2)
begin(Part("A", lambda: fail(ValueError("no")), bounded=True), Part("B", lambda: say("b"), bounded=True))
"""
        for end in ENDS.values():
            out, _, seconds = run(code, end)
            assert out == ["b"]
            assert seconds < 6
