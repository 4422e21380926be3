"""Which callers are trusted."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import pytest

from tracebaton_configurator.propagation.trust import CACHED_ADDRESSES, Trust

GARBAGE: list[Any] = [
    None,
    (),
    {},
    {"a": 1},
    5,
    "",
    (None, 1),
    (b"10.0.0.1", 1),
    (10, 1),
    ([], 1),
    ("", 0),
    ("/run/app.sock", 0),
    ("testclient", 50000),
    ("10.0.0.1.1", 1),
    ("10.0.0.01", 1),
    ("10.0.0.1 ", 1),
    ("1" * 100_000, 1),
    ("\ud800", 1),
]


def trust(*networks: str) -> Trust:
    return Trust([ip_network(network) for network in networks])


@pytest.mark.parametrize("client", [*GARBAGE, ("10.0.0.1", 1)])
def test_true_trusts_everybody_and_false_nobody(client: Any) -> None:
    answers = [Trust(setting).trusts(client) for setting in (True, False, ())]
    assert answers == [True, False, False]


@pytest.mark.parametrize("client", GARBAGE)
def test_without_an_address_nobody_is_in_a_network(client: Any) -> None:
    everywhere = trust("0.0.0.0/0", "::/0")
    assert everywhere.trusts(client) is False
    assert everywhere.trusts(client) is False


@pytest.mark.parametrize(
    ("address", "trusted"),
    [
        ("10.0.0.1", True),
        ("10.255.255.255", True),
        ("11.0.0.1", False),
        ("127.0.0.1", True),
        ("127.0.0.2", False),
        ("::ffff:10.1.2.3", True),
        ("::ffff:11.1.2.3", False),
        ("fd00::1", True),
        ("fd00::1%eth0", True),
        ("fe80::1", False),
        ("::1", False),
    ],
)
def test_networks(address: str, *, trusted: bool) -> None:
    asked = trust("10.0.0.0/8", "127.0.0.1", "fd00::/8")
    assert [asked.trusts((address, 1)), asked.trusts([address, 2])] == [trusted, trusted]


def test_a_network_of_mapped_addresses_is_one_of_ipv4() -> None:
    asked = trust("::ffff:10.0.0.0/104")
    assert asked.trusts(("10.1.2.3", 1))
    assert asked.trusts(("::ffff:10.1.2.3", 1))
    assert not asked.trusts(("11.1.2.3", 1))


def test_answers_are_remembered_for_a_bounded_number_of_addresses() -> None:
    asked = trust("10.0.0.0/8")
    for number in range(3 * CACHED_ADDRESSES):
        assert asked.trusts((f"10.0.{number >> 8}.{number & 255}", 1))
        assert not asked.trusts((f"garbage {number}", 1))
        assert len(asked._answers) <= CACHED_ADDRESSES
