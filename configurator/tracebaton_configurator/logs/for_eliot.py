"""Log correlation for eliot: each of its messages is an object, which gains the ids where all of them pass.

Its own hook for global fields takes values that never change; and a destination would make it stop keeping what is
logged before the application has added its own.

Checked with eliot 1.18 (eliot/_output.py).
"""

from __future__ import annotations

from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

from tracebaton_configurator.logs import field_names
from tracebaton_configurator.logs.events import missing_ids

if TYPE_CHECKING:
    from collections.abc import Callable

    from tracebaton_configurator.logs.formatter import JsonLines


def install(_: JsonLines | None) -> Callable[[], None]:
    """Patch eliot, which is imported. Returns what undoes it. Raises where names that this needs are missing."""
    destinations = import_module("eliot._output").Destinations
    original = destinations.send

    def send(self: Any, message: dict[str, Any], *given: Any, **named: Any) -> Any:
        with suppress(Exception):  # the message is worth more than its ids
            message.update(field_names.current.ids(missing_ids(message)))
        return original(self, message, *given, **named)

    destinations.send = send

    def undo() -> None:
        if destinations.send is send:
            destinations.send = original

    return undo
