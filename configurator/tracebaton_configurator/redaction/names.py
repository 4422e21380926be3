"""Which names of query parameters and headers say that their value is a secret.

Upstream has four (https://opentelemetry.io/docs/specs/semconv/registry/attributes/url/). Here a name is read as words,
however they are put together (`accessToken`, `access_token`, `X-Access-Token`, `user[token]`), in any case.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import unquote_plus

if TYPE_CHECKING:
    from collections.abc import Iterable

# fmt: off
# A secret wherever the word stands in a name. Plurals are none of them: `max_tokens` is a number.
_ANY_WORD = frozenset([
    "apikey", "authorization", "credential", "credentials", "jwt", "passphrase", "passwd", "password", "pwd", "secret",
    "signature", "token",
])
# A secret where a name ends in it, as `openai_api_key` and `AWSAccessKeyId` do.
_ENDING = frozenset([
    "accesskey", "accesskeyid", "apikey", "authkey", "privatekey", "secretkey", "sessionid", "sessionkey", "sig",
    "signingkey", "subscriptionkey",
])
# A secret as the whole name only; as a part they are harmless too often: `sort_key`, `country_code`, `session_count`.
# `key` is Google's API key, `code` OAuth's authorization code (RFC 6749, 4.1.2), `ticket` that of CAS.
_WHOLE = frozenset([
    "accesstoken", "assertion", "auth", "authtoken", "bearer", "clientsecret", "code", "hmac", "idtoken", "jsessionid",
    "key", "otp", "pass", "phpsessid", "refreshtoken", "samlresponse", "session", "sessiontoken", "sid", "ticket",
])
# fmt: on
# Headers besides: what a browser is known by.
_HEADERS = frozenset(["cookie", "setcookie"])

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W\d_A-Za-z]+")
# Longer than any name that somebody gave.
_LONGEST = 256


class Names:
    """The built-in names, and those of the setting: one that begins with `-` is taken off, another one is added."""

    def __init__(self, setting: Iterable[str] = ()) -> None:
        given = list(setting)
        self._more = frozenset(_plain(name) for name in given if not name.startswith("-"))
        self._harmless = frozenset(_plain(name) for name in given if name.startswith("-"))
        self.is_secret = lru_cache(maxsize=2048)(self._is_secret)

    def is_secret_header(self, name: str) -> bool:
        """The same for a header, whose name may be spelled as in an attribute (`x_api_key`)."""
        plain = _plain(name)
        return (plain in _HEADERS and plain not in self._harmless) or bool(self.is_secret(name))

    def _is_secret(self, name: str) -> bool:
        """Whether the value of the parameter of that name, percent-encoded or not, is to be hidden."""
        if len(name) > _LONGEST:
            return True
        for _ in range(3):
            if "%" not in name and "+" not in name:
                break
            name = unquote_plus(name)
        plain = _plain(name)
        if plain in self._harmless:
            return False
        if plain in self._more or plain in _WHOLE:
            return True
        words = [word.lower() for word in _WORD.findall(name)]
        if any(word in _ANY_WORD and word not in self._harmless for word in words):
            return True
        endings = {"".join(words[start:]) for start in range(len(words))} & (_ENDING | _ANY_WORD)
        return bool(endings - self._harmless)


def _plain(name: str) -> str:
    """Letters and digits only, in lower case."""
    return "".join(char for char in name.lower() if char.isalnum())
