"""`tracestate`: what each tracing system on the way wants to find again; a list of at most 32 keys and values.

https://www.w3.org/TR/trace-context-2/#tracestate-header
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.trace import TraceState

from tracebaton_configurator.propagation.w3c.patterns import fullmatch

if TYPE_CHECKING:
    from collections.abc import ItemsView, Iterator, KeysView, Sequence, ValuesView

# Section "list": "There can be a maximum of 32 list-members in a list."
MAX_MEMBERS = 32
# Bytes, commas included, over all headers. At least 512 characters should be propagated (section "tracestate Limits").
# The upper end is this project's, and upstream's: what is let through is sent on with every call.
MAX_LENGTH = 8192

# Level 2 has one kind of key: "@" is a character like the others, only not the first. (Level 1, and so upstream's
# TraceState, told tenant@vendor apart with a length limit for each, and refused a digit at the start of other keys.)
_KEY_FORMAT = r"[a-z0-9][a-z0-9_\-*/@]{0,255}"
# Section "Value": spaces at the start belong to the value, spaces at the end do not.
_VALUE_FORMAT = r"[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
_MEMBER_FORMAT = f"({_KEY_FORMAT})=({_VALUE_FORMAT})"


def parse_tracestate(values: Sequence[bytes]) -> TraceState:
    """The values of all tracestate headers of a request, in order, as one list. Never raises.

    One illegal member, more than 32, or more than `MAX_LENGTH` bytes, and the whole list is dropped: empty. Empty
    members are legal. Of a key that occurs twice the first stands: the left-most entry is the most recent, a TraceState
    holds each key once, and duplicates are no reason to drop the list (https://github.com/w3c/trace-context/pull/477).
    """
    if not values or sum(map(len, values)) + len(values) - 1 > MAX_LENGTH:
        return EMPTY
    try:
        combined = b",".join(values).decode("ascii")
    except UnicodeDecodeError:
        return EMPTY
    count = 0
    members: dict[str, str] = {}
    for part in combined.split(","):
        member = part.strip(" \t")
        if not member:
            continue
        match = fullmatch(_MEMBER_FORMAT)(member)
        count += 1
        if match is None or count > MAX_MEMBERS:
            return EMPTY
        key, value = match.groups()
        members.setdefault(key, value)
    return Level2TraceState.of_valid(members) if members else EMPTY


class Level2TraceState(TraceState):
    """A TraceState that keeps Level 2 keys through changes; upstream's (checked: API 1.42 to 1.45) drops them.

    Immutable: `add`, `update` and `delete` return another one. Entries that are not legal are ignored.
    """

    def __init__(self, entries: Sequence[tuple[str, str]] | None = None) -> None:
        super().__init__()
        self._members: dict[str, str] = {}
        for key, value in entries or ():
            if len(self._members) < MAX_MEMBERS and _is_legal(key, value):
                self._members.setdefault(key, value)

    @classmethod
    def of_valid(cls, members: dict[str, str]) -> Level2TraceState:
        """Around `members` itself, which the caller has validated and gives away."""
        state = cls()
        state._members = members
        return state

    def add(self, key: str, value: str) -> TraceState:
        """With a new pair at the left; the same where the pair is illegal or the key is there already."""
        return self if key in self._members else self.update(key, value)

    def update(self, key: str, value: str) -> TraceState:
        """With the pair at the left, the key's earlier value gone; the same where the pair is illegal.

        A list that would grow beyond 32 loses its right-most member (section "list").
        """
        if not _is_legal(key, value):
            return self
        others = [(name, old) for name, old in self._members.items() if name != key]
        return Level2TraceState.of_valid(dict([(key, value), *others][:MAX_MEMBERS]))

    def delete(self, key: str) -> TraceState:
        """Without `key`."""
        return Level2TraceState.of_valid({name: value for name, value in self._members.items() if name != key})

    def to_header(self) -> str:
        """The header value; empty for an empty list."""
        return ",".join([f"{key}={value}" for key, value in self._members.items()])

    def __contains__(self, item: object) -> bool:
        return item in self._members

    def __getitem__(self, key: str) -> str:
        return self._members[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({list(self._members.items())!r})"

    def keys(self) -> KeysView[str]:
        return self._members.keys()

    def items(self) -> ItemsView[str, str]:
        return self._members.items()

    def values(self) -> ValuesView[str]:
        return self._members.values()


EMPTY = Level2TraceState()


def _is_legal(key: object, value: object) -> bool:
    if not (isinstance(key, str) and isinstance(value, str)):
        return False
    return bool(fullmatch(_KEY_FORMAT)(key) and fullmatch(_VALUE_FORMAT)(value))
