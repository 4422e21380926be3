"""Work on many spans in the exporter's thread, a little at a time.

A thread that computes keeps the interpreter for `sys.getswitchinterval()`, 5 ms, before one that waits gets it: a batch
of 512 spans, which takes as long, would put that on top of a request.
"""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, TypeVar

from tracebaton_configurator.patching import os_threads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

T = TypeVar("T")

_AT_A_TIME = 0.001
_PAUSE = 0.0002
"""In seconds. Not 0: who lets go of the interpreter for no time may have it back before the other one wakes up."""


def gradually(
    items: Iterable[T], clock: Callable[[], float] = perf_counter, pause: Callable[[float], object] = os_threads.sleep
) -> Iterator[T]:
    """The items; whoever works on them for a millisecond lets others have a turn before the next one."""
    begun = clock()
    for item in items:
        if clock() - begun >= _AT_A_TIME:
            pause(_PAUSE)
            begun = clock()
        yield item
