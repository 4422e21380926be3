"""The `..._HEADERS` variables of OTLP: names and values as they may be sent, and what is wrong with the others.

A header that HTTP or gRPC refuses costs every export, and what the libraries say about it quotes its value. So it is
judged here, where it can be left out. Values are never shown, and neither is a name that is not known to be none: a
variable that was filled in the wrong way has the token there.

https://opentelemetry.io/docs/specs/otel/protocol/exporter/#specifying-headers-via-environment-variables
"""

from __future__ import annotations

from re import compile as regex
from typing import TYPE_CHECKING
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tracebaton_configurator.settings.reader import Reader

_ACCEPTED = "name=value,name=value"
# RFC 9110, 5.6.2.
_TOKEN = regex(r"[!#$%&'*+\-.^_`|~0-9a-z]+")
# C0, DEL and C1 (RFC 9110, 5.5; gRPC allows even less), and bytes of the environment that were no UTF-8.
_FORBIDDEN = regex(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
# Of the connection (RFC 9110, 7.6.1; RFC 9113, 8.2.2), and those by which the exporter says what it sends and how.
# fmt: off
_NOT_TO_BE_SET = frozenset([
    "connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "http2-settings",
    "expect", "content-length", "content-type", "content-encoding", "accept-encoding",
])
# fmt: on


def read_headers(reader: Reader, *variables: str, grpc: bool) -> tuple[tuple[str, str], ...]:
    """The headers in the first of `variables` that is set, names in lower case; what is wrong is said and left out."""
    variable = reader.first_set(*variables)
    headers: dict[str, str] = {}
    for _, name, value, problem in _parts(reader.text(*variables) or "", grpc=grpc):
        if problem:
            reader.wrong(variable, problem, _ACCEPTED, f"that {'header' if name and value else 'part'} is left out")
        else:
            headers[name] = value
    return tuple(headers.items())


def without_wrong_parts(text: str) -> str:
    """The variable's text less what `read_headers` leaves out, for upstream's exporters, which log what they refuse."""
    return ",".join(part for part, _, _, problem in _parts(text, grpc=False) if not problem)


def _parts(text: str, *, grpc: bool) -> Iterator[tuple[str, str, str, str]]:
    """Each part that is not empty: as it is, name, value, and what is wrong with it or nothing."""
    for number, part in enumerate(text.split(","), 1):
        if not part.strip():
            continue
        name, separator, value = part.partition("=")
        # Bytes that are no UTF-8 become what `_FORBIDDEN` finds.
        name, value = (unquote(one, errors="surrogateescape").strip(" \t") for one in (name, value))
        name = name.lower()
        yield part, name, value, _problem(name, value, number, named=bool(separator and name), grpc=grpc)


def _problem(name: str, value: str, number: int, *, named: bool, grpc: bool) -> str:
    if not named:
        return "has a part without a name"
    if _FORBIDDEN.search(name) or _FORBIDDEN.search(value):
        return f"has a control character, such as a line break, or bytes that are no text in part {number}"
    if _TOKEN.fullmatch(name) is None:
        return f"has no valid name of a header in part {number}"
    if name in _NOT_TO_BE_SET or (grpc and (name == "host" or name.startswith("grpc-"))):
        return f"has {name} in part {number}, which is not for a user to set"
    return ""
