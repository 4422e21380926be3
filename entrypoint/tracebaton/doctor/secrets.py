"""What must never be printed: found in the environment once, and taken out of whatever is about to be said."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tracebaton_configurator.export.address import secret_texts
from tracebaton_configurator.redaction.names import Names
from tracebaton_configurator.settings.problem import SECRET_SUFFIXES, masked

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["Secrets", "shown"]

_MASK = "***"
# A shorter one cannot be told from a word of the sentence that it would be taken out of; such values are not printed.
_SHORTEST = 5
_is_secret = Names().is_secret


class Secrets:
    """The secret strings of an environment, and of a command line."""

    def __init__(self, environ: Mapping[str, str], command: Sequence[str] = ()) -> None:
        options = [argument.partition("=")[::2] for argument in command]
        found = [one for name, value in (*environ.items(), *options) for one in _in_variable(name, value)]
        found += [one for argument in command for one in _in_url(argument)]
        secret = [one for one in secret_texts(found) if len(one) >= _SHORTEST]
        self._pattern = re.compile("|".join(map(re.escape, secret))) if secret else None

    def scrub(self, text: str) -> str:
        """The text without any of them."""
        return self._pattern.sub(_MASK, text) if self._pattern is not None else text


def shown(variable: str, value: str) -> str:
    """`VARIABLE='value'` as it may be printed."""
    value = _MASK if _is_secret(variable) else masked(variable, value.strip())
    if variable.endswith("_ATTRIBUTES"):
        pairs = [pair.partition("=") for pair in value.split(",")]
        value = ",".join(f"{key}{mark}{_MASK if _is_secret(key) else one}" for key, mark, one in pairs)
    return f"{variable}={value!r}"


def _in_variable(name: str, value: str) -> Iterator[str]:
    pairs = [pair.partition("=") for pair in value.split(",")]
    if _is_secret(name) or name.upper().endswith(SECRET_SUFFIXES):
        yield value
        yield from (one for _, _, one in pairs)
    elif name.upper().endswith("_ATTRIBUTES"):
        yield from (one for key, _, one in pairs if _is_secret(key))
    else:
        yield from _in_url(value)


def _in_url(text: str) -> Iterator[str]:
    """User and password, wherever they stand, and what a query holds."""
    before, at, after = text.rpartition("@")
    if at:
        userinfo = before.partition("://")[2] or before
        yield userinfo
        yield userinfo.partition(":")[2]
    if "://" in text:
        yield from (pair.partition("=")[2] for pair in after.partition("?")[2].split("&"))
