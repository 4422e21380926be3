"""Thresholds as the specification's "TraceState: Probability Sampling" has them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as some

from tracebaton_configurator.sampling.threshold import (
    NEVER,
    randomness_of,
    th_value,
    threshold_of,
)

TRACE_ID = 0xAABBCCDDEEFF00112233445566778899


def probability_of(threshold: int) -> float:
    return (NEVER - threshold) / NEVER


def parsed(th: str) -> int:
    """As whoever reads the trace state pads it."""
    return int(th.ljust(14, "0"), 16)


@pytest.mark.parametrize(
    ("probability", "th"),
    [
        (1.0, "0"),
        (0.5, "8"),
        (0.25, "c"),
        (0.01, "fd70a4"),  # the specification's own example, in "Rejection Threshold"
        (0.1, "e6666"),
        (1 / 3, "aaaab"),
        (0.9, "1999a"),
        (0.999, "0041893"),
        (2.0**-56, "ffffffffffffff"),
        (1e-300, "ffffffffffffff"),
        (1 - 2.0**-53, "00000000000008"),
    ],
)
def test_a_probability_becomes_a_short_th_value(probability: float, th: str) -> None:
    assert th_value(threshold_of(probability)) == th


def test_never_is_above_every_randomness_and_has_no_th_value() -> None:
    assert threshold_of(0.0) == NEVER
    assert probability_of(NEVER) == 0.0
    with pytest.raises(ValueError, match="has no th value"):
        th_value(NEVER)


def test_always_admits_every_randomness() -> None:
    assert threshold_of(1.0) == 0


@pytest.mark.parametrize("probability", [-0.1, 1.1, math.nan, math.inf])
def test_what_is_no_probability_is_refused(probability: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        threshold_of(probability)


@given(some.floats(min_value=0, max_value=1, exclude_min=True))
def test_every_probability_has_a_threshold_within_one_in_a_hundred_thousand(probability: float) -> None:
    threshold = threshold_of(probability)
    assert 0 <= threshold < NEVER
    assert parsed(th_value(threshold)) == threshold
    if probability >= 2.0**-36:  # below, fewer than five digits are left of 56 bits
        assert math.isclose(probability_of(threshold), probability, rel_tol=1e-5)
    assert len(th_value(threshold).lstrip("0")) <= 5 or th_value(threshold).startswith("f")
    assert len(th_value(threshold).lstrip("f")) <= 5 or th_value(threshold).startswith("0")


@given(some.floats(min_value=0, max_value=1), some.floats(min_value=0, max_value=1))
def test_more_probable_never_means_a_higher_threshold(one: float, other: float) -> None:
    """So whatever is sampled with one probability is sampled with every greater one, which is what consistent means."""
    low, high = sorted((one, other))
    assert threshold_of(high) <= threshold_of(low)


def test_randomness_is_the_low_56_bits_of_the_trace_id() -> None:
    assert randomness_of(TRACE_ID) == 0x33445566778899
    assert randomness_of(TRACE_ID, "th:8;other:value") == 0x33445566778899


@pytest.mark.parametrize("ot", ["rv:00000000000abc", "th:8;rv:00000000000abc", "rv:00000000000abc;th:8;x:y"])
def test_an_explicit_randomness_wins(ot: str) -> None:
    assert randomness_of(TRACE_ID, ot) == 0xABC


@pytest.mark.parametrize("ot", ["rv:abc", "rv:0000000000000g", "rv:00000000000ABC", "xrv:00000000000abc", "rv:"])
def test_a_wrong_explicit_randomness_counts_as_absent(ot: str) -> None:
    assert randomness_of(TRACE_ID, ot) == 0x33445566778899
