"""Upstream's own test suites, under `tracebaton run` and under upstream's launcher: `make upstream`.

CELL=TEXT runs those whose name ("httpx, newest app, newest OpenTelemetry") contains it. What passes under upstream's
launcher has to pass under ours, but for what upstream_differences.py names. A test that fails only here is run a
second time with its suite before it counts: some of upstream's measure times.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from xml.etree import ElementTree as ET

sys.path.insert(0, str(Path(__file__).resolve().parent))

from upstream_differences import NAMED
from upstream_suites import AGES, SUITES, Laid, laid

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cells import Cell
    from upstream_differences import Difference
    from upstream_suites import Suite

_SECONDS = 600.0


class Launcher(NamedTuple):
    """`sampler` is the package of the sampler of the provider that it sets up; without it the suite ran untraced."""

    command: tuple[str, ...]
    environ: dict[str, str]
    sampler: str


# Nobody listens there. What is exported is not what these suites look at, and upstream's exit would wait for it.
OURS = Launcher(("tracebaton", "run"), {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}, "tracebaton_configurator")
UPSTREAM = Launcher(
    ("opentelemetry-instrument",),
    {
        "OTEL_PYTHON_DISTRO": "distro",
        "OTEL_PYTHON_CONFIGURATOR": "configurator",
        **{f"OTEL_{signal}_EXPORTER": "none" for signal in ("TRACES", "METRICS", "LOGS")},
    },
    "opentelemetry",
)

Outcomes = dict[str, str]


class UnfinishedError(RuntimeError):
    """A suite that did not come to its end; the message has what it printed last."""


@dataclass
class Comparison:
    """Names of tests, some with the reason. Those of `ours_alone` and `gone` are failures.

    `named` fail only here and are named; `gone` are named and do not; `unsteady` failed only here, once of two times.
    """

    passed: list[str] = field(default_factory=list)
    both: list[str] = field(default_factory=list)
    named: dict[str, str] = field(default_factory=dict)
    ours_alone: dict[str, str] = field(default_factory=dict)
    gone: list[str] = field(default_factory=list)
    unsteady: list[str] = field(default_factory=list)

    @property
    def failed(self) -> bool:
        return bool(self.ours_alone or self.gone)


def compare(ours: Mapping[str, str], upstream: Mapping[str, str], named: Sequence[Difference]) -> Comparison:
    """A test that passes there has to pass here: skipped or not collected, it has not."""
    reasons = {one.test: one.reason for one in named}
    found = Comparison()
    for test in sorted({*ours, *upstream, *reasons}):
        here, there = ours.get(test, "not run"), upstream.get(test, "not run")
        if here == "passed":
            found.passed.append(test)
        elif there == "passed" and test in reasons:
            found.named[test] = reasons[test]
        elif there == "passed":
            found.ours_alone[test] = here
        elif here not in ("skipped", "not run"):
            found.both.append(test)
        if test in reasons and test not in found.named:
            found.gone.append(test)
    return found


def outcomes(report: Path) -> Outcomes:
    """From pytest's report in JUnit's format: "passed", "skipped", or the first line of what is wrong."""
    found: Outcomes = {}
    for case in ET.parse(report).iter("testcase"):  # noqa: S314 (written by the pytest that we have started)
        test = f"{case.get('classname', '').removeprefix('tests.')}::{case.get('name')}"
        wrong = next((part for kind in ("failure", "error") for part in case.iter(kind)), None)
        if wrong is not None:
            found[test] = (wrong.get("message") or "failed").splitlines()[0]
        elif test not in found:  # an error in its teardown is a case of its own
            found[test] = "skipped" if case.find("skipped") is not None else "passed"
    return found


def sampler(report: Path) -> str:
    """The package of the sampler that upstream_conftest.py has found; empty for none."""
    value = next((one.get("value") for one in ET.parse(report).iter("property") if one.get("name") == "sampler"), None)  # noqa: S314
    return (value or "").partition(".")[0]


def run(suite: Laid, launcher: Launcher) -> Outcomes:
    """The suite below that launcher, of the suite's environment. Raises UnfinishedError."""
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith("OTEL_") and name != "PYTHONPATH"
    }
    scripts = suite.python.parent
    paths = os.pathsep.join((str(scripts), inherited.get("PATH", os.defpath)))
    with tempfile.TemporaryDirectory() as place:
        report = Path(place, "report.xml")
        name, *options = launcher.command
        command = [str(scripts / name), *options, str(suite.python), "-m", "pytest", "-q", "--tb=short"]
        done = subprocess.run(
            [*command, "-p", "no:cacheprovider", f"--junitxml={report}", "tests"],
            check=False,
            cwd=suite.directory,
            env={**inherited, **launcher.environ, "PATH": paths, "PYTHONPATH": os.pathsep.join(map(str, suite.paths))},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=_SECONDS,
        )
        # 1: some have failed. A file that cannot be collected, or a process that dies, is more than that.
        if done.returncode not in (0, 1) or not report.exists():
            raise UnfinishedError(f"{name}: status {done.returncode}\n{done.stdout[-2000:]}")
        if sampler(report) != launcher.sampler:
            raise UnfinishedError(f"{name}: the sampler is of {sampler(report) or 'nobody'}\n{done.stdout[-2000:]}")
        return outcomes(report)


