"""One run of `tracebaton doctor`: the checks in their order, each of which may fail without ending the others."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING

from tracebaton.doctor.finding import Finding, Status, error, worst
from tracebaton.doctor.secrets import Secrets
from tracebaton.doctor.situation import Situation
from tracebaton_configurator.logs.printable import printable_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["CHECKS", "examine", "run"]

# Each is a module beside this one, with a function `check`; imported one by one, as any import may fail.
# fmt: off
CHECKS = (
    "versions", "launcher", "variables", "settings", "sampling", "instrumentations", "patches", "command", "spool",
    "receiver",
)
# fmt: on


def run(command: Sequence[str], *, explain: tuple[str, ...], send: bool, as_json: bool, verbose: bool = False) -> int:
    """Print what is found; 0 if nothing is in error, else 1."""
    environ = dict(os.environ)
    situation = Situation(environ, command, _directory(), explain, send)
    with _quiet(environ):
        findings = examine(situation)
        from tracebaton.doctor.output import print_findings

        try:
            print_findings(findings, situation.trace_id, sys.stdout, as_json=as_json, verbose=verbose)
        except BrokenPipeError:
            # Or the interpreter complains when it flushes at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 1 if worst(findings) is Status.ERROR else 0


def examine(situation: Situation) -> list[Finding]:
    """All findings in order. Does not raise; what a check raises is a finding."""
    secrets = Secrets(situation.environ, situation.command)

    def clean(text: str) -> str:
        return printable_text(secrets.scrub(text))

    return [
        replace(one, check=check, message=clean(one.message), remedy=clean(one.remedy))
        for check in CHECKS
        for one in _findings_of(check, situation)
    ]


def _findings_of(check: str, situation: Situation) -> Iterator[Finding]:
    try:
        yield from import_module(f"tracebaton.doctor.{check}").check(situation)
    except Exception as problem:  # noqa: BLE001 (a broken installation is what this program is for)
        yield error(
            f"this check could not be finished: {type(problem).__name__}: {problem}",
            "what is named there may be what is broken; the other checks went on",
        )


@contextmanager
def _quiet(environ: Mapping[str, str]) -> Iterator[None]:
    """Without the variables in question, and without a word from the libraries that are asked.

    OpenTelemetry reads them while it is imported, and a wrong one raises there: the patient's illness is not the
    doctor's.
    """
    taken = {name: environ[name] for name in environ if name.startswith(("OTEL_", "_OTEL_"))}
    for name in taken:
        os.environ.pop(name, None)
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
        os.environ.update(taken)


def _directory() -> str:
    try:
        return os.getcwd()  # noqa: PTH109 (as `settings.current` does)
    except OSError:  # it has been removed
        return "/"
