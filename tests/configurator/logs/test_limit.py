"""One line of a kind in a while."""

from __future__ import annotations

from tracebaton_configurator.logs.limit import RateLimit


class TestRateLimit:
    def setup_method(self) -> None:
        self.now = 0.0
        self.limit = RateLimit(10, lambda: self.now)

    def test_the_first_passes_and_what_follows_is_counted(self) -> None:
        assert self.limit.pass_or_hold("a") == 0
        assert [self.limit.pass_or_hold("a") for _ in range(3)] == [None] * 3
        assert self.limit.held_back() == 3
        self.now = 9.9
        assert self.limit.pass_or_hold("a") is None
        self.now = 10.0
        assert self.limit.pass_or_hold("a") == 4
        assert self.limit.held_back() == 0

    def test_kinds_do_not_hold_one_another_back(self) -> None:
        assert self.limit.pass_or_hold("a") == 0
        assert self.limit.pass_or_hold("b") == 0
        assert self.limit.pass_or_hold("a") is None

    def test_it_remembers_256_kinds_and_forgets_the_oldest(self) -> None:
        for number in range(1000):
            self.now = number * 0.001
            assert self.limit.pass_or_hold(str(number)) == 0
        assert len(self.limit._kinds) == 256
        assert self.limit.pass_or_hold("999") is None
        assert self.limit.pass_or_hold("0") == 0