def check(suite: Suite, age: Cell) -> tuple[str, Comparison]:
    """The release of the suite, and how it fared. Raises UnfinishedError, subprocess.SubprocessError."""
    named = [one for one in NAMED if one.suite == suite.name and one.age in age.name]
    with laid(suite, age) as at, ThreadPoolExecutor(2) as pool:
        begun = pool.submit(run, at, UPSTREAM)
        ours = run(at, OURS)
        upstream = begun.result()
        found = compare(ours, upstream, named)
        if not found.passed:
            raise UnfinishedError(f"nothing has passed: {ours}")
        if found.ours_alone:
            again = compare(run(at, OURS), upstream, named)
            found.unsteady = sorted(found.ours_alone.keys() - again.ours_alone.keys())
            found.ours_alone = {test: why for test, why in found.ours_alone.items() if test in again.ours_alone}
        return at.version, found


def main(wanted: str) -> int:
    names = {f"{suite.name}, {age.name}": (suite, age) for age in AGES for suite in SUITES}
    chosen = {name: of for name, of in names.items() if wanted in name}
    if not chosen:
        sys.stdout.write(f"No suite has {wanted!r} in its name.\n")
    failed = not chosen
    for name, (suite, age) in chosen.items():
        began = time.monotonic()
        try:
            version, found = check(suite, age)
        except (UnfinishedError, subprocess.SubprocessError) as error:
            failed = True
            lines = [f"FAILED  {name}", *str(error).splitlines()]
        else:
            failed = failed or found.failed
            seconds = time.monotonic() - began
            lines = [f"{'FAILED' if found.failed else 'ok':6}  {name}, {version}  {seconds:.0f} s", *told(found)]
        sys.stdout.write("\n        ".join(lines) + "\n")
        sys.stdout.flush()
    return 1 if failed else 0


def told(found: Comparison) -> list[str]:
    return [
        f"{len(found.passed)} passed, {len(found.both)} fail under both, {len(found.named)} named,"
        f" {len(found.ours_alone)} only here",
        *(f"named: {test}: {reason}" for test, reason in found.named.items()),
        *(f"ONLY HERE: {test}: {why}" for test, why in found.ours_alone.items()),
        *(f"NAMED, BUT NOT SO: {test}" for test in found.gone),
        *(f"once of two times only here: {test}" for test in found.unsteady),
    ]


if __name__ == "__main__":
    sys.exit(main(" ".join(sys.argv[1:])))
