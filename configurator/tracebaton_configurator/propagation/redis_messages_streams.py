"""The trace context in the fields of a stream's message, and what is handed out in place of lists and dictionaries.

Beside the headers there is a field `tracebaton`, which names those that were put there: so they are told from the
application's own, which are followed, and stay.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tracebaton_configurator.propagation.redis_messages_text import NAMES, TRACEPARENT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from tracebaton_configurator.propagation.redis_messages_current import Message

_MARK = "tracebaton"
_KNOWN = (*NAMES, _MARK)


def with_fields(args: tuple[Any, ...], headers: Mapping[str, str]) -> tuple[Any, ...]:
    """The arguments of XADD, with fields added at the end unless the application has given a `traceparent`.

    What is a field's name is known from the end, whatever options stand before.
    """
    given = {_text(arg) for arg in args[-2:1:-2]}
    if "traceparent" not in headers or "traceparent" in given or _MARK in given:
        return args
    names = [name for name in NAMES if name in headers and name not in given]
    added = [part for name in names for part in (name, headers[name])]
    return (*args, *added, _MARK, " ".join(names))


def without_fields(fields: Mapping[Any, Any]) -> tuple[Mapping[Any, Any], dict[str, str] | None]:
    """The fields as they were sent, and the headers among them."""
    found = {text: value for name, value in fields.items() if (text := _text(name)) in _KNOWN}
    parent = _text(found.get("traceparent"))
    if parent is None or TRACEPARENT.fullmatch(parent) is None:
        return fields, None
    ours = (_text(found.pop(_MARK, None)) or "").split()
    headers = {name: text for name, value in found.items() if (text := _text(value)) is not None}
    if "traceparent" in ours:
        ours.append(_MARK)
        fields = {name: value for name, value in fields.items() if _text(name) not in ours}
    return fields, headers


def _text(value: object) -> str | None:
    if isinstance(value, bytes):
        try:
            return value.decode()
        except ValueError:
            return None
    return value if isinstance(value, str) else None


class Fields(dict[Any, Any]):
    """The fields of a message, which is current from when they are looked at. A copy is a plain dictionary."""

    __slots__ = ("message",)

    def __init__(self, fields: Mapping[Any, Any], message: Message) -> None:
        super().__init__(fields)
        self.message = message

    def __iter__(self) -> Iterator[Any]:
        self.message.read()
        return super().__iter__()

    def __reduce_ex__(self, _: object) -> tuple[Any, ...]:
        return dict, (list(dict.items(self)),)

    def __copy__(self) -> dict[Any, Any]:
        return dict(dict.items(self))

    copy = __copy__


def _reading(name: str) -> Callable[..., Any]:
    look = getattr(dict, name)

    def read(self: Fields, *args: Any, **kwargs: Any) -> Any:
        self.message.read()
        return look(self, *args, **kwargs)

    read.__name__ = name
    return read


for _name in ("__getitem__", "__contains__", "get", "items", "keys", "values", "pop", "popitem", "setdefault"):
    setattr(Fields, _name, _reading(_name))


class Messages(list[Any]):
    """A list of messages, each of which is current while an iteration is at it. A copy is a plain list."""

    __slots__ = ("messages",)

    def __init__(self, items: Sequence[Any], messages: Sequence[Message | None]) -> None:
        super().__init__(items)
        # By identity: the application may take some out of its list.
        self.messages = {id(item): message for item, message in zip(items, messages, strict=True) if message}

    def __iter__(self) -> Iterator[Any]:
        return _Iterator(self)

    def __reduce_ex__(self, _: object) -> tuple[Any, ...]:
        return list, (tuple(self[:]),)

    def __copy__(self) -> list[Any]:
        return self[:]

    copy = __copy__


class _Iterator:
    __slots__ = ("__weakref__", "_at", "_items", "_latest")

    def __init__(self, items: Messages) -> None:
        self._items: Messages | None = items
        self._at = 0
        self._latest: Message | None = None

    def __iter__(self) -> _Iterator:
        return self

    def __length_hint__(self) -> int:
        return 0 if self._items is None else max(0, len(self._items) - self._at)

    def __next__(self) -> Any:
        message, self._latest = self._latest, None
        if message is not None:
            message.let_go()
        items = self._items
        if items is None or self._at >= len(items):
            self._items = None
            raise StopIteration
        item = items[self._at]
        self._at += 1
        self._latest = message = items.messages.get(id(item))
        if message is not None:
            message.take(self)
        return item

    def __del__(self) -> None:
        # CPython drops it as soon as a `for` is left, however that happens.
        if self._latest is not None:
            self._latest.resume_work()


def handed_out(response: Any, make: Callable[[str, Any, dict[str, str] | None], Message], stream: Any = None) -> Any:
    """What redis-py has parsed, whichever shape that is, with each list of messages replaced.

    `make` is called with a stream's name, None where the response does not have it, a message's id and its headers.
    """
    if isinstance(response, dict):
        for name, value in response.items():
            response[name] = handed_out(value, make, name)
    elif isinstance(response, list):
        if any(map(_is_message, response)):
            return _replaced(response, lambda key, headers: make(_text(stream) or "", key, headers))
        named = len(response) == 2 and isinstance(response[0], (str, bytes)) and isinstance(response[1], list)
        for at, value in enumerate(response):
            response[at] = handed_out(value, make, response[0] if named and at else stream)
    return response


def only_taken_out(response: Any) -> Any:
    """The same for what is looked at and not received."""
    if isinstance(response, list):
        return [(item[0], without_fields(item[1])[0], *item[2:]) if _is_message(item) else item for item in response]
    return response


def _is_message(item: Any) -> bool:
    return isinstance(item, tuple) and len(item) >= 2 and isinstance(item[1], dict)


def _replaced(response: list[Any], make: Callable[[Any, dict[str, str] | None], Message]) -> Messages:
    items: list[Any] = []
    messages: list[Message | None] = []
    for item in response:
        if _is_message(item):
            fields, headers = without_fields(item[1])
            message = make(item[0], headers)
            items.append((item[0], Fields(fields, message), *item[2:]))
            messages.append(message)
        else:
            items.append(item)
            messages.append(None)
    return Messages(items, messages)
