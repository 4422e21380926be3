"""Redis looks in a list for a value as it was pushed, with members that whoever looks for it has never seen.

So what this process has pushed or read is known by its text. LREM is to find equal values, whatever trace each of them
was pushed in: there is a command for each, one after the other, until enough were removed. Those are not one atomic
command, and which of them is removed first does not follow their places in the list.
"""

from __future__ import annotations

from collections import OrderedDict
from contextlib import suppress
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Arguments = tuple[Any, ...]

_ALIKE = 16


class AsPushed(bytes):
    """A value that is what Redis has already."""


class TakenOutOfLists:
    """What values of lists have had as members that this process has pushed or read: Redis looks for one as it was
    pushed. Of a text that was pushed in several traces the newest 16 are known; no members are one way of several.
    """

    def __init__(self, limit: int = 5000) -> None:
        self._limit = limit
        self._members: OrderedDict[bytes, dict[bytes, None]] = OrderedDict()

    def remember(self, value: str | bytes, members: bytes) -> None:
        """As the newest."""
        if not members and not self._members:
            return
        key = _key(value)
        known = self._members.get(key)
        if known is None:
            if not members:
                return
            known = self._members.setdefault(key, {})
        known.pop(members, None)
        known[members] = None
        with suppress(KeyError, RuntimeError, StopIteration):  # other threads are here too
            self._members.move_to_end(key)
            while len(known) > _ALIKE:
                known.pop(next(iter(known)))
            while len(self._members) > self._limit:
                self._members.popitem(last=False)

    def ways(self, value: object) -> list[Any]:
        """All that Redis may have for the value, the newest first; the value alone where nothing is known of it."""
        if not isinstance(value, (str, bytes)) or not self._members:
            return [value]
        known = list(reversed(tuple(self._members.get(_key(value), ()))))
        if not known:
            return [value]
        if b"" not in known:
            known.append(b"")
        data = value.encode() if isinstance(value, str) else value
        at = data.index(b"{") + 1
        return [AsPushed(data[:at] + members + data[at:]) for members in known]

    def as_pushed(self, value: object, used: set[object] | None = None) -> object:
        """The newest, but for those `used` before while there are others; it is one of them afterwards."""
        if isinstance(value, AsPushed):
            return bytes(value)
        ways = self.ways(value)
        chosen = ways[0] if used is None else next((way for way in ways if way not in used), ways[0])
        if used is not None:
            used.add(chosen)
        return bytes(chosen) if isinstance(chosen, AsPushed) else chosen


def _key(value: str | bytes) -> bytes:
    return blake2b(value.encode() if isinstance(value, str) else value, digest_size=16).digest()


class _Removals:
    """LREM for each way in which the value may have been pushed, until `removed` is as many as it should be."""

    def __init__(self, known: TakenOutOfLists, args: Arguments) -> None:
        self._args = args
        self._wanted = int(args[2])
        self.ways = known.ways(args[3])
        self.removed = 0

    def commands(self) -> Iterator[Arguments]:
        for value in self.ways:
            left = self._wanted - self.removed if self._wanted > 0 else self._wanted + self.removed
            if self._wanted and not left:
                return
            yield (*self._args[:2], left if self._wanted else 0, value, *self._args[4:])


def _removals(known: TakenOutOfLists, args: Arguments) -> _Removals | None:
    """None where there is one way only."""
    with suppress(Exception):  # what Redis, or the client, will refuse
        removals = _Removals(known, args)
        return removals if len(removals.ways) > 1 else None
    return None


def removing(known: TakenOutOfLists, call: Callable[..., Any], args: Arguments) -> Callable[..., Any]:
    """What is called in place of `call` for the LREM of these arguments."""
    removals = _removals(known, args)
    if removals is None:
        return call

    def remove(*_: Any, **options: Any) -> Any:
        for command in removals.commands():
            removed = call(*command, **options)
            if not isinstance(removed, int):
                return removed
            removals.removed += removed
        return removals.removed

    return remove


def removing_async(known: TakenOutOfLists, call: Callable[..., Any], args: Arguments) -> Callable[..., Any]:
    """The same for a client of asyncio."""
    removals = _removals(known, args)
    if removals is None:
        return call

    async def remove(*_: Any, **options: Any) -> Any:
        for command in removals.commands():
            removed = await call(*command, **options)
            if not isinstance(removed, int):
                return removed
            removals.removed += removed
        return removals.removed

    return remove
