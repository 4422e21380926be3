"""Medians and ratios, the table that is written from them, and the way to a file and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from contenders import BARE
from results import Count, Reading, Results, Start
from table import grid, markdown
from targets import verdicts

if TYPE_CHECKING:
    from pathlib import Path

OWN = "tracebaton 10 %"


def reading(contender: str, *rounds: list[float], scenario: str = "hello", error: str = "") -> Reading:
    return Reading(contender, scenario, start_rss=60, end_rss=61, error=error, rounds=list(rounds))


def results(*readings: Reading) -> Results:
    return Results({"cores": "2 cores"}, {"load": "wrk"}, {BARE: {"fastapi": "1"}}, readings=list(readings))


class TestRatio:
    def test_it_is_taken_round_by_round_and_then_the_median(self) -> None:
        """A machine that is slower in one round is so for both."""
        bare = reading(BARE, [100, 102], [200, 200], [100, 100])
        own = reading(OWN, [111.1], [220], [300])
        assert own.ratio(bare) == pytest.approx(1.1)

    def test_the_cpu_is_the_median_of_the_rounds(self) -> None:
        assert reading(BARE, [1, 3], [10], [4]).cpu == 4

    def test_a_reading_with_an_error_has_none(self) -> None:
        found = results(reading(BARE, [1.0]), reading(OWN, [1.0], error="no spans"))
        assert found.ratio(OWN, "hello") is None

    def test_without_the_bare_server_there_is_none(self) -> None:
        assert results(reading(OWN, [1.0])).ratio(OWN, "hello") is None

    def test_a_start_is_compared_with_that_of_the_same_round(self) -> None:
        found = results()
        own = Start(OWN, [0.6, 1.1, 0.9], [80, 90, 85], [0.7, 1.2, 0.9], [90, 91, 92])
        found.starts = [Start(BARE, [0.4, 0.9, 0.5], [60] * 3), own]
        assert found.start_over(OWN) == pytest.approx(0.2)
        assert found.start_over(OWN, span=True) == pytest.approx(0.3)
        assert found.starts[1].rss_over(found.starts[0]) == 25


class TestTargets:
    @pytest.mark.parametrize(("cost", "met"), [(114.0, True), (115.4, True), (116.0, False)])
    def test_a_target_is_read_with_two_decimals(self, cost: float, met: bool) -> None:  # noqa: FBT001
        (verdict,) = verdicts(results(reading(BARE, [100.0]), reading(OWN, [cost])))
        assert (verdict.what, verdict.target, verdict.met) == ("tracebaton 10 %, hello", "≤ 1.15", met)

    def test_what_a_start_puts_off_until_the_first_span_has_a_verdict_of_its_own(self) -> None:
        found = results()
        found.starts = [Start(BARE, [0.4], [60]), Start(OWN, [0.5], [66], [0.7], [85])]
        assert [(each.measured, each.met) for each in verdicts(found)] == [("+0.10 s", True), ("+0.30 s", False)]

    def test_what_was_not_measured_has_no_verdict(self) -> None:
        assert verdicts(results(reading(BARE, [100.0]))) == []


class TestMarkdown:
    def test_a_table_has_a_head_a_rule_and_rows(self) -> None:
        assert grid(["", "x"], [["a", "1"]]).splitlines() == ["|  | x |", "| --- | ---: |", "| a | 1 |"]

    def test_bare_is_in_microseconds_and_the_others_are_ratios(self) -> None:
        text = markdown(results(reading(BARE, [100.0]), reading(OWN, [112.0])))
        assert "| bare | 100 µs | - |" in text
        assert "| tracebaton 10 % | 1.12 | - |" in text

    def test_a_failed_reading_says_so_and_why(self) -> None:
        text = markdown(results(reading(BARE, [100.0]), reading(OWN, [112.0], error="0 spans")))
        assert "| tracebaton 10 % | failed | - |" in text
        assert "Failed: tracebaton 10 %, hello: 0 spans." in text

    def test_what_was_not_measured_is_left_out(self) -> None:
        assert "###" not in markdown(results())

    def test_the_machine_and_the_versions_stand_above_the_tables(self) -> None:
        found = results(reading(BARE, [100.0]))
        found.versions["upstream"] = {"fastapi": "2", "opentelemetry-sdk": "3"}
        head = markdown(found).partition("###")[0]
        assert "2 cores; fastapi 1." in head
        assert "upstream: opentelemetry-sdk 3." in head
        assert "upstream has fastapi 2." in head

    def test_the_countings_that_are_furthest_apart_are_named(self) -> None:
        found = results()
        found.counts = [Count(BARE, "hello", [100.0] * 5), Count(OWN, "hello", [50.0, 109.0, 110.0, 111.0, 900.0])]
        text = markdown(found)
        assert "| bare | 100 |" in text
        assert "| tracebaton 10 % | 1.100 |" in text
        assert "1.82% apart at most\n(tracebaton 10 %, hello)" in text


def test_results_survive_the_way_to_a_file_and_back(tmp_path: Path) -> None:
    found = results(reading(BARE, [100.0], [101.0]))
    found.starts, found.counts = [Start(BARE, [0.4], [60.0])], [Count(BARE, "hello", [1.0])]
    found.write(tmp_path / "x.json")
    assert Results.read(tmp_path / "x.json") == found


class TestCloserLook:
    def test_latency_is_a_ratio_round_by_round(self) -> None:
        found = results()
        found.latencies = {BARE: [(100.0, 1000.0), (200.0, 2000.0)], OWN: [(110.0, 1500.0), (220.0, 2600.0)]}
        assert found.latency(OWN, 0) == 165
        assert found.latency_ratio(OWN, 0) == pytest.approx(1.1)
        assert found.latency_ratio(OWN, 1) == pytest.approx(1.4)
        assert f"| {OWN} | 165 µs (1.10) | 2050 µs (1.40) |" in markdown(found)

    def test_what_was_not_measured_is_left_out(self) -> None:
        assert "Latency" not in markdown(results())
        assert results().latency(OWN, 0) is None

    def test_memory_and_workers(self) -> None:
        found = results()
        found.memory = {OWN: (70.0, 70.5)}
        found.worker_starts = [
            Start(BARE, cpu=[1.0, 2.0], rss=[100.0, 100.0]),
            Start(OWN, cpu=[1.5, 2.5], rss=[110, 110]),
        ]
        text = markdown(found)
        assert f"| {OWN} | 70.0 MiB | 70.5 MiB | +0.5 MiB |" in text
        assert f"| {OWN} | +0.50 s | +10 MiB |" in text

    def test_what_is_measured_again_takes_the_place_of_the_same(self) -> None:
        found = results(reading(BARE, [1.0]), reading(OWN, [2.0]), reading(OWN, [9.0], scenario="chat"))
        found.latencies = {BARE: [(1.0, 2.0)]}
        found.add(results(reading(OWN, [3.0])))
        assert [(each.contender, each.scenario, each.cpu) for each in found.readings] == [
            (BARE, "hello", 1.0),
            (OWN, "hello", 3.0),
            (OWN, "chat", 9.0),
        ]
        assert found.latencies == {BARE: [(1.0, 2.0)]}

    def test_they_go_to_a_file_and_come_back(self, tmp_path: Path) -> None:
        found = results()
        found.memory, found.latencies = {OWN: (70.0, 70.5)}, {BARE: [(1.0, 2.0)]}
        found.worker_starts = [Start(BARE, cpu=[1.0], rss=[1.0])]
        found.write(tmp_path / "found.json")
        assert markdown(Results.read(tmp_path / "found.json")) == markdown(found)
