"""Functions that make loguru's formats: what of `extra` they may have hidden.

A function that has not looked at `extra` hides nothing of it: then its format is as good as one that is no function.
"""

from __future__ import annotations

from typing import Any
from weakref import WeakSet

# The sinks of the standard library's handlers for which a function makes the format.
sinks: WeakSet[Any] = WeakSet()


class WatchedRecord(dict[str, Any]):
    """A record that notes whether its `extra` is looked at, or whatever may include that."""

    extra_was_read = False

    def __getitem__(self, name: str) -> Any:
        self.extra_was_read |= name == "extra"
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        self.extra_was_read |= name == "extra"
        return super().get(name, default)

    def __getattribute__(self, name: str) -> Any:
        if name in ("copy", "items", "keys", "pop", "popitem", "setdefault", "values"):
            self.extra_was_read = True
        return super().__getattribute__(name)

    def __iter__(self) -> Any:
        self.extra_was_read = True
        return super().__iter__()

    def __or__(self, other: Any) -> Any:
        self.extra_was_read = True
        return super().__or__(other)

    def __ror__(self, other: Any) -> Any:
        self.extra_was_read = True
        return super().__ror__(other)


def call(function: Any, record: dict[str, Any]) -> tuple[str, bool]:
    """The format that the function makes, and whether it has looked at `extra`. What it writes is on the record."""
    watched = WatchedRecord(record)
    made = function(watched)
    was_read = watched.extra_was_read
    record.update(watched)
    return made, was_read
