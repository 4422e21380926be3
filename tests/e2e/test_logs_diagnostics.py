"""Logging where logging is hard: in signal handlers, at the end of the interpreter, in forked children.

Each script ends itself with a traceback of all threads, and a status other than 0, when it hangs.
"""

from __future__ import annotations

import json
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

import pytest
from harness import child_environ

COMMAND = str(Path(sysconfig.get_path("scripts"), "tracebaton"))
HEAD = """
import atexit, faulthandler, logging, os, signal, sys, threading
faulthandler.dump_traceback_later(20, exit=True)
from opentelemetry import trace
logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(levelname)s %(message)s")
log = logging.getLogger("app")
tracer = trace.get_tracer("test")
"""


def start(script: str, mode: str = "json") -> subprocess.CompletedProcess[str]:
    environ = child_environ({"OTEL_TRACES_EXPORTER": "none", "OTEL_TRACEBATON_LOGS": mode})
    command = [COMMAND, "run", "python", "-c", HEAD + script]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "Logging error" not in done.stderr
    assert "Traceback" not in done.stderr
    return done


def lines_of(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    """The lines of standard output as objects; fails where one is none."""
    return [json.loads(line) for line in done.stdout.split("\n")[:-1]]


SIGNALS = """
class Slow:
    # Takes its time within `format`, so that signals arrive there.
    def __str__(self):
        for _ in range(300):
            pass
        return "slow"

caught = 0
def handler(*_):
    global caught
    caught += 1
    log.info("signal %d %s", caught, Slow(), extra={"n": caught})

signal.signal(signal.SIGALRM, handler)
signal.signal(signal.SIGUSR1, handler)
signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
for number in range(2000):
    with tracer.start_as_current_span("work"):
        log.info("main %d %s", number, Slow(), extra={"nested": {"n": [number]}})
    if number % 10 == 0:
        os.kill(os.getpid(), signal.SIGUSR1)
signal.setitimer(signal.ITIMER_REAL, 0)
log.info("caught %d", caught)
"""


@pytest.mark.parametrize("mode", ["json", "inject"])
def test_a_signal_handler_logs_while_the_main_thread_does(mode: str) -> None:
    done = start(SIGNALS, mode)
    words = done.stdout.split("\n")[:-1]
    if mode == "json":
        words = [f"INFO {line['message']}" for line in lines_of(done)]
    caught = int(words[-1].rpartition(" ")[2])
    assert caught >= 200
    signals = [line.split()[2] for line in words if line.startswith("INFO signal")]
    assert sorted(map(int, signals)) == list(range(1, caught + 1))
    assert sum(line.startswith("INFO main") for line in words) == 2000
    assert len(words) == 2000 + caught + 1


SHUTDOWN = """
class Last:
    def __del__(self):
        log.info("deleted", extra={"value": object()})

last = Last()
last.self = last
atexit.register(log.info, "at exit")
log.info("end of main")
"""


def test_lines_at_the_end_of_the_interpreter() -> None:
    assert [line["message"] for line in lines_of(start(SHUTDOWN))] == ["end of main", "at exit", "deleted"]


DAEMONS = """
def forever():
    while True:
        log.info("daemon")

for _ in range(3):
    threading.Thread(target=forever, daemon=True).start()
atexit.register(log.info, "at exit")
"""


def test_daemon_threads_that_log_do_not_keep_it_from_ending() -> None:
    """One of them may be stopped in the middle of a line, traced or not."""
    assert '"message": "at exit"' in start(DAEMONS).stdout


FORKS = """
def forever():
    while not done.is_set():
        log.info("thread")

done = threading.Event()
thread = threading.Thread(target=forever)
thread.start()
with tracer.start_as_current_span("work") as span:
    for number in range(20):
        child = os.fork()
        if not child:
            log.info("child %d", number)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
done.set()
thread.join()
log.info("span", extra={"span": format(span.get_span_context().span_id, "016x")})
"""


def test_forked_children_log_with_the_ids_of_the_moment() -> None:
    lines = lines_of(start(FORKS))
    children = [line for line in lines if line["message"].startswith("child")]
    assert [line["message"] for line in children] == [f"child {number}" for number in range(20)]
    assert {line["span_id"] for line in children} == {lines[-1]["span"]}
    assert not [line for line in lines if line["message"] == "thread" and "span_id" in line]


ODD = r"""
class Raising:
    def __repr__(self):
        raise RuntimeError("no")

log.info("%d items", "many", extra={"order": 7})
log.info("%s", Raising())
log.info("no arguments %s")
log.info("too many", 1, 2)
log.info("line\nbreaks\r\x00\x1b[31m\x85\u2028\u2029\udc80 and \U0001f600", extra={"na\nme": "\u2028"})
deep = [{"inf": float("inf"), "keys": {(1, 2): b"x"}}]
log.info("extras", extra={"nan": float("nan"), "deep": deep, "no": Raising()})
circle = []
circle.append(circle)
log.info("circle", extra={"circle": circle})
log.info({"a": "dict"})
try:
    raise ValueError("one\ntwo")
except ValueError:
    log.exception("exception")
log.info("long", extra={"object": type("Long", (), {"__repr__": lambda self: "x" * 5000})()})
log.info("%s", "y" * 5000)
"""


def strict(name: str) -> None:
    pytest.fail(f"strict parsers refuse {name}")


def test_whatever_is_logged_is_one_line_of_strict_json() -> None:
    lines = lines_of(start(ODD))
    assert len(lines) == 11
    assert [json.loads(json.dumps(line), parse_constant=strict) for line in lines] == lines
    assert lines[0]["message"] == "'%d items' ('many',)"
    assert (lines[0]["order"], lines[0]["logging_error"][:9]) == (7, "TypeError")
    assert lines[4]["message"] == "line\nbreaks\r\x00\x1b[31m\x85\u2028\u2029\\udc80 and \U0001f600"
    assert lines[5]["deep"] == [{"inf": None, "keys": {"(1, 2)": "b'x'"}}]
    assert (lines[7]["message"], lines[7]["a"]) == ("", "dict")
    assert lines[8]["exc_info"].endswith("ValueError: one\ntwo")
    assert len(lines[9]["object"]) == 1003
    assert len(lines[10]["message"]) == 5000
