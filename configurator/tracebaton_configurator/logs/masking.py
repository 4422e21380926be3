"""Values that stand under the name of a secret, at any depth, are masked where this project makes a line of fields.

A name is taken apart into words (`x-api-key`, `clientSecret`, `db.password`), and whole words decide: `prompt_tokens`
and `tokenizer` are none. Numbers, booleans and None stay: they count secrets, or say whether there is one.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from re import IGNORECASE
from re import compile as regex
from typing import Any

from tracebaton_configurator.logs.values import bounded_repr

MASK = "[masked]"
_DEEPEST = 50
_MOST_NAMES = 4096

_WORD = regex(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
# Words that are secrets by themselves.
_SECRET = frozenset(
    {"auth", "authorization", "bearer", "cookie", "cookies", "credential", "credentials", "jwt", "token"}
    | {"passcode", "passphrase", "passwd", "password", "passwords", "pwd", "secret", "secrets"}
    | {"apikey", "apikeys", "accesskey", "secretkey", "privatekey", "sessionid", "sessionkey", "setcookie"}
)
_ENDINGS = ("password", "passwd", "passphrase", "apikey", "secretkey", "accesstoken", "refreshtoken", "authtoken")
# Two words in a row that are.
_KEYS = frozenset({"api", "access", "private", "signing", "encryption", "ssh", "session", "master", "account"})
# What such a name says about a secret, without holding one: `token_type`, `password_policy`.
_ABOUT = frozenset(
    {"budget", "count", "counts", "endpoint", "expires", "expiry", "length", "limit", "limits", "policy", "size"}
    | {"ttl", "type", "types", "uri", "url", "usage"}
)
# What the application has masked itself stays as it is.
_ALREADY = regex(r"[*\u2022]+|\W*(?:redacted|masked|filtered|hidden|removed)\W*", IGNORECASE)
# In the repr of an object: `password='...'`, `"authorization": "..."`, `(b'cookie', b'...')`.
_IN_REPR = regex(r"""([\w.-]+)(["']?\s*(?:=|:|,)\s*)(b?'(?:[^'\\]|\\.)*'|b?"(?:[^"\\]|\\.)*"|SecretStr\([^)]*\))""")

_PLAIN = frozenset((str, int, float, bool, type(None)))
_names: dict[object, bool] = {}


def is_secret(name: object) -> bool:
    """Whether what stands under this name is a secret. Text and bytes are names; anything else is none."""
    known = _names.get(name) if type(name) is str else None
    if known is None:
        if isinstance(name, bytes):
            name = name.decode("latin-1")
        if not isinstance(name, str):
            return False
        if len(_names) >= _MOST_NAMES:  # names that an application makes up as it goes
            _names.clear()
        known = _names[name] = _is_secret([word.lower() for word in _WORD.findall(name[:200])])
    return known


def masked(value: Any) -> Any:
    """`value` as it may be written; the same object where nothing in it is to be masked. Never raises."""
    if type(value) in _PLAIN:
        return value
    try:
        return _copy(value, ()) if _holds_secret(value, ()) else value
    except Exception:  # noqa: BLE001 (a container of the application's own may raise anything)
        return MASK


def under(name: object, value: Any) -> Any:
    """What may be written of a value that stands under this name. Never raises."""
    return MASK if _is_to_be_masked(name, value) else masked(value)


def _is_to_be_masked(name: object, value: Any) -> bool:
    if value is None or isinstance(value, (bool, int, float)) or not is_secret(name):
        return False
    return not (isinstance(value, str) and (not value or _ALREADY.fullmatch(value)))


def _pairs_of(value: Any) -> list[tuple[object, Any]] | None:
    """What a container holds, each with the name under which it stands; None for what is no container."""
    if isinstance(value, Mapping):
        return list(value.items())
    if not isinstance(value, (list, tuple)):
        return None
    names = getattr(value, "_fields", None)
    if isinstance(names, tuple) and len(names) == len(value):
        return list(zip(names, value, strict=True))
    if len(value) == 2 and isinstance(value[0], (str, bytes)):
        return [(None, value[0]), (value[0], value[1])]  # a header as a pair, as ASGI and HTTP clients have them
    return [(None, item) for item in value]


def _holds_secret(value: Any, above: tuple[int, ...]) -> bool:
    if type(value) is dict and len(above) < _DEEPEST and id(value) not in above:
        # What most extras are, on a shorter way.
        inside = (*above, id(value))
        for name, item in value.items():
            if is_secret(name) and _is_to_be_masked(name, item):
                return True
            if type(item) not in _PLAIN and _holds_secret(item, inside):
                return True
        return False
    pairs = _pairs_of(value)
    if pairs is None:
        return _in_repr(value) is not None
    if id(value) in above:
        return False
    if len(above) >= _DEEPEST:
        return True  # too deep to be looked at
    inside = (*above, id(value))
    return any(_is_to_be_masked(name, item) or _holds_secret(item, inside) for name, item in pairs)


def _copy(value: Any, above: tuple[int, ...]) -> Any:
    pairs = _pairs_of(value)
    if pairs is None:
        return _in_repr(value) or value
    if id(value) in above or len(above) >= _DEEPEST:
        return "..."
    inside = (*above, id(value))
    made = [(name, MASK if _is_to_be_masked(name, item) else _copy(item, inside)) for name, item in pairs]
    return dict(made) if isinstance(value, Mapping) else [item for _, item in made]


def _in_repr(value: Any) -> str | None:
    """The repr of an object that has secrets in it, without them; None for one that has none."""
    if value is None or isinstance(value, (str, bytes, int, float, complex)):
        return None
    shown = bounded_repr(value)
    hidden = _IN_REPR.sub(_hide, shown)
    return hidden if hidden != shown else None


def _is_secret(words: list[str]) -> bool:
    if not words or words[-1] in _ABOUT:
        return False
    if any(word in _SECRET or word.endswith(_ENDINGS) for word in words):
        return True
    pairs = pairwise(words)
    return any((one in _KEYS and key in ("key", "keys")) or (one, key) == ("session", "id") for one, key in pairs)


def _hide(match: Any) -> str:
    return f"{match[1]}{match[2]}{MASK}" if is_secret(match[1]) else str(match[0])
