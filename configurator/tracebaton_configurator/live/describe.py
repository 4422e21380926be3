"""What `tracebaton status` shows of this process."""

from __future__ import annotations

import os
import sys
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from tracebaton_configurator._version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tracebaton_configurator.export.batching import DeliveringSpanProcessor
    from tracebaton_configurator.gate.keep import Keeper
    from tracebaton_configurator.live.control import Control
    from tracebaton_configurator.settings import Settings


def describe(
    here: Settings, control: Control, deliveries: Sequence[DeliveringSpanProcessor], keeper: Keeper | None
) -> dict[str, Any]:
    """A process in JSON's types. Times are seconds since the epoch. Nothing in it is secret."""
    return {
        "pid": os.getpid(),
        "service": here.service_name,
        "command": command_of(sys.argv),
        "version": __version__,
        **control.describe(),
        "exporters": [
            {
                "destination": str(here.endpoint),
                "protocol": here.endpoint.protocol,
                "last_error": processor.delivery.last_error,
                "interrupted": processor.delivery.interrupted,
                "queued": processor.queued,
                "spool": here.spool_dir,
                "counters": processor.counters.as_dict(),
            }
            for processor in deliveries
        ],
        "other_exporters": [name for name in here.traces_exporters if not name.startswith("otlp")],
        "kept": {"kept": keeper.kept, "over_the_cap": keeper.dropped} if keeper is not None else None,
    }


def command_of(argv: Sequence[str]) -> str:
    """The program and what it was told to run; not its options, whose values may be secret."""
    words = [PurePath(argv[0]).name] if argv else []
    for word in argv[1:3]:
        if word.startswith("-") or "@" in word:
            break
        words.append(word)
    return " ".join(words)
