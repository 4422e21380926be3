"""Whose `traceparent` is obeyed: everybody's, nobody's, or that of callers from certain networks.

https://www.w3.org/TR/trace-context-2/#security-considerations
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from ipaddress import IPv4Network, IPv6Network

# Addresses whose answer is remembered; services are called by tens of peers, the open internet by any number.
CACHED_ADDRESSES = 1024
# Characters. The longest address is 39, or 45 with an embedded IPv4 part, and a zone may follow.
_LONGEST_ADDRESS = 64


class Trust:
    """The answer to `OTEL_TRACEBATON_TRUST_PARENT` for one caller at a time.

    The address is the one in the ASGI scope: behind a proxy that is the proxy's, unless the server was told to believe
    `X-Forwarded-For` (uvicorn: `--proxy-headers`, `--forwarded-allow-ips`).
    """

    def __init__(self, setting: bool | Sequence[IPv4Network | IPv6Network]) -> None:  # noqa: FBT001
        self._always: bool | None = setting if isinstance(setting, bool) else None
        self._networks = () if isinstance(setting, bool) else tuple(_as_ipv4(network) for network in setting)
        self._answers: dict[str, bool] = {}

    def trusts(self, client: Sequence[object] | None) -> bool:
        """Whether the caller at `client`, a scope's `(address, port)`, is trusted. Never raises.

        Without an address (a Unix socket, a test client's name) nobody is, unless everybody is.
        """
        if self._always is not None:
            return self._always
        try:
            address = client[0]  # type: ignore[index]  # None is one of the many things that have no address
            answer = self._answers.get(address)  # type: ignore[arg-type]  # nor is it always a string
            return self._ask(address) if answer is None else answer
        except Exception:  # noqa: BLE001
            return False

    def trusts_own(self) -> bool:
        """Whether what comes without any caller's address, from the process's own queues and pipes, is trusted."""
        return self._always is not False

    def _ask(self, address: object) -> bool:
        if not isinstance(address, str) or len(address) > _LONGEST_ADDRESS:
            return False
        answer = self._is_inside(address)
        if len(self._answers) >= CACHED_ADDRESSES:
            # Cleared rather than aged: no bookkeeping per request, and one parse per address is soon made up for.
            self._answers.clear()
        self._answers[address] = answer
        return answer

    def _is_inside(self, address: str) -> bool:
        from ipaddress import ip_address

        try:
            parsed = ip_address(address)
        except ValueError:
            return False
        # A server that listens on `::` sees IPv4 callers as ::ffff:10.0.0.1 (RFC 4291, 2.5.5.2).
        parsed = getattr(parsed, "ipv4_mapped", None) or parsed
        return any(parsed in network for network in self._networks)


def _as_ipv4(network: IPv4Network | IPv6Network) -> IPv4Network | IPv6Network:
    from ipaddress import IPv4Network

    mapped = getattr(network.network_address, "ipv4_mapped", None)
    return network if mapped is None or network.prefixlen < 96 else IPv4Network((mapped, network.prefixlen - 96))
