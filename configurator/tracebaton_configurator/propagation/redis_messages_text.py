"""The trace context inside a message that is a JSON object: members put into its text, and taken out of it again.

Nothing is serialised anew, so what is taken out leaves, character for character, what the sender gave. The members
stand first, and with a space before the colon, as no serialiser writes them: so they are told from the application's
own, which are followed, and stay. What is no JSON object, or longer than 1 MiB, is left alone.
"""

from __future__ import annotations

import json
from re import compile as regex
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping
    from re import Match

    V = TypeVar("V")

NAMES = ("traceparent", "tracestate", "baggage")
TRACEPARENT = regex(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_LONGEST = 1 << 20
_WHITE = " \t\r\n"
_LONGEST_MEMBER = 9000
_STRING = rf'"((?:[^"\\\x00-\x1f]|\\.){{0,{_LONGEST_MEMBER}}})"'
# The last comma is ours, too: no object begins with one.
_MEMBERS = (
    rf'([{_WHITE}]*\{{)("traceparent" :"({TRACEPARENT.pattern})"'
    rf'(?:,"tracestate" :{_STRING})?(?:,"baggage" :{_STRING})?)(,|(?=[{_WHITE}]*\}}))'
)
_OURS, _OURS_IN_BYTES = regex(_MEMBERS), regex(_MEMBERS.encode())


class TakenOut(NamedTuple):
    """The message as it was sent, and the headers that it came with; `members` is what was taken out."""

    value: Any
    headers: dict[str, str]
    members: bytes = b""


def put_into(value: V, headers: Mapping[str, str]) -> V:
    """The value with the headers as members, in the type that it has, unless it has a `traceparent` already."""
    text = _text_of(value)
    if text is None or "traceparent" not in headers:
        return value
    found = _object_in(text)
    if found is None or "traceparent" in found:
        return value
    at = text.index("{") + 1
    texts = {name: json.dumps(headers[name]) for name in NAMES if name in headers and name not in found}
    members = [f'"{name}" :{text}' for name, text in texts.items() if len(text) <= _LONGEST_MEMBER]
    added = ",".join(members) + ("," if found else "")
    data: Any = value if isinstance(value, str) else bytes(value)  # type: ignore[call-overload]
    sent: V = data[:at] + (added if isinstance(value, str) else added.encode()) + data[at:]
    back = take_out(sent)
    return sent if back is not None and back.value == data else value


def take_out(value: Any) -> TakenOut | None:
    """None where there is no trace context in it."""
    if not isinstance(value, (str, bytes)) or len(value) > _LONGEST + 3 * _LONGEST_MEMBER:
        return None
    match: Match[Any] | None = (_OURS if isinstance(value, str) else _OURS_IN_BYTES).match(value)  # type: ignore[arg-type]
    if match is None:
        return _of_the_application(value)
    start = match.end(1)
    members = match.group()[start:]
    texts = [_as_text(text) for text in match.group(3, 4, 5)]
    headers = {name: json.loads(f'"{text}"') for name, text in zip(NAMES, texts, strict=True) if text is not None}
    plain: Any = value[:start] + value[match.end() :]  # type: ignore[operator]
    return TakenOut(plain, headers, members if isinstance(members, bytes) else members.encode())


def _of_the_application(value: str | bytes) -> TakenOut | None:
    name = "traceparent" if isinstance(value, str) else b"traceparent"
    if name not in value:  # type: ignore[operator]
        return None
    text = _text_of(value)
    found = _object_in(text) if text is not None else None
    parent = found.get("traceparent") if found else None
    if not isinstance(parent, str) or TRACEPARENT.fullmatch(parent) is None:
        return None
    headers = {key: found[key] for key in NAMES if isinstance(found.get(key), str)}  # type: ignore[index,union-attr]
    return TakenOut(value, headers)


def _as_text(part: str | bytes | None) -> str | None:
    return part.decode() if isinstance(part, bytes) else part


def _text_of(value: object) -> str | None:
    """None for what can be no JSON object in UTF-8."""
    if not isinstance(value, (str, bytes, bytearray, memoryview)) or len(value) > _LONGEST:
        return None
    start = value[:1] if isinstance(value, str) else bytes(value[:1]).decode("latin-1")
    if not start or start not in f"{{{_WHITE}":
        return None
    try:
        text = value if isinstance(value, str) else bytes(value).decode()
    except ValueError:
        return None
    return text if text.lstrip(_WHITE).startswith("{") else None


def _object_in(text: str) -> dict[str, Any] | None:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
