"""Counting, against a clock that the tests set: how much is sampled, and that the estimates are right."""

import math
import random
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from itertools import accumulate
from statistics import fmean, pstdev

import pytest
from hypothesis import given
from hypothesis import strategies as some

from tracebaton_configurator.sampling.rate_counter import RateCounter, RateCounters
from tracebaton_configurator.sampling.rules import Rate, parse_rules
from tracebaton_configurator.sampling.threshold import NEVER, threshold_of

TWO_A_SECOND = parse_rules("2/s")[0]


def counter(rate: str) -> RateCounter:
    return RateCounter(parse_rules(rate)[0].rate)


def probability_of(threshold: int) -> float:
    return (NEVER - threshold) / NEVER


def probabilities(of: RateCounter, times: Iterable[float]) -> list[float]:
    return [probability_of(of.threshold(now)) for now in times]


def steady(per_second: int, seconds: int, start: float = 0.0) -> list[float]:
    """Arrival times in seconds, evenly spread; exact where `per_second` is a power of two."""
    return [start + number / per_second for number in range(per_second * seconds)]


class TestConstant:
    @pytest.mark.parametrize(
        ("rate", "threshold"),
        [("10%", threshold_of(0.1)), ("1", 0), ("0", NEVER), ("0/s", NEVER), ("0/s+10%", threshold_of(0.1))],
    )
    def test_it_is_the_same_for_every_request(self, rate: str, threshold: int) -> None:
        one = counter(rate)
        assert {one.threshold(now) for now in (0.0, 0.0, 0.5, 100.0, 1e9)} == {threshold}


class TestFirstNAndAShareOfTheRest:
    def test_the_first_of_each_window_are_certain_and_the_others_have_the_share(self) -> None:
        found = probabilities(counter("4/s+50%"), steady(16, 3))
        assert found == ([1.0] * 4 + [0.5] * 12) * 3

    def test_fewer_than_n_are_all_sampled(self) -> None:
        assert set(probabilities(counter("4/s+0%"), steady(4, 10))) == {1.0}

    def test_a_window_begins_with_a_request(self) -> None:
        """Five at the end of one clock second and five at the start of the next are one burst."""
        one = counter("4/s+0%")
        assert probabilities(one, [7.9] * 5 + [8.1] * 5) == [1.0] * 4 + [0.0] * 6
        assert probabilities(one, [8.9]) == [1.0]

    @pytest.mark.parametrize(("rate", "least", "most"), [("0.5/s+0%", 30, 30), ("0.05/s", 3, 11), ("1.5/s+0%", 88, 90)])
    def test_a_fraction_is_a_whole_number_in_a_longer_window(self, rate: str, least: int, most: int) -> None:
        assert least <= sum(probabilities(counter(rate), steady(64, 60))) <= most


class TestNPerSecond:
    @pytest.mark.parametrize("wanted", [1, 10, 250])
    @pytest.mark.parametrize("times", [1, 2, 3, 16, 1000])
    def test_a_burst_yields_n_and_half_of_it_for_every_doubling(self, wanted: int, times: int) -> None:
        expected = sum(probabilities(counter(f"{wanted}/s"), [5.0] * wanted * times))
        bound = wanted * (1 + math.log2(times) / 2)
        assert 0.95 * bound <= expected <= bound * 1.0001  # thresholds are rounded

    def test_steady_traffic_yields_n_a_second(self) -> None:
        found = probabilities(counter("10/s"), steady(128, 60))
        assert sum(found[128:]) == pytest.approx(10 * 59, rel=0.001)

    def test_within_n_everything_is_sampled(self) -> None:
        assert set(probabilities(counter("8/s"), steady(8, 10))) == {1.0}

    def test_after_an_idle_time_everything_is_sampled_again(self) -> None:
        one = counter("10/s")
        assert min(probabilities(one, steady(1024, 5))) < 0.01
        assert probabilities(one, [200.0] * 10) == [1.0] * 10

    def test_a_short_idle_time_is_averaged_over(self) -> None:
        """1024 in one second and none in three others promise 256 for the next."""
        one = counter("8/s")
        probabilities(one, steady(1024, 1))
        assert probabilities(one, [4.0]) == [8 / 256]

    def test_no_request_is_without_a_chance(self) -> None:
        found = probabilities(counter("0.001/s"), [0.0] * 100_000 + steady(1024, 20, start=1500.0))
        assert 0 < min(found) < 1e-5


