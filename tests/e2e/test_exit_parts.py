"""Another exporter that fails at its end takes nothing with it, and what loses nothing ends as it would without us."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import sysconfig
import time
from typing import TYPE_CHECKING

import pytest
from fault_receiver import FaultyReceiver
from launches import TRACED
from processes import wait_for

if TYPE_CHECKING:
    from pathlib import Path

EXPORTER = """
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
import time
class A(SpanExporter):
    def export(self, spans):
        return SpanExportResult.SUCCESS
    def shutdown(self):
        {}
"""
SPAN = "from opentelemetry import trace; trace.get_tracer('t').start_span('only').end()\n"
ENDS = {
    "by itself": "",
    "by a signal": "import os; os.kill(os.getpid(), 15); import time; [time.sleep(0.1) for _ in range(300)]",
}


def environ(endpoint: str, **more: str) -> dict[str, str]:
    ours = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    ours["PATH"] = f"{sysconfig.get_path('scripts')}:{ours['PATH']}"
    return {
        **ours,
        "OTEL_TRACES_SAMPLER": "always_on",
        "OTEL_BSP_SCHEDULE_DELAY": "60000",
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        "OTEL_TRACEBATON_LOGS": "off",
        **more,
    }


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
@pytest.mark.parametrize("fault", ["raise ValueError('no')", "raise SystemExit(3)", "time.sleep(60)"])
@pytest.mark.parametrize("order", ["a_test,otlp", "otlp,a_test"])
def test_an_exporter_that_fails_at_its_end(tmp_path: Path, order: str, fault: str, end: str) -> None:
    (tmp_path / "a_test_exporter.py").write_text(EXPORTER.format(fault))
    package = tmp_path / "a_test-1.0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: a-test\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text("[opentelemetry_traces_exporter]\na_test = a_test_exporter:A\n")
    with FaultyReceiver() as receiver:
        env = environ(receiver.endpoint, OTEL_TRACES_EXPORTER=order, OTEL_TRACEBATON_SHUTDOWN_TIMEOUT="2s")
        env["PYTHONPATH"] = str(tmp_path)
        begun = time.monotonic()
        done = subprocess.run(
            [*TRACED, sys.executable, "-c", SPAN + end],
            env=env,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert time.monotonic() - begun < 15
        assert done.returncode == (-signal.SIGTERM if end else 0), done.stderr
        assert [span.name for span in receiver.spans()] == ["only"]
    (line,) = [line for line in done.stderr.splitlines() if "The exporter a_test" in line]
    assert ("was abandoned" if "sleep" in fault else "failed to shut down") in line


@pytest.mark.parametrize(
    "before",
    [
        "",
        SPAN + "trace.get_tracer_provider().force_flush()\n",
        "import signal, threading; a = threading.Thread(target=bool); a.start(); a.join()\n"
        "assert signal.getsignal(15) == signal.SIG_DFL == signal.signal(15, signal.SIG_DFL)\n",
    ],
    ids=["at once", "after a span", "after a thread"],
)
def test_a_c_call_that_holds_the_gil(before: str) -> None:
    """With nothing to lose, the process dies of SIGTERM at once; a Python handler would have to wait for it."""
    code = before + "print('ready', flush=True)\nsum(range(4 * 10**9))"
    with FaultyReceiver() as receiver:
        command = [*TRACED, sys.executable, "-c", code]
        with subprocess.Popen(command, env=environ(receiver.endpoint), stdout=subprocess.PIPE) as process:
            assert process.stdout
            assert process.stdout.readline() == b"ready\n"
            begun = time.monotonic()
            process.terminate()
            assert process.wait(60) == -signal.SIGTERM
            assert time.monotonic() - begun < 5
        assert len(receiver.spans()) == before.count(SPAN)


@pytest.mark.parametrize(
    ("before", "status"),
    [("", 0), ("raise SystemExit(3)", 3), ("atexit.register(time.sleep, 60)", -signal.SIGTERM)],
    ids=["at once", "with a status", "it would never end"],
)
def test_a_signal_while_an_end_by_itself_is_flushed(before: str, status: int) -> None:
    """Without the flush, the process would have been gone already: only one that hangs dies of the signal.

    hypercorn's supervisor ends so, when a worker gets SIGTERM from the process group and again from the supervisor.
    """
    first, last = (before, "") if "atexit" in before else ("", before)
    first, last = (before, "") if "atexit" in before else ("", before)
    code = f"import atexit, time\n{first}\n{SPAN}{last}"
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(20)
        env = environ(f"http://127.0.0.1:{silent.getsockname()[1]}", OTEL_TRACEBATON_SHUTDOWN_TIMEOUT="2s")
        with subprocess.Popen([*TRACED, sys.executable, "-c", code], env=env) as process:
            connection, _ = silent.accept()  # by the flush, which waits for an answer now
            with connection:
                process.terminate()
                assert process.wait(20) == status


def test_spans_of_threads_alone(tmp_path: Path) -> None:
    """The main thread only waits; nobody but another thread knows that there is something to lose."""
    code = f"""
import threading, time
def work():
    {SPAN.strip()}
    print("ready", flush=True)
threading.Thread(target=work).start()
threading.Event().wait()
"""
    with FaultyReceiver() as receiver:
        command = [*TRACED, sys.executable, "-c", code]
        with subprocess.Popen(command, env=environ(receiver.endpoint), stdout=subprocess.PIPE) as process:
            assert process.stdout
            assert process.stdout.readline() == b"ready\n"
            # A second one where the first met the main thread on its way into the wait (see `export.sigterm`).
            assert wait_for(lambda: process.terminate() or process.poll() is not None, 20, 0.5)
            assert process.returncode == -signal.SIGTERM
        assert [span.name for span in receiver.spans()] == ["only"]
