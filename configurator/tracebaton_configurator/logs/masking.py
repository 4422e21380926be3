"""Values under secret-looking names are replaced, at any depth; everything else stays as it is."""

from __future__ import annotations

import re
from enum import Enum
from functools import cache
from types import FunctionType
from typing import Any

from tracebaton_configurator.logs.forms import NONE, json_form
from tracebaton_configurator.logs.secret_names import is_secret_name, outcome_of
from tracebaton_configurator.logs.values import bounded_repr

MASKED = "[masked]"
_TOO_MUCH = "[left out: too deep or too much]"
_DEEPEST = 50
_SHALLOW = 4
_MOST_VALUES = 10_000  # containers, and names in them; their plain values are not counted
_PLAIN = frozenset((str, int, float, bool, type(None)))
_OPEN = (int, float, type(None))  # bool is an int: none of these is hidden
# What a processor, a patcher or a filter of the application's own has put in a secret's place.
_MASKED_ALREADY = r"(?i)|[*\u2022]+|[\[<(*]*(?:masked|redacted|filtered|hidden|removed)[\]>)*]*"
# Not compiled before there is something to mask: that takes as long as a good part of a start.
_compiled = cache(re.compile)
_NAMES_OF_NAMES = ("name", "key", "header", "field")


def masked(value: Any) -> Any:
    """`value`, or a copy of it in which what is secret reads `[masked]`. Never raises.

    Looked into are dicts, lists and tuples. A list or tuple of two (headers of ASGI, for instance, also as bytes) and
    `{"name": ..., "value": ...}` count as a name and its value, and so do the fields of a named tuple.
    What JSON has no form for is left to `masked_repr`.
    """
    if type(value) in _PLAIN:
        return value
    try:
        return value if _is_clean(value, 0) else _Walk().masked(value, 0)
    except Exception:  # noqa: BLE001 (a container of the application's own may raise anything)
        return masked_repr(value)


def masked_under(name: str, value: Any) -> Any:
    """What is shown of a value that has this name."""
    return _shown(value) if is_secret_name(name) else masked(value)


def _shown(secret: Any) -> Any:
    if isinstance(secret, _OPEN) or (type(secret) is str and _compiled(_MASKED_ALREADY).fullmatch(secret)):
        return secret
    return MASKED


def _is_clean(value: Any, depth: int) -> bool:
    """Whether the value is certain to stay as it is: most are, and a look at their names costs least."""
    kind = type(value)
    if kind is dict:
        for name, item in value.items():
            if outcome_of(name) is not False or (
                type(item) not in _PLAIN and not (depth < _SHALLOW and _is_clean(item, depth + 1))
            ):
                return False
        return "value" not in value
    return kind is list and _PLAIN.issuperset(map(type, value)) and (len(value) != 2 or outcome_of(value[0]) is False)


class _Walk:
    def __init__(self) -> None:
        self._left = _MOST_VALUES
        self._above: list[int] = []

    def masked(self, value: Any, depth: int) -> Any:
        kind = type(value)
        if kind in _PLAIN:
            return value
        if isinstance(value, (str, dict, list, tuple)):
            method = _own_way_of_showing(kind)
            if method is not None:
                return masked_text(bounded_repr(value)) if method == "__repr__" else str(value)
        if not isinstance(value, (dict, list, tuple)):
            return value
        if id(value) in self._above:
            return masked_repr(value)
        self._left -= 1 + (len(value) if isinstance(value, dict) else 0)
        if depth >= _DEEPEST or self._left < 0:
            return _TOO_MUCH
        self._above.append(id(value))
        try:
            if isinstance(value, dict):
                return self._dict(value, depth + 1)
            return self._sequence(value, depth + 1)
        finally:
            self._above.pop()

    def _dict(self, value: dict[Any, Any], depth: int) -> dict[Any, Any]:
        named = "value" in value and any(
            is_secret_name(value[name]) for name in _NAMES_OF_NAMES if isinstance(value.get(name), (str, bytes))
        )
        made = {}
        changed = type(value) is not dict
        for name, item in value.items():
            shown: Any = name
            if isinstance(name, (str, bytes)):
                is_secret = is_secret_name(name) or (named and name == "value")
            else:
                is_secret = False
                if type(name) not in _PLAIN:
                    shown, changed = masked_form(name), True
                    if not isinstance(shown, str):
                        shown = masked_repr(name) if isinstance(shown, (dict, list)) else str(shown)
                    is_secret = is_secret_name(shown)
            made[shown] = _shown(item) if is_secret else self.masked(item, depth)
            changed |= made[shown] is not item
        return made if changed else value

    def _sequence(self, value: Any, depth: int) -> Any:
        if type(value) in (list, tuple) and len(value) != 2:
            if _PLAIN.issuperset(map(type, value)):
                return value
            made = []
            for item in value:
                made.append(self.masked(item, depth))
                if self._left < 0:  # that was the mark of what is left out
                    return made
        elif fields := getattr(type(value), "_fields", None):
            made = [
                _shown(item) if is_secret_name(name) else self.masked(item, depth)
                for name, item in zip(fields, value, strict=False)
            ]
        else:
            made = [self.masked(item, depth) for item in value]
            if len(made) == 2 and isinstance(value[0], (str, bytes)) and is_secret_name(value[0]):
                made[1] = _shown(value[1])
        if type(value) in (list, tuple) and all(new is old for new, old in zip(made, value, strict=True)):
            return value
        return made


