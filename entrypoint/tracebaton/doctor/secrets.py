"""What must never be printed: found in the environment once, and taken out of whatever is about to be said."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote

from tracebaton_configurator.settings.problem import masked

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["Secrets", "shown"]

MASK = "***"
_HEADERS = "_HEADERS"
_URLS = re.compile(r"(?i).*(?:_ENDPOINT|_PROXY|_URL|_URI|_DSN)")
_SECRET_NAME = re.compile(
    r"(?i).*(?:TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL|API[._-]?KEY|CLIENT_KEY|ACCESS[._-]?KEY|AUTH)"
)
# What stands before a token and is none itself (RFC 9110, 11.1, and vendors' habits).
_SCHEMES = frozenset(["bearer", "basic", "apikey", "api-key", "token", "digest", "authorization"])
# A shorter one cannot be told from a word of the sentence that it would be taken out of; such values are not printed.
_SHORTEST = 5


class Secrets:
    """The secret strings of an environment, and of a command line."""

    def __init__(self, environ: Mapping[str, str], command: Sequence[str] = ()) -> None:
        found = {one for name, value in environ.items() for one in _of_variable(name, value)}
        found |= {one for argument in command for one in _of_argument(argument)}
        secret = sorted((one for one in found if len(one) >= _SHORTEST), key=lambda one: (-len(one), one))
        self._pattern = re.compile("|".join(map(re.escape, secret))) if secret else None

    def scrub(self, text: str) -> str:
        """The text without any of them."""
        return self._pattern.sub(MASK, text) if self._pattern is not None else text


def shown(variable: str, value: str) -> str:
    """`VARIABLE='value'` as it may be printed; for variables that hold secrets, without the value."""
    if _SECRET_NAME.fullmatch(variable):
        return f"{variable}={MASK}"
    value = masked(variable, value.strip())
    if _URLS.fullmatch(variable):
        value = re.sub(r"\?.*", f"?{MASK}", value, flags=re.DOTALL)
    if variable.endswith("_ATTRIBUTES"):
        value = ",".join(_attribute(pair) for pair in value.split(","))
    return f"{variable}={value!r}"


def _attribute(pair: str) -> str:
    key, separator, value = pair.partition("=")
    return f"{key}={MASK}" if separator and value and _SECRET_NAME.match(key) else pair


def _of_variable(name: str, value: str) -> Iterator[str]:
    value = value.strip()
    if name.upper().endswith(_HEADERS):
        yield from _pieces(value)
        for pair in value.split(","):
            yield from _pieces(pair.partition("=")[2])
    elif _SECRET_NAME.match(name):
        yield from _pieces(value)
    elif name.upper().endswith("_ATTRIBUTES"):
        for key, _, one in (pair.partition("=") for pair in value.split(",")):
            if _SECRET_NAME.match(key):
                yield from _pieces(one)
    elif _URLS.fullmatch(name) or "@" in value:
        yield from _of_url(value)


def _of_url(url: str) -> Iterator[str]:
    """The password, the user and what comes after `?`."""
    before, at, after = url.rpartition("@")
    if at:
        userinfo = before.partition("://")[2] or before
        yield from _pieces(userinfo)
        yield from _pieces(userinfo.partition(":")[2])
    query = (after if at else url).partition("?")[2]
    for pair in query.split("&"):
        yield from _pieces(pair.partition("=")[2])


def _of_argument(argument: str) -> Iterator[str]:
    option, separator, value = argument.partition("=")
    if separator and _SECRET_NAME.match(option):
        yield from _pieces(value)
    elif "@" in argument:
        yield from _of_url(value if separator else argument)


def _pieces(value: str) -> Iterator[str]:
    """The value, as it is and percent-decoded, and the words of it that are not known to be harmless."""
    for one in {value, value.strip(), unquote(value), unquote(value).strip()}:
        yield one
        yield repr(one)[1:-1]
        yield from (word for word in one.split() if word.lower() not in _SCHEMES)
