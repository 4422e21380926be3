"""What is replaced of Python itself, and of httpx before anything is known: by the registry, unless it is named."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig

import pytest
from launches import TRACED

# What stands in each place, and what the registry says of it. `httpx` brings tracing up.
SCRIPT = """
import logging, os, signal, sys, threading
start = threading.Thread.start
thread = threading.Thread(target=bool)
thread.start()
thread.join()
import httpx
from tracebaton_configurator.patching import registry
replaced = {
    "exit": hasattr(os._exit, "__wrapped__"),
    "raise-signal": hasattr(signal.raise_signal, "__wrapped__"),
    "sigterm": {one.__code__.co_filename != signal.__file__ for one in (signal.getsignal, signal.signal)} == {True},
    "first-thread": hasattr(start, "__wrapped__"),
    "logging": logging.Logger.handle.__code__.co_filename != logging.__file__,
    "httpx-client": not hasattr(sys.modules["httpx._main"], "__file__"),
}
import json
print(json.dumps({name: [done, registry.outcome(name).status] for name, done in replaced.items()}))
"""
NAMES = ("exit", "raise-signal", "sigterm", "first-thread", "logging", "httpx-client")


def outcomes(disabled: str) -> dict[str, tuple[bool, str]]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    environ["PATH"] = f"{sysconfig.get_path('scripts')}{os.pathsep}{environ['PATH']}"
    environ |= {"OTEL_TRACES_EXPORTER": "none", "OTEL_TRACEBATON_DISABLED_PATCHES": disabled}
    command = [*TRACED, sys.executable, "-c", SCRIPT]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=True, timeout=60)
    return {name: (replaced, status) for name, (replaced, status) in json.loads(done.stdout).items()}


def test_each_is_applied() -> None:
    assert outcomes("") == dict.fromkeys(NAMES, (True, "applied"))


@pytest.mark.parametrize("name", NAMES)
def test_each_can_be_left_out(name: str) -> None:
    # The first thread does nothing but what `sigterm` needs.
    left_out = {"first-thread", "sigterm"} if name == "sigterm" else {name}
    found = outcomes(name)
    assert {other for other, (replaced, _) in found.items() if not replaced} == left_out
    assert found[name][1] == "disabled"