def _own_way_of_showing(kind: type) -> str | None:
    """By which method a class of text or of a container shows itself, where it does: it may leave something out."""
    for name in ("__repr__", "__str__"):
        method = getattr(kind, name)
        if isinstance(method, FunctionType) and method.__module__ != "collections" and not issubclass(kind, Enum):
            return name
    return None


# A name, in quotes or not, and what stands between it and its value: `password='`, `'password': '`, `('password', '`.
_NAMED = (
    r"""(?<![\w.])(?<!\w-)(?P<quote>b?['"])?(?P<name>[A-Za-z_][\w.\-]*)(?(quote)['"])\s*"""
    r"""(?P<between>=|:(?!//)|(?(quote),|=))\s*"""
)
_STAYS = r"(?:None|True|False)(?!\w)"
_QUOTED = r"""(?s)[bBrRuUfF]{0,2}(?:'(?:[^'\\]|\\.)*(?:'|$)|"(?:[^"\\]|\\.)*(?:"|$))"""
_KEY = r"""b?(?:'\w+'|"\w+")\s*:\s*"""


def masked_repr(value: object) -> str:
    """`repr` in at most 1000 characters, in which the values of `password='...'` and the like read `[masked]`."""
    return masked_text(bounded_repr(value))


def masked_form(value: Any) -> Any:
    """What JSON users expect of a value that JSON has no form for, or its repr, less what is secret. Never raises."""
    try:
        form = json_form(value)
    except Exception:  # noqa: BLE001 (a property or a method of the application's may raise anything)
        form = NONE
    return masked_repr(value) if form is NONE else masked(_with_masked_texts(form))


def _with_masked_texts(form: Any, depth: int = 0) -> Any:
    """The fields of an object, in the text of which the values of `password=...` would have been masked as well."""
    if type(form) is str:
        return masked_text(form)
    if depth >= _SHALLOW:
        return form
    if type(form) is dict:
        return {name: _with_masked_texts(item, depth + 1) for name, item in form.items()}
    return [_with_masked_texts(item, depth + 1) for item in form] if type(form) in (list, tuple) else form


def masked_text(text: str) -> str:
    """A text as programs write it, with what follows a secret's name and `=`, `:` or `,` replaced."""
    shown, done = [], 0
    for match in _compiled(_NAMED).finditer(text):
        if match.start() < done or not is_secret_name(match["name"]) or _compiled(_STAYS).match(text, match.end()):
            continue
        start = match.end()
        key = _compiled(_KEY).match(text, start) if match["between"] == "," else None
        if key is not None:  # `'name': 'password', 'value': '...'`
            start = key.end()
        shown += [text[done:start], MASKED]
        done = _end_of_value(text, start)
    return "".join([*shown, text[done:]]) if done else text


def _end_of_value(text: str, start: int) -> int:
    """Where a value ends: with its quote, or at what cannot belong to it, outside brackets of its own."""
    quoted = _compiled(_QUOTED).match(text, start)
    if quoted:
        return quoted.end()
    depth, place = 0, start
    while place < len(text):
        letter = text[place]
        if letter in "'\"":
            quoted = _compiled(_QUOTED).match(text, place) if depth else None
            if quoted is None:
                return place
            place = quoted.end()
            continue
        if letter in "([{<":
            depth += 1
        elif letter in ")]}>":
            if not depth:
                return place
            depth -= 1
        elif not depth and letter in ",;&\n":
            return place
        place += 1
    return place


def shows_its_items(logged: dict[Any, Any]) -> bool:
    """Whether the text of a dict that is logged as the message is that of its items."""
    return _own_way_of_showing(type(logged)) is None
