"""Who calls over gRPC, as OTEL_TRACEBATON_TRUST_PARENT judges it."""

from __future__ import annotations

import pytest

from tracebaton_configurator.propagation import a2a_grpc


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("ipv4:10.1.2.3:50051", "10.1.2.3"),
        ("ipv6:%5B::1%5D:50051", "::1"),
        ("ipv6:[2001:db8::7]:50051", "2001:db8::7"),
        ("unix:", ""),
        ("unix:/run/a2a.sock", ""),
    ],
)
def test_the_address_of_a_peer(peer: str, address: str) -> None:
    assert a2a_grpc._address(peer)[0] == address
