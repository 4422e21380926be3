"""`baggage`: names and values that the application sends along with every request of a trace.

https://www.w3.org/TR/baggage/
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from tracebaton_configurator.propagation.w3c.patterns import fullmatch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Section "Limits" asks for at least 64 members and 8192 bytes to be propagated; the grammar ends at 180 members.
MAX_MEMBERS = 180
# Bytes over all headers, commas included.
MAX_LENGTH = 8192
# Bytes of one member: upstream's limit, from the specification's earlier drafts.
MAX_MEMBER_LENGTH = 4096

# RFC 9110, 5.6.2 (token), and "baggage-octet" in section "Definition".
_KEY = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_VALUE = rb"[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*"
_OWS = b" \t"
# Most headers: members with nothing encoded, no properties, and a space behind a comma at most.
_PLAIN_KEY = rb"[!#$&'*+\-.^_`|~0-9A-Za-z]+"
_PLAIN_VALUE = rb"[\x21\x23\x24\x26-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*"
_PLAIN_MEMBER = _PLAIN_KEY + rb"=" + _PLAIN_VALUE
_PLAIN = _PLAIN_MEMBER + rb"(?:, ?" + _PLAIN_MEMBER + rb")*"
# The same of what encoding leaves as it is.
_UNRESERVED = r"[\w.~-]+=[\w.~-]*(?:,[\w.~-]+=[\w.~-]*)*"


def parse_baggage(values: Sequence[bytes]) -> dict[str, str]:
    """Names and values, percent-decoded, of all baggage headers of a request. Never raises.

    A member that breaks the grammar is left out, and so is what lies beyond the limits: the first members stay. Of a
    name that occurs twice the last value counts. Properties stay part of the value ("v;p=1"), as upstream has it. A `+`
    is one: upstream takes it for a space, of which the specification says nothing.
    """
    if len(values) == 1 and len(values[0]) <= MAX_MEMBER_LENGTH and fullmatch(_PLAIN)(values[0]):
        parts = values[0].replace(b", ", b",").decode("ascii").split(",")
        if len(parts) <= MAX_MEMBERS:
            return dict([part.split("=", 1) for part in parts])
    found: dict[str, str] = {}
    members = 0
    for part in _within_limit(values).split(b","):
        member = part.strip(_OWS)
        if not member:
            continue
        members += 1
        if members > MAX_MEMBERS:
            break
        pair = _parse_member(member)
        if pair is not None:
            found[pair[0]] = pair[1]
    return found


def format_baggage(entries: Mapping[str, object]) -> str:
    """The header value for `entries`, percent-encoded; entries that cannot be sent or do not fit are left out."""
    try:
        text = ",".join([f"{name!s}={value!s}" for name, value in entries.items()])
        # As many members as there are entries: a value may have a comma in it.
        is_plain = len(text) <= MAX_MEMBER_LENGTH and text.count(",") == len(entries) - 1 < MAX_MEMBERS
        if is_plain and fullmatch(_UNRESERVED)(text):
            return text
    except Exception:  # noqa: BLE001, S110 (see below)
        pass
    members: list[str] = []
    length = 0
    for name, value in entries.items():
        try:
            member = f"{quote(str(name), safe='')}={quote(str(value), safe='')}"
        except Exception:  # noqa: BLE001, S112 (an application's __str__, lone surrogates)
            continue
        added = len(member) + bool(members)
        if not member.startswith("=") and len(member) <= MAX_MEMBER_LENGTH and length + added <= MAX_LENGTH:
            members.append(member)
            length += added
            if len(members) == MAX_MEMBERS:
                break
    return ",".join(members)


def _within_limit(values: Sequence[bytes]) -> bytes:
    """The headers as one (RFC 9110, 5.3), cut at the last comma within `MAX_LENGTH` bytes."""
    kept: list[bytes] = []
    room = MAX_LENGTH
    for value in values:
        if len(value) > room:
            # Never half a member, which would be a wrong value.
            kept.append(value[: room + 1].rpartition(b",")[0])
            break
        kept.append(value)
        room -= len(value) + 1
    return b",".join(kept)


def _parse_member(member: bytes) -> tuple[str, str] | None:
    # Split and strip rather than one expression for all of it: optional white space in so many places would make
    # matching a header that was made for it take quadratic time.
    key, equals, rest = member.partition(b"=")
    key, rest = key.rstrip(_OWS), rest.lstrip(_OWS)
    if not equals or len(member) > MAX_MEMBER_LENGTH or not fullmatch(_KEY)(key):
        return None
    value, *properties = rest.split(b";")
    if not fullmatch(_VALUE)(value.rstrip(_OWS)) or not all(map(_is_property, properties)):
        return None
    name = unquote(key.decode("ascii")).strip()
    return (name, unquote(rest.decode("ascii")).strip()) if name else None


def _is_property(text: bytes) -> bool:
    key, _, value = text.partition(b"=")
    return bool(fullmatch(_KEY)(key.strip(_OWS))) and bool(fullmatch(_VALUE)(value.strip(_OWS)))
