"""tracebaton.view.budget"""

from __future__ import annotations

import threading
from contextlib import closing

import pytest

from tracebaton.view.budget import Budget, Hold
from tracebaton.view.intake import BusyError


def nobody() -> None:
    raise AssertionError("nobody has to go")


class TestBudget:
    def test_it_is_shared_and_given_back(self) -> None:
        budget = Budget(10)
        with closing(budget.hold(nobody)) as one:
            one.add(6)
            with closing(budget.hold(nobody)) as two:
                two.add(4)
                assert budget.used == 10
        assert budget.used == 0

    def test_the_slowest_goes(self) -> None:
        """It has been there for longest, and what it held is given to others."""
        budget = Budget(10)
        gone: list[str] = []

        def go(name: str, holds: list[Hold]) -> None:
            gone.append(name)
            threading.Thread(target=holds[0].close).start()

        holds: list[Hold] = []
        holds.append(budget.hold(lambda: go("slow", holds)))
        holds[0].add(7)
        young = budget.hold(nobody)
        young.add(3)
        last = budget.hold(nobody)
        last.add(5)
        assert (gone, budget.used) == (["slow"], 8)
        with pytest.raises(BusyError):
            holds[0].add(1)

    def test_the_slowest_itself_is_told(self) -> None:
        budget = Budget(10)
        slow, other = budget.hold(nobody), budget.hold(nobody)
        slow.add(5)
        other.add(5)
        with pytest.raises(BusyError):
            slow.add(1)

    def test_one_that_is_larger_than_all_room_is_told(self) -> None:
        hold = Budget(10).hold(nobody)
        with pytest.raises(BusyError):
            hold.add(11)

    def test_what_is_complete_is_waited_for(self) -> None:
        """Nobody goes while there is something that will be decoded soon."""
        budget = Budget(10, patience=20)
        complete, arriving, new = (budget.hold(nobody) for _ in range(3))
        complete.add(6)
        complete.complete = True
        arriving.add(4)
        timer = threading.Timer(0.05, complete.close)
        timer.start()
        new.add(5)
        assert budget.used == 9

    def test_not_for_ever(self) -> None:
        budget = Budget(10, patience=0.01)
        complete = budget.hold(nobody)
        complete.add(10)
        complete.complete = True
        with pytest.raises(BusyError):
            budget.hold(nobody).add(1)
