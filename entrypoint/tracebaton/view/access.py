"""Who may write to a viewer: programs, and never a web page that a browser on this machine happens to show.

A page may send requests to 127.0.0.1, and by DNS rebinding from what the browser takes for the page's own site; then
`Host` has the page's name in it. What a page cannot do is to leave out `Origin` and the Sec-Fetch headers of a POST
(https://fetch.spec.whatwg.org/#origin-header, https://www.w3.org/TR/fetch-metadata/), or to set `Host`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Access", "host_of"]

_AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[^\s\[\]@/\\:?#]{1,255})(?::([0-9]{1,5}))?")
# How a container reaches what listens on the machine's loopback address; nobody can have these as a public name.
_OWN_NAMES = ("localhost", "host.docker.internal", "host.containers.internal")


@dataclass(frozen=True)
class Access:
    """What may be asked of a server that listens on the address `bound`, for which `given` was written to `option`."""

    bound: str
    given: str = ""
    option: str = "--host"

    def refusal(self, headers: Mapping[str, str]) -> str | None:
        """A sentence for a request that has to be refused; names of headers are in lower case, HTTP/2's `host` too."""
        host = host_of(headers.get("host", ""))
        if host is None:
            return f"Host {headers.get('host', '')!r:.80} is no host"
        site = headers.get("sec-fetch-site", "none").strip().lower()
        origin = headers.get("origin")
        if site not in {"none", "same-origin"} or (origin is not None and not self._is_own(origin, headers["host"])):
            return "requests of web pages are not taken"
        # Beyond loopback a server has names that it does not know. There a page gives itself away by its Origin.
        if _is_loopback(self.bound) and not self._is_ours(host):
            return f"Host {host!r:.80} is not this viewer's; start it with {self.option} {host:.80}, if it is"
        return None

    def _is_own(self, origin: str, host: str) -> bool:
        scheme, _, authority = origin.strip().lower().partition("://")
        name = host_of(authority)
        # With an address for a name, a page was loaded from that address.
        return (
            scheme == "http"
            and authority == host.strip().lower()
            and name is not None
            and (self._is_ours(name) or _is_address(name))
        )

    def _is_ours(self, host: str) -> bool:
        return host in {*_OWN_NAMES, self.bound, self.given.strip("[]").lower().rstrip(".")} or _is_loopback(host)


def host_of(authority: str) -> str | None:
    """The name or address in `HOST`, `HOST:PORT` or `[IPv6]:PORT`, in its usual spelling; None where there is none."""
    found = _AUTHORITY.fullmatch(authority.strip())
    if found is None:
        return None
    host = found[1].strip("[]").lower()
    if _is_address(host):
        return ip_address(host).compressed
    return host.removesuffix(".") or None if found[1][0] != "[" else None


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _is_loopback(host: str) -> bool:
    return _is_address(host) and ip_address(host).is_loopback
