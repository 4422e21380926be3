"""What wrk and the kernel say is read rightly, and every contender has its turn."""

from __future__ import annotations

import os
import time
from collections import Counter

import pytest
from contenders import BARE
from measure import MeasureError, parse_wrk, turns
from procfs import TICKS, cpu_seconds, group_of, kibibytes, rss, ticks

GOOD = """\
Running 1s test @ http://127.0.0.1:8765/hello
  1 threads and 16 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     4.06ms    1.07ms  14.44ms   81.22%
    Req/Sec     3.96k   703.88     4.63k    80.00%
  3945 requests in 1.00s, 554.77KB read
Requests/sec:   3943.72
Transfer/sec:    554.59KB
"""
SOCKETS = "  Socket errors: connect 1, read 2, write 3, timeout 4\n"
REFUSED = "  Non-2xx or 3xx responses: 17\n"


class TestParseWrk:
    def test_a_clean_run_has_requests_and_no_failures(self) -> None:
        assert parse_wrk(GOOD) == (3945, 0)

    @pytest.mark.parametrize(("said", "failed"), [(SOCKETS, 10), (REFUSED, 17), (SOCKETS + REFUSED, 27)])
    def test_failures_of_both_kinds_are_counted(self, said: str, failed: int) -> None:
        assert parse_wrk(GOOD + said) == (3945, failed)

    def test_anything_else_is_an_error(self) -> None:
        with pytest.raises(MeasureError, match="unable to connect"):
            parse_wrk("unable to connect to 127.0.0.1:8765 Connection refused\n")


class TestTurns:
    NAMES = (BARE, *"abcdefghijk")

    @pytest.mark.parametrize("number", range(5))
    def test_each_contender_has_one_turn_a_round(self, number: int) -> None:
        counted = Counter(turns(self.NAMES, number))
        assert {name: counted[name] for name in self.NAMES if name != BARE} == dict.fromkeys("abcdefghijk", 1)

    def test_the_bare_one_is_first_and_last_and_in_between(self) -> None:
        order = turns(self.NAMES, 0)
        assert [number for number, name in enumerate(order) if name == BARE] == [0, 5, 10, 14]

    def test_the_next_round_starts_with_somebody_else(self) -> None:
        assert turns(self.NAMES, 0)[1] != turns(self.NAMES, 1)[1]

    def test_the_bare_one_alone_has_one_turn(self) -> None:
        assert turns([BARE], 3) == [BARE]


class TestProc:
    # 14 utime, 15 stime, 16 cutime, 17 cstime, counted from 1, behind a name with parentheses and blanks.
    STAT = "4242 (a) (b c) S 1 77 77 0 -1 4194560 9 0 0 0 120 30 4 1 20 0 3 0 99 0 0\n"

    def test_ticks_are_user_and_system_time_with_that_of_children(self) -> None:
        assert ticks(self.STAT) == 155

    def test_the_group_is_the_fifth_field(self) -> None:
        assert group_of(self.STAT) == 77

    def test_resident_memory_is_in_kibibytes(self) -> None:
        assert kibibytes("Name:\tx\nVmHWM:\t   9 kB\nVmRSS:\t   60416 kB\n") == 60416

    def test_a_zombie_has_no_memory(self) -> None:
        assert kibibytes("Name:\tx\nState:\tZ (zombie)\n") == 0

    def test_our_own_group_has_used_what_we_have_used(self) -> None:
        assert cpu_seconds(os.getpgrp()) >= time.process_time() - 2 / TICKS
        assert rss(os.getpgrp()) > 1
