"""Processes in words, plain enough for a log."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Any

from tracebaton.control.talk import why_none
from tracebaton_configurator.live.container import namespace
from tracebaton_configurator.logs.printable import printable_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from tracebaton.control.talk import Answers


# Of a sentence that a process says, which may be anybody's.
_LONGEST = 1000


def show(answers: Answers, service: str | None, *, as_json: bool, line: Callable[[dict[str, Any]], str]) -> int:
    """Print every process by `line`, or as JSON; returns the exit status: 0, or 1 if one failed or there is none."""
    failures = list(answers.failures)
    for process in answers.processes:
        text = _written(process, json.dumps if as_json else lambda one: line(printable(one)))
        if text is None:
            failures.append(f"Process {process['pid']} answers with something else than this version's processes do.")
        else:
            print(text, flush=True)  # noqa: T201
    for failure in failures:
        print(f"tracebaton: {printable(failure[:_LONGEST])}", file=sys.stderr)  # noqa: T201
    if not answers.processes and not failures:
        print(f"tracebaton: {why_none(service)}", file=sys.stderr)  # noqa: T201
    return 0 if answers.processes and not failures else 1


def elsewhere(process: dict[str, Any]) -> str:
    """What to call the container of a process; empty for that of this process."""
    said = process.get("container")
    if not isinstance(said, dict) or said.get("namespace") == namespace():
        return ""
    return str(said.get("name") or f"mount namespace {said.get('namespace')}")


def in_brief(process: dict[str, Any]) -> str:
    """One line: what a command has brought about."""
    return f"{_head(process)}: {_state(process)}; {_sampler(process)}"


def in_full(process: dict[str, Any]) -> str:
    """The process with its exporters and counters."""
    lines = [f"{_head(process)}, tracebaton {process['version']}", f"  tracing   {_state(process)}"]
    lines.append(f"  sampling  {_sampler(process)}")
    if where := elsewhere(process):
        lines.append(f"  container {where}, another one")
    for exporter in process["exporters"]:
        lines += _exporter(exporter)
    lines += [f"  exporter  {name}" for name in process["other_exporters"]]
    kept = process["kept"]
    if kept is not None and any(kept.values()):
        lines.append(_kept(kept))
    return "\n".join(lines)


def _kept(kept: dict[str, int]) -> str:
    line = f"  kept      {kept['kept']} unsampled errors or slow requests, {kept['over_the_cap']} over the cap"
    if kept.get("incomplete"):  # not of a process with another version
        line += f"; {kept['incomplete']} without all of their calls, of which {kept['calls_dropped']} are missing"
    return line


def _written(process: dict[str, Any], line: Callable[[dict[str, Any]], str]) -> str | None:
    try:
        return line(process)
    except Exception:  # noqa: BLE001 (another version's, or of somebody who only pretends to be a traced process)
        return None


def printable(value: Any) -> Any:
    """All texts in it without what would speak to the terminal: root is told things by the processes of others."""
    if isinstance(value, str):
        return printable_text(value)
    if isinstance(value, dict):
        return {printable(name): printable(one) for name, one in value.items()}
    return [printable(one) for one in value] if isinstance(value, list) else value


def _head(process: dict[str, Any]) -> str:
    return f"{process['service']}, process {process['pid']} ({process['command']})"


def _state(process: dict[str, Any]) -> str:
    if process["on"]:
        return "on"
    return f"off since {_time(process['off_since'])}{_until(process['off_until'])}"


def _sampler(process: dict[str, Any]) -> str:
    since = f"since {_time(process['sampler_since'])}, from the {process['sampler_set_by']}"
    if process["sampler_set_by"] != "environment":
        since = f"since {_time(process['sampler_since'])}, by `{process['sampler_set_by']}`"
    return f"{process['sampler']} ({since}{_until(process['sampler_until'])})"


def _exporter(exporter: dict[str, Any]) -> list[str]:
    counters = exporter["counters"]
    state = "cannot be reached" if exporter["interrupted"] else "no interruption"
    lines = [f"  exporter  {exporter['destination']} over {exporter['protocol']}: {state}"]
    if exporter["last_error"]:
        lines.append(f"            last error: {exporter['last_error']}")
    lines.append(
        f"  spans     {counters['exported']} exported, {exporter['waiting']} waiting in memory, {counters['spooled']} "
        f"spooled, {counters['recovered']} recovered from the spool; {counters['retried']} requests were retried"
    )
    lines += [f"  lost      {number} because {reason}" for reason, number in sorted(counters["dropped"].items())]
    if exporter["spool"]:
        corrupt = counters.get("corrupt_files", 0)
        lines.append(f"  spool     {exporter['spool']}" + (f", {corrupt} corrupt files set aside" if corrupt else ""))
    return lines


def _until(end: float | None) -> str:
    return f", until {_time(end)}" if end is not None else ""


def _time(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
