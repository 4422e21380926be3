"""Finds the secrets in URLs, in query strings and in any text that has URLs in it, such as an exception's message.

All of it takes linear time, and the query that is taken apart is bounded. Nothing is decoded and put together again:
what is no secret stays as it was written.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote

from tracebaton_configurator.redaction.names import Names

if TYPE_CHECKING:
    from collections.abc import Iterable

# What the semantic conventions ask for in the place of a value, and of user and password.
HIDDEN = "REDACTED"
# Patterns are compiled by the first text that needs them: most starts come by none.
_USERINFO = r"""(?<=://)[^\s/?#"'<>\\]+@"""
# A query, or a fragment with pairs in it (OAuth's implicit flow), up to where text goes on. None of the classes may
# match what the one before it stopped at: so no place is looked at twice.
_QUERY = r"""[?#][^\s"'<>`?#=]*=[^\s"'<>`]*"""
_TOP = r"([&#])"
_INNER = r"([;?])"
_JWT = r"eyJ[\w-]{8,}\.[\w-]+"
# Characters of a query that are recorded: servers take 64 KB, and what is beyond this nobody reads in a trace.
LONGEST_QUERY = 4096
_CUT = "..."
# How often something may be percent-encoded in itself.
_DEEPEST = 3


class Redactor:
    """Hides the values of secret parameters, and user and password. None of it raises for a string."""

    def __init__(self, setting: Iterable[str] = ()) -> None:
        self.names = Names(setting)

    def url(self, url: str) -> str:
        """A URL, or the path and query of one, as a whole: whatever comes behind the first `?` is its query."""
        before, mark, query = url.partition("?")
        if not mark and "#" in url:
            before, mark, query = url.partition("#")
        if "@" in before:
            before = re.sub(_USERINFO, f"{HIDDEN}:{HIDDEN}@", before)
        return before + mark + self.query(query)

    def query(self, query: str) -> str:
        """A query string without its `?`, cut at `LONGEST_QUERY` characters."""
        if len(query) > LONGEST_QUERY:
            query = query[:LONGEST_QUERY] + _CUT
        return self._pairs(query) if "=" in query else query

    def text(self, text: str) -> str:
        """Any text; of URLs in it the queries, each cut as above, and the user parts."""
        if "=" in text:
            text = re.sub(_QUERY, self._found, text)
        if "@" in text and "://" in text:
            text = re.sub(_USERINFO, f"{HIDDEN}:{HIDDEN}@", text)
        return text

    def _found(self, match: re.Match[str]) -> str:
        return match[0][0] + self.query(match[0][1:])

    def _pairs(self, query: str, depth: int = 0) -> str:
        """`a=b&c=d`; `;` and a second `?` begin a name as well, but the value of a secret goes on to `&` or `#`."""
        parts = re.split(_TOP, query)
        parts[::2] = [self._part(part, depth) if "=" in part else part for part in parts[::2]]
        return "".join(parts)

    def _part(self, part: str, depth: int) -> str:
        pieces = re.split(_INNER, part)
        for index in range(0, len(pieces), 2):
            name, equals, value = pieces[index].partition("=")
            if not equals:
                continue
            if value and self.names.is_secret(name):
                return "".join(pieces[:index]) + f"{name}={HIDDEN}"
            if self._is_opener(value, depth):
                pieces[index] = f"{name}={HIDDEN}"
        return "".join(pieces)

    def _is_opener(self, value: str, depth: int) -> bool:
        """Whether it is a secret whatever its name: a JSON Web Token, or a percent-encoded URL that has one in it."""
        if value.startswith("eyJ"):
            return re.match(_JWT, value) is not None
        for _ in range(_DEEPEST):
            if depth >= _DEEPEST or "%" not in value:
                break
            inner = unquote(value)
            if inner == value:
                break
            if re.search(_USERINFO, inner) or ("=" in inner and self._pairs(inner, depth + 1) != inner):
                return True
            value = inner
        return False


_current = Redactor()


def current() -> Redactor:
    """That of this process."""
    return _current


def use(setting: Iterable[str]) -> Redactor:
    """Build the redactor of this process, by the names of the setting."""
    global _current  # noqa: PLW0603 (the instrumentations are patched before and after)
    _current = Redactor(setting)
    return _current
