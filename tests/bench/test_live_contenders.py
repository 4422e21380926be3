"""The two contenders that show what live control costs."""

from __future__ import annotations

import callgrind
from contenders import contenders, select
from scenarios import SCENARIOS


def test_one_is_switched_off_after_it_has_started_recording_everything() -> None:
    _, switched_off = select(contenders(), ["tracebaton-switched-off"])
    assert switched_off.then == ("tracebaton", "off")
    assert switched_off.env["OTEL_TRACES_SAMPLER_ARG"] == "100%"
    assert switched_off.share == 0  # a span that arrives all the same is an error


def test_it_is_not_taken_for_the_process_that_records_everything() -> None:
    _, everything, switched_off = select(contenders(), ["tracebaton-100", "tracebaton-switched-off"])
    keys = {callgrind._key(each, {}, SCENARIOS[0]) for each in (everything, switched_off)}
    assert len(keys) == 2


def test_the_one_without_the_thread_differs_in_nothing_but_its_start() -> None:
    _, with_it, without = select(contenders(), ["tracebaton-10", "tracebaton-10-uncontrolled"])
    assert (without.prefix, without.share, without.never) == ((), with_it.share, with_it.never)
    assert with_it.env.items() <= without.env.items()
