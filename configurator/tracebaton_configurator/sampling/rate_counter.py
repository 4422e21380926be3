"""Counts the requests of each route, and from that says with which probability the next one is sampled.

The probability depends on how many requests came before and when, never on which of them were sampled. So counting
every sampled request as 1/p requests estimates the true number without bias, in bursts as in quiet times.
"""

from __future__ import annotations

from math import ceil, inf
from typing import TYPE_CHECKING

from tracebaton_configurator.sampling.threshold import NEVER, threshold_of

if TYPE_CHECKING:
    from tracebaton_configurator.sampling.rules import Rate, Rule

# Names come from the application; a longer one (a whole SQL statement) is cut so that the registry stays small.
_LONGEST_NAME = 200


class RateCounter:
    """The requests of one route in one process, and the threshold (56 bits) of the next one.

    `P%`: constant.

    `N/s+P%`: in every window the first N requests are sampled with probability 1, all others with P.

    `N/s`: the probability starts at N / expected, where expected is what the window before promises: its count,
    scaled down by the time since it began, so that an idle time raises the probability again. Once more requests have
    come in a window than expected, the probability halves, and again at every doubling of the count; it never becomes
    0. A burst of M requests after silence so yields at most N*(1 + log2(M/N)/2) sampled ones in expectation: N, and
    N/2 for each doubling (10/s: 10 of 10, 43 of 1000, 76 of 100 000). Steady traffic yields N a window.

    A window is one second, or as much longer as makes N a whole number: 0.5/s is one every two seconds. It begins
    with the first request after the end of the last one.

    Several processes count each for itself: with W workers, up to W*N a second are sampled at full probability. The
    estimates stay right, since each span carries the threshold that it was sampled with.

    There is no lock. Between two threads an increment may be lost, a window may be begun twice or its end be applied
    to the next: for one window that makes the probability somewhat too high or too low, yet what is returned is what
    is applied. No order of these steps raises: nothing is divided by what another thread may set to 0.
    """

    __slots__ = ("_beyond", "_budget", "_count", "_end", "_limit", "_probability", "_start", "_threshold", "_window")

    def __init__(self, rate: Rate) -> None:
        beyond = None if rate.probability is None else threshold_of(rate.probability)
        self._beyond = beyond
        self._count = 0
        self._probability = 1.0
        self._start = -inf
        if rate.per_second:
            self._budget = ceil(rate.per_second)
            self._window = self._budget / rate.per_second
            self._end = -inf
            self._limit: float = self._budget
            self._threshold = 0
        else:
            # A constant is a window that never ends and is never full: the path of a request has no branch for it.
            self._budget = 0
            self._window = self._end = self._limit = inf
            self._threshold = NEVER if beyond is None else beyond

    def threshold(self, now: float) -> int:
        """The threshold for a request that comes at `now` (seconds, monotonic); call it once for each request."""
        if now >= self._end:
            self._begin_window(now)
        self._count = count = self._count + 1
        if count > self._limit:
            self._lower()
        return self._threshold

    def _begin_window(self, now: float) -> None:
        window, start, seen = self._window, self._start, self._count
        if now < self._end:
            return  # another thread was faster
        self._end = now + window
        self._start = now
        self._count = 0
        if self._beyond is not None:
            self._limit = self._budget
            self._threshold = 0
            return
        # `start` may be another thread's, as late as `now`: the time since is then taken as one window.
        expected = seen * window / max(window, now - start)
        limit = max(self._budget, expected)
        self._probability = probability = self._budget / limit
        self._limit = limit
        self._threshold = threshold_of(probability)

    def _lower(self) -> None:
        if self._beyond is not None:
            self._limit = inf
            self._threshold = self._beyond
            return
        self._limit *= 2
        self._probability = probability = self._probability / 2
        self._threshold = threshold_of(probability)


class RateCounters:
    """Every `RateCounter` of a process: at most `limit` distinct ones, and one for each rule that all others share.

    The bound protects memory where names are without number, such as raw paths. Threads that add at the same moment
    may pass it by one each.
    """

    def __init__(self, limit: int = 2000) -> None:
        self._limit = limit
        self._known: dict[tuple[Rule, str], RateCounter] = {}
        self._shared: dict[Rule, RateCounter] = {}

    def get(self, rule: Rule, name: str) -> RateCounter:
        """The counter of `name` (the route, or the name of a span without a parent) under `rule`."""
        found = self._known.get((rule, name))
        return self._find(rule, name[:_LONGEST_NAME]) if found is None else found

    def _find(self, rule: Rule, name: str) -> RateCounter:
        found = self._known.get((rule, name))
        if found is not None:
            return found
        if not rule.rate.per_second or len(self._known) >= self._limit:
            # A constant rate counts nothing, so it needs no place.
            return self._shared.get(rule) or self._shared.setdefault(rule, RateCounter(rule.rate))
        return self._known.setdefault((rule, name), RateCounter(rule.rate))