class TestSeveral:
    def test_each_process_counts_for_itself(self) -> None:
        """Four workers: four times N, and the sum of their estimates is the number of requests."""
        chance = random.Random(4)
        workers = [RateCounters().get(TWO_A_SECOND, "GET /x") for _ in range(4)]
        thresholds = [chance.choice(workers).threshold(now) for now in steady(64, 300)]
        taken = [threshold for threshold in thresholds if (chance.getrandbits(56) >= threshold)]
        assert 0.9 < len(taken) / (4 * 2 * 300) < 1.3
        assert sum(1 / probability_of(threshold) for threshold in taken) == pytest.approx(64 * 300, rel=0.1)

    def test_threads_miscount_slightly_and_never_raise(self) -> None:
        one, found, threads, each = counter("100/s"), [], 8, 5000
        interval = sys.getswitchinterval()

        def request() -> None:
            found.extend([one.threshold(time.monotonic()) for _ in range(each)])

        sys.setswitchinterval(1e-6)
        try:
            running = [threading.Thread(target=request) for _ in range(threads)]
            for thread in running:
                thread.start()
            for thread in running:
                thread.join(60)
        finally:
            sys.setswitchinterval(interval)
        assert len(found) == threads * each
        assert all(0 <= threshold < NEVER for threshold in found)

    @given(
        some.sampled_from(["1/s", "0.3/s", "3/s+10%"]),
        some.lists(some.tuples(some.integers(0, 3), some.floats()), max_size=80),
    )
    def test_steps_of_several_threads_in_any_order_never_raise(self, rate: str, steps: list[tuple[int, float]]) -> None:
        """Also when clocks go backwards, and when a step finds what another thread left half-way."""
        one = counter(rate)
        for step, now in steps:
            if step == 0:
                one._lower()
            elif step == 1:
                one._begin_window(now)
            else:
                assert 0 <= one.threshold(now) < NEVER


class TestEndpoints:
    def test_one_counter_for_each_rule_and_name(self) -> None:
        known = RateCounters()
        other_rule = parse_rules("3/s")[0]
        one = known.get(TWO_A_SECOND, "GET /x")
        assert known.get(TWO_A_SECOND, "GET /x") is one
        assert known.get(TWO_A_SECOND, "GET /y") is not one
        assert known.get(other_rule, "GET /x") is not one

    def test_beyond_the_limit_all_share_one_counter_of_their_rule(self) -> None:
        known = RateCounters(limit=10)
        first = known.get(TWO_A_SECOND, "0")
        found = [known.get(TWO_A_SECOND, str(number)) for number in range(1000)]
        other = known.get(parse_rules("3/s")[0], "late")
        assert len(set(map(id, found))) == 11
        assert found[0] is first
        assert other not in found

    def test_a_constant_rate_takes_no_place(self) -> None:
        known = RateCounters(limit=1)
        constant = parse_rules("10%")[0]
        assert len({id(known.get(constant, str(number))) for number in range(100)}) == 1
        assert known.get(TWO_A_SECOND, "a") is not known.get(TWO_A_SECOND, "b")

    def test_long_names_are_kept_short(self) -> None:
        known = RateCounters()
        assert known.get(TWO_A_SECOND, "x" * 10_000) is known.get(TWO_A_SECOND, "x" * 20_000)
        assert max(len(name) for _, name in known._known) <= 200


def gusts(chance: random.Random, number: int, per_second: float) -> Iterator[float]:
    """`number` arrival times in seconds: random at `per_second`, with bursts at one moment and quiet minutes."""
    steps = (
        0.0 if burst else 60.0 if chance.random() < 0.0005 else chance.expovariate(per_second)
        for burst in (chance.random() < 0.2 for _ in range(number))
    )
    return accumulate(steps)


def estimate(seed: int, mix: list[tuple[str, int, float]]) -> tuple[float, float]:
    """The sum of 1/p over the sampled of `mix` (rate, number, requests a second), and its standard deviation.

    Given the arrivals, each request counts 1/p with probability p, else nothing: its variance is (1-p)/p.
    """
    chance, total, variance = random.Random(seed), 0.0, 0.0
    for rate, number, per_second in mix:
        one = counter(rate)
        for now in gusts(chance, number, per_second):
            threshold = one.threshold(now)
            probability = probability_of(threshold)
            variance += (1 - probability) / probability
            total += (chance.getrandbits(56) >= threshold) / probability
    return total, math.sqrt(variance)


def test_the_sampled_tell_how_many_there_were() -> None:
    mix = [("50%", 40_000, 50.0), ("20/s", 30_000, 30.0), ("5/s+40%", 30_000, 20.0)]
    estimated, deviation = estimate(1, mix)
    assert deviation < 1000 / 2.5  # else one per cent would be a matter of luck
    assert abs(estimated - 100_000) < 1000


def test_the_estimate_has_no_bias() -> None:
    """Over 40 seeds and rates that leave little, the errors are like draws of a normal distribution around 0."""
    mix = [("10%", 1500, 20.0), ("2/s", 1500, 20.0), ("0.5/s", 500, 3.0), ("1/s+5%", 1500, 30.0)]
    errors = [(total - 5000) / deviation for total, deviation in (estimate(seed, mix) for seed in range(40))]
    assert abs(fmean(errors)) < 3 / math.sqrt(len(errors))
    assert 0.7 < pstdev(errors) < 1.3


def test_a_decision_costs_little() -> None:
    """About 0.15 us, clock not counted; the bound leaves room for a slow machine, not for a lock or an allocation."""
    one = RateCounter(Rate(10.0, None))
    times = steady(1000, 100)
    begun = time.process_time()
    for now in times:
        one.threshold(now)
    assert (time.process_time() - begun) / len(times) < 2e-6
