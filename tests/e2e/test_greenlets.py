"""gevent and eventlet, whenever they replace threads by greenlets: every span arrives, and nothing stops for good."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import sysconfig
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from threading import Thread
from typing import TYPE_CHECKING

import httpx
import pytest
from fault_receiver import FaultyReceiver
from launches import TRACED
from launching import APPS, Service, start, wait_until_gone, wait_until_ready
from processes import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from harness import System

MODELS = [
    pytest.param(
        model, marks=pytest.mark.skipif(find_spec(model) is None, reason=f"{model.upper()} IS NOT INSTALLED HERE")
    )
    for model in ("gevent", "eventlet")
]
MOMENTS = ("first", "before any span", "after an export", "in the middle")
SENT_AT_ONCE = {"OTEL_TRACES_SAMPLER": "always_on", "OTEL_BSP_SCHEDULE_DELAY": "50", "OTEL_TRACEBATON_LOGS": "off"}
# What a library of the application's that an instrumentation imports first would be warned of.
BARE = {"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "httpx,redis,fastapi"}


@pytest.fixture
def receiver() -> Iterator[FaultyReceiver]:
    with FaultyReceiver("grpc") as made:
        yield made


def environ(receiver: FaultyReceiver, **more: str) -> dict[str, str]:
    ours = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    ours["PATH"] = f"{sysconfig.get_path('scripts')}:{ours['PATH']}"
    return {**ours, **SENT_AT_ONCE, "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint, **more}


def run(launcher: Sequence[str], env: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*launcher, sys.executable, "-W", "default::RuntimeWarning", *arguments],
        cwd=APPS, env=env, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


# Each protocol has a connection of its own, which can be there only once something has been exported.
@pytest.mark.parametrize(
    ("moment", "protocol"),
    [*((moment, "grpc") for moment in MOMENTS), *((moment, "http/protobuf") for moment in MOMENTS[2:])],
)
@pytest.mark.parametrize("model", MODELS)
def test_a_script_that_patches_at_any_moment(model: str, moment: str, protocol: str) -> None:
    with FaultyReceiver(protocol) as receiver:  # type: ignore[arg-type]
        env = environ(receiver, OTEL_EXPORTER_OTLP_PROTOCOL=protocol, **BARE)
        done = run(TRACED, env, "greenlets_script.py", model, moment)
        assert done.returncode == 0, done.stderr
        made = json.loads(done.stdout)["made"]
        assert [span.name for span in receiver.spans()] == ["work"] * made
    plain = run((), env, "greenlets_script.py", model, moment)
    assert plain.returncode == 0, plain.stderr
    assert warnings_in(done) <= warnings_in(plain)


def warnings_in(done: subprocess.CompletedProcess[str]) -> set[str]:
    texts = [json.loads(line)["message"] if line[:1] == "{" else line for line in done.stderr.splitlines()]
    lines = "\n".join(texts).splitlines()
    return {line.partition("Warning: ")[2] for line in lines if "Warning: " in line}


IMPORTED = """
import sys
late = ("h2", "hpack", "h11", "tracebaton_configurator.export.encode", "tracebaton_configurator.export.connection")
assert not [name for name in late if name in sys.modules]
import opentelemetry.trace
import {}
found = [name for name in late if name in sys.modules]
assert len(found) >= 3, found
"""


@pytest.mark.parametrize("module", ["gevent.monkey", "eventlet.patcher"])
@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_what_delivery_needs_is_imported_before_anything_can_be_patched(
    receiver: FaultyReceiver, module: str, protocol: str
) -> None:
    """An import in another thread, cut in two by the replacement of `get_ident`, would never end."""
    if find_spec(module.partition(".")[0]) is None:
        pytest.skip(f"{module.upper()} IS NOT INSTALLED HERE")
    env = environ(receiver, OTEL_EXPORTER_OTLP_PROTOCOL=protocol, **BARE)
    done = run(TRACED, env, "-c", IMPORTED.format(module))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("model", MODELS)
def test_a_forked_child_of_it(receiver: FaultyReceiver, model: str, moment: str) -> None:
    if model == "gevent" and sys.version_info >= (3, 14):
        pytest.skip("A FORK AFTER A PATCH THAT COMES LATE HANGS NOW AND THEN WITH GEVENT 26.9 ALONE")
    done = run(TRACED, environ(receiver, FORK="1", **BARE), "greenlets_script.py", model, moment)
    assert done.returncode == 0, done.stderr
    assert len(receiver.spans()) == json.loads(done.stdout)["made"]


@pytest.mark.parametrize("moment", ["before any span", "after an export"])
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it(receiver: FaultyReceiver, model: str, moment: str, number: signal.Signals) -> None:
    """What is queued arrives, and the status is the one that it is without tracing."""
    code = """
import os, runpy, sys, time
sys.argv = ["greenlets_script.py", {!r}, {!r}]
made = runpy.run_path("greenlets_script.py")
made["work"](3)
os.kill(os.getpid(), {})
for _ in range(300):
    time.sleep(0.1)
"""
    code = code.format(model, moment, int(number))
    env = environ(receiver, **BARE, OTEL_BSP_SCHEDULE_DELAY="60000")
    done, plain = run(TRACED, env, "-c", code), run((), env, "-c", code)
    assert done.returncode == plain.returncode
    assert len(receiver.spans()) == 203, done.stderr


class _Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def backend() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Answers) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def ask(service: Service, count: int) -> None:
    with httpx.Client(timeout=20) as client:
        for _ in range(count):
            answer = client.get(service.url).json()
            service.served[answer["trace_id"]] = answer["pid"]


GUNICORN = "gunicorn --workers 2 --bind 127.0.0.1:{{port}} --no-control-socket -k {} {} greenlets_app:application"


@pytest.mark.parametrize("preload", ["", "--preload"])
@pytest.mark.parametrize("model", MODELS)
def test_gunicorns_workers(system: System, receiver: FaultyReceiver, backend: str, model: str, preload: str) -> None:
    if find_spec(f"gunicorn.workers.g{model}") is None:
        pytest.skip(f"THIS GUNICORN HAS NO WORKER FOR {model.upper()}")
    command = GUNICORN.format(model, preload).split()
    env = {**SENT_AT_ONCE, "BACKEND": backend, "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint}
    traced = start(system, "traced", [*TRACED, *command], env=env)
    plain = start(system, "plain", command, env=env)
    wait_until_ready(traced, plain)
    ask(plain, 4)
    ask(traced, 40)
    assert wait_for(lambda: len(receiver.spans()) == 80, 10), traced.child.output_end()
    ask(traced, 10)  # queued, some of them, when the end comes
    for service in (traced, plain):
        service.end(signal.SIGTERM, group=False)
    wait_until_gone(traced, plain)
    assert traced.child.returncode == plain.child.returncode
    assert len(receiver.spans()) == 100
    assert {span.trace_id for span in receiver.spans()} == set(traced.served)


@pytest.mark.parametrize("model", MODELS[:1])
def test_a_worker_follows_its_master_that_is_killed(
    system: System, receiver: FaultyReceiver, backend: str, model: str
) -> None:
    command = GUNICORN.format(model, "").split()
    env = {**SENT_AT_ONCE, "BACKEND": backend, "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint}
    traced = start(system, "traced", [*TRACED, *command], env=env)
    wait_until_ready(traced)
    ask(traced, 10)
    traced.end(signal.SIGKILL, group=False)
    wait_until_gone(traced)
    assert len(receiver.spans()) == 20
