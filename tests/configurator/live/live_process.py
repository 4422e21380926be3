"""A process that can be controlled, without an application: `python live_process.py SERVICE`.

Says `ready` and then does what it reads, a word a line: `fork` makes a child that stays, and prints its pid; `exhaust`
allows no more file descriptors and `release` does again; `become UID` makes it another user's. It ends with its input.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
import time

from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

from tracebaton_configurator.asgi.fast_path import FastPath
from tracebaton_configurator.live.container import container
from tracebaton_configurator.live.control import Control
from tracebaton_configurator.live.server import Server
from tracebaton_configurator.propagation.trust import Trust
from tracebaton_configurator.sampling.root_sampler import RuleRootSampler
from tracebaton_configurator.sampling.rule_set import RuleSet
from tracebaton_configurator.sampling.rules import effective_rules
from tracebaton_configurator.sampling.sampler import DecisionIdGenerator, TracebatonSampler


def start(service: str) -> Control:
    sampler = TracebatonSampler(RuleRootSampler(RuleSet(effective_rules(None))))
    ids = DecisionIdGenerator(RandomIdGenerator())
    fast_path = FastPath(sampler, ids, Trust(setting=True), w3c_only=True)
    control = Control(sampler, ids, fast_path)
    shown = {"service": service, "command": "live_process.py", "version": "0", "container": container()._asdict()}
    shown_too = {"exporters": [], "other_exporters": [], "kept": None}
    Server(control, service, lambda: {**shown, **control.describe(), **shown_too}).start()
    return control


def fork() -> None:
    pid = os.fork()
    if pid == 0:
        signal.alarm(60)  # whatever happens to the test
        while True:
            time.sleep(60)
    say(pid)


def allow_descriptors(number: int) -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (number, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))


def say(what: object) -> None:
    print(what, flush=True)  # noqa: T201 (the test reads it)


def main(service: str) -> None:
    start(service)
    say("ready")
    usual = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    for line in sys.stdin:
        word, _, argument = line.strip().partition(" ")
        if word == "fork":
            fork()
            continue
        if word == "exhaust":
            allow_descriptors(3)  # it has these three
        elif word == "release":
            allow_descriptors(usual)
        elif word == "become":
            os.setuid(int(argument))
        say("done")


if __name__ == "__main__":
    main(sys.argv[1])
