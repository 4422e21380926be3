"""Numbers that add up, raised by any thread."""

from __future__ import annotations

import threading

from tracebaton_configurator.export.counters import Counters, Tally


def test_a_tally_is_raised_by_many_threads_and_reading_does_not_raise_it() -> None:
    tally = Tally()
    assert (tally.value, tally.value) == (0, 0)

    def raise_it() -> None:
        for _ in range(20_000):
            tally.add()

    threads = [threading.Thread(target=raise_it) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert tally.value == 160_000


def test_what_was_dropped_is_named() -> None:
    counters = Counters()
    assert counters.dropped == {}
    assert counters.shutdown_summary() is None
    counters.drop("nothing of it", 0)
    counters.drop("the receiver refused them", 2)
    counters.drop("the receiver refused them", 3)
    counters.overflow.add()
    counters.exported = 7
    assert counters.dropped == {"the receiver refused them": 5, "the queue was full": 1}
    assert counters.shutdown_summary() == (
        "6 spans were lost (1 because the queue was full, 5 because the receiver refused them); 7 were delivered."
    )


def test_as_dict() -> None:
    counters = Counters()
    counters.retried = 4
    assert counters.as_dict() == {"exported": 0, "dropped": {}, "spooled": 0, "recovered": 0, "retried": 4}
