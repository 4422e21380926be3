"""From an endpoint to a connection: directly, or through the proxy that the environment names."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from tracebaton_configurator.export.connection import Connection, Tls

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tracebaton_configurator.settings.endpoint import Endpoint

# Shorter values are no secrets, and masking them would leave nothing of a sentence; so would words such as "Bearer".
_SHORTEST_SECRET = 3
_LONG_WORD = 8
_WBITS = {"gzip": 31, "deflate": 15}  # HTTP's deflate is zlib's format (RFC 9110, 8.4.1.2)


class Address:
    """Where an endpoint is. `host` and `port` are the receiver's, `authority` both as a URL has them."""

    def __init__(self, endpoint: Endpoint, default_port: int) -> None:
        parts = urlsplit(endpoint.url)
        self.scheme = parts.scheme
        self.host = parts.hostname or "localhost"
        self.port = parts.port or (443 if self.scheme == "https" else default_port)
        self.path = parts.path + (f"?{parts.query}" if parts.query else "")
        self.authority = f"{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"
        self.compression = endpoint.compression
        self.credentials = _basic(parts.username, parts.password)
        self._tls = Tls(*endpoint.tls)
        self.proxy = urlsplit(endpoint.proxy) if endpoint.proxy else None
        self.proxy_credentials = _basic(self.proxy.username, self.proxy.password) if self.proxy else None
        self._secrets = secret_texts(
            [value for _, value in endpoint.headers],
            [
                parts.username,
                parts.password,
                self.credentials,
                *(one.partition("=")[2] for one in parts.query.split("&")),
            ],
            [self.proxy.username, self.proxy.password, self.proxy_credentials] if self.proxy else [],
        )

    def compressed(self, payload: bytes) -> bytes:
        """As the endpoint wants it."""
        if self.compression == "none":
            return payload
        packer = zlib.compressobj(3, wbits=_WBITS[self.compression])
        return packer.compress(payload) + packer.flush()

    def hide(self, text: str) -> str:
        """`text` without the values of headers and credentials that were set: a library may quote them."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text

    def connect(self, protocols: list[str], deadline: Callable[[], float], *, tunnel: bool) -> Connection:
        """A connection to the receiver, or to the proxy, through it where `tunnel` is true (OSError)."""
        proxy = self.proxy
        if proxy is None:
            connection = Connection.connect(self.host, self.port, deadline)
        else:
            connection = Connection.connect(proxy.hostname or "localhost", proxy.port or 80, deadline)
        try:
            if proxy is not None and tunnel:
                self._tunnel(connection, deadline)
            if self.scheme == "https":
                connection.start_tls(self.host, self._tls, protocols, deadline)
        except BaseException:
            connection.close()
            raise
        return connection

    def _tunnel(self, connection: Connection, deadline: Callable[[], float]) -> None:
        """CONNECT (RFC 9110, 9.3.6)."""
        credentials = f"Proxy-Authorization: {self.proxy_credentials}\r\n" if self.proxy_credentials else ""
        connection.send(
            f"CONNECT {self.authority} HTTP/1.1\r\nHost: {self.authority}\r\n{credentials}\r\n".encode(), deadline
        )
        answer = b""
        while not answer.endswith(b"\r\n\r\n"):
            more = connection.receive(deadline, 1)  # not a byte of what the receiver itself may have said behind it
            answer += more
            if not more or len(answer) > 65536:
                raise ConnectionError("the proxy does not answer as one")
        status = answer.split(b"\r\n", 1)[0].decode("latin-1")
        if not status.partition(" ")[2].startswith("2"):
            raise ConnectionError(f"the proxy refused: {status}")


def secret_texts(*groups: Sequence[str | None]) -> tuple[str, ...]:
    """What is to be masked, the longest first: each value, as it is and percent-decoded, and its longer words."""
    values = {one for group in groups for value in group if value for one in (value, unquote(value))}
    words = {word for value in values for word in value.split() if len(word) >= _LONG_WORD}
    found = {one for one in (*values, *words) if len(one) >= _SHORTEST_SECRET}
    return tuple(sorted(found | {repr(one)[1:-1] for one in found}, key=len, reverse=True))


def _basic(user: str | None, password: str | None) -> str | None:
    """`Basic` credentials from the user part of a URL (RFC 7617)."""
    if user is None:
        return None
    from base64 import b64encode

    return "Basic " + b64encode(f"{unquote(user)}:{unquote(password or '')}".encode()).decode()
