"""Suspicion: no accident is taken for a bad batch, and no bad batch for an accident."""

from __future__ import annotations

import random

import pytest

from tracebaton_configurator.export.suspects import Move, Suspects


class Batches:
    """Single spans that fail by accident with a probability; those in `bad` always."""

    def __init__(self, accident: float, bad: frozenset[int], seed: int) -> None:
        self.accident = accident
        self.bad = bad
        self.random = random.Random(seed)
        self.suspects = Suspects()
        self.dropped: set[int] = set()
        self.tries = 0

    def deliver(self, count: int) -> None:
        waiting = list(range(count))
        while waiting and self.tries < 200 * count:
            self.tries += 1
            number = waiting.pop(0)
            if number in self.bad or self.random.random() < self.accident:
                move = self.suspects.failed(b"%d" % number, 1).move
                if move is Move.DROP:
                    self.dropped.add(number)
                elif move is Move.BEHIND:
                    waiting.insert(8, number)
                else:
                    waiting.insert(0, number)
            else:
                self.suspects.passed(b"%d" % number)


@pytest.mark.parametrize("accident", [0.01, 0.1, 0.3, 0.5, 0.8, 0.9])
def test_accidents_are_forgiven(accident: float) -> None:
    for seed in range(2):
        batches = Batches(accident, frozenset(), seed)
        batches.deliver(300)
        assert batches.dropped == set()


@pytest.mark.parametrize("accident", [0.0, 0.1, 0.5])
def test_a_bad_one_is_found(accident: float) -> None:
    for seed in range(2):
        batches = Batches(accident, frozenset([150]), seed)
        batches.deliver(300)
        assert batches.dropped == {150}


def test_throttling_is_no_strike() -> None:
    suspects = Suspects()
    for number in range(200):
        assert suspects.failed(b"throttled", 1, polite=True).move in {Move.AGAIN, Move.BEHIND}
        suspects.passed(b"%d" % number)


def test_memory_is_bounded() -> None:
    suspects = Suspects()
    for number in range(5000):
        suspects.failed(b"%d" % number, 1)
    assert len(suspects._known) <= 1000
    assert len(suspects._failing) <= 8
