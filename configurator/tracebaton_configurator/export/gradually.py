"""Work on many spans in the exporter's thread, a little at a time.

A thread that computes keeps the interpreter for `sys.getswitchinterval()`, 5 ms, before one that waits gets it: a batch
of 512 spans, which takes as long, would put that on top of a request. More than one in a hundred requests may come
while spans are encoded, so what each of them waits is what the slowest hundredth waits.
"""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, TypeVar

from tracebaton_configurator.patching import os_threads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

T = TypeVar("T")

_LEAST, _MOST = 0.0001, 0.001
_SHARE = 0.2
"""Of the interpreter's time, where others want all of it: each pause then lasts 5 ms, and spans would be dropped."""
_PAUSE = 0.00005
"""In seconds, as the two above. Not 0: who lets go of the interpreter for no time may have it back before the other one
wakes up."""


def gradually(
    items: Iterable[T], clock: Callable[[], float] = perf_counter, pause: Callable[[float], object] = os_threads.sleep
) -> Iterator[T]:
    """The items; whoever works on them for 0.1 ms lets others have a turn before the next one.

    It is up to 1 ms at a time where the turns of the others last longer.
    """
    at_a_time = _LEAST
    begun = clock()
    for item in items:
        worked_until = clock()
        if worked_until - begun >= at_a_time:
            pause(_PAUSE)
            begun = clock()
            at_a_time = min(max((begun - worked_until) * _SHARE, _LEAST), _MOST)
        yield item
