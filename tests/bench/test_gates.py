"""A ratio above its limit, or none at all, is missed; a hop is held against the bare server with sniffio."""

from __future__ import annotations

import pytest
from contenders import BARE, BARE_SNIFFIO
from gates import LIMITS, contenders, verdicts
from results import Count, Results


def counted(**more: float) -> Results:
    """Bare, each contender exactly at its limit, and `more` instructions for the scenarios named."""
    bases = {"hello": (BARE, 1000.0), "redis": (BARE, 2000.0), "hop": (BARE_SNIFFIO, 3000.0)}
    counts = [Count(bare, scenario, [instructions]) for scenario, (bare, instructions) in bases.items()]
    counts.append(Count(BARE, "hop", [9000.0]))
    for name, limits in LIMITS.items():
        for scenario, limit in limits.items():
            counts.append(Count(name, scenario, [bases[scenario][1] * limit + more.get(scenario, 0)]))
    return Results({}, {}, {}, counts=counts)


def missed(results: Results) -> set[str]:
    return {
        scenario
        for cells in verdicts(results).values()
        for scenario, (_, is_within) in zip(("hello", "redis", "hop"), cells, strict=True)
        if not is_within
    }


def test_at_its_limit_it_is_within() -> None:
    assert missed(counted(hello=-1, redis=-1, hop=-1)) == set()


@pytest.mark.parametrize("scenario", ["hello", "redis", "hop"])
def test_above_its_limit_it_is_missed(scenario: str) -> None:
    assert missed(counted(**{"hello": -1, "redis": -1, "hop": -1, scenario: 1})) == {scenario}


def test_what_was_not_counted_is_missed() -> None:
    assert missed(Results({}, {}, {})) == {"hello", "redis", "hop"}


def test_each_that_has_a_limit_is_counted() -> None:
    assert set(LIMITS) < {each.name for each in contenders()}
    (unsampled,) = (each for each in contenders() if each.name == "tracebaton unsampled")
    assert unsampled.env["OTEL_TRACES_SAMPLER_ARG"] == "0.00001%"
