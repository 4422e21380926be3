"""What `tracebaton status` shows of this process."""

from __future__ import annotations

import os
import sys
from pathlib import PurePath
from re import compile as regex
from typing import TYPE_CHECKING, Any

from tracebaton_configurator._version import __version__
from tracebaton_configurator.live.container import container
from tracebaton_configurator.names import SERVER_COMMANDS, is_otlp
from tracebaton_configurator.patching.catalogue import CATALOGUE
from tracebaton_configurator.patching.registry import outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tracebaton_configurator.export.span_processor import QueueSpanProcessor
    from tracebaton_configurator.live.control import Control
    from tracebaton_configurator.sampling.late_spans import LateSpans
    from tracebaton_configurator.settings import Settings

_APP = regex(r"[\w./-]+\.py|[A-Za-z_][\w.]*:[A-Za-z_][\w.]*(\(\))?")


def describe(
    here: Settings, control: Control, export_queues: Sequence[QueueSpanProcessor], late_spans: LateSpans | None
) -> dict[str, Any]:
    """A process in JSON's types. Times are seconds since the epoch. Nothing in it is secret."""
    return {
        "pid": os.getpid(),
        "service": here.service_name,
        "command": command_of(sys.argv),
        "version": __version__,
        "container": container()._asdict(),
        **control.describe(),
        "exporters": [_exporter(here, processor) for processor in export_queues],
        "other_exporters": [name for name in here.traces_exporters if not is_otlp(name)],
        "patches": {name: list(outcome(name)) for name in CATALOGUE},
        "kept": _kept(late_spans) if late_spans is not None else None,
    }


def _kept(late_spans: LateSpans) -> dict[str, int]:
    return {
        "kept": late_spans.kept,
        "over_the_cap": late_spans.dropped,
        "incomplete": late_spans.incomplete,
        "calls_dropped": late_spans.calls_dropped,
    }


def _exporter(here: Settings, processor: QueueSpanProcessor) -> dict[str, Any]:
    export_queue = processor.export_queue
    return {
        "destination": str(here.endpoint),
        "protocol": here.endpoint.protocol,
        "last_error": export_queue.status.last_error,
        "interrupted": export_queue.status.active,
        "waiting": processor.queued + export_queue.waiting,
        "spool": here.spool_dir,
        "counters": processor.counters.as_dict(),
    }


def command_of(argv: Sequence[str]) -> str:
    """The program, and of a server the application that it runs: any other argument may be secret."""
    program, *arguments = argv or ["python"]
    name = PurePath(program).name
    if name.removesuffix(".py") in SERVER_COMMANDS or PurePath(program).parent.name in SERVER_COMMANDS:
        for before, argument in zip(["", *arguments], arguments, strict=False):
            # What follows an option may be its value: `--header Authorization:abc`.
            if _APP.fullmatch(argument) and not before.startswith("-"):
                return f"{name} {argument}"
    return name
