"""tracebaton.timeline.timestamps"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracebaton.timeline.timestamps import leading_ns, to_ns, to_text

_S = 1795378629  # 2026-11-22T20:17:09Z
_NS = _S * 1_000_000_000


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-11-22T20:17:09Z", _NS),
        ("2026-11-22T20:17:09.013412Z", _NS + 13_412_000),
        ("2026-11-22T20:17:09.013412789Z", _NS + 13_412_789),
        ("2026-11-22T22:17:09.5+02:00", _NS + 500_000_000),
        ("2026-11-22T14:47:09-0530", _NS),
        ("2026-11-22 20:17:09,013", _NS + 13_000_000),
        ("2026-11-22 20:17:09", _NS),
        ("2026/11/22 20:17", _NS - 9_000_000_000),
        (_S, _NS),
        (_S + 0.25, _NS + 250_000_000),
        (_S * 1000 + 13, _NS + 13_000_000),
        (_S * 1_000_000, _NS),
        (_NS + 1, _NS + 1),
        (str(_S), _NS),
        (f"{_S}.5", _NS + 500_000_000),
    ],
)
def test_forms(value: object, expected: int) -> None:
    """RFC 3339, asctime, and counts since 1970, whose unit their size tells; without a zone it is UTC."""
    assert to_ns(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        "",
        "now",
        "20:17:09",
        "2026-13-01T00:00:00Z",
        "2026-11-22",
        5,
        -1,
        True,
        None,
        float("nan"),
        float("inf"),
        10**30,
        {},
    ],
)
def test_no_time(value: object) -> None:
    assert to_ns(value) is None


def test_leading() -> None:
    assert leading_ns("[2026-11-22 20:17:09,013] x") == _NS + 13_000_000
    assert leading_ns("x 2026-11-22 20:17:09") is None


@given(st.text() | st.floats() | st.integers())
def test_anything(value: object) -> None:
    """Whatever the value is, it is a time that can be shown or none."""
    ns = to_ns(value)
    if ns is not None:
        assert to_text(ns).endswith("Z")


@given(st.datetimes().map(lambda moment: moment.isoformat()))
def test_round_trip(text: str) -> None:
    ns = to_ns(text)
    assert ns is not None
    assert to_ns(to_text(ns)) == ns
