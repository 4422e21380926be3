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
    from collections.abc import Callable, Iterator

T = TypeVar("T")

_AT_A_TIME, _WHILE_BEHIND = 0.0001, 0.001
_PATIENCE = 0.1
_PAUSE = 0.00005
"""In seconds, as the three above. Not 0: who lets go of the interpreter for no time may have it back before the other
one wakes up."""


class Gradually(list[T]):
    """The items; whoever goes through them lets others have a turn after each 0.1 ms.

    It is 1 ms while `is_behind`, and once it has taken 0.1 s: each turn of the others may last 5 ms for every thread
    that computes, in which more comes than has been worked off.
    """

    def __init__(
        self,
        items: list[T],
        is_behind: Callable[[], bool],
        clock: Callable[[], float] = perf_counter,
        pause: Callable[[float], object] = os_threads.sleep,
    ) -> None:
        super().__init__(items)
        self._is_behind = is_behind
        self._clock = clock
        self._pause = pause

    def __iter__(self) -> Iterator[T]:
        clock = self._clock
        begun = clock()
        late = begun + _PATIENCE
        for item in super().__iter__():
            now = clock()
            worked = now - begun
            if worked >= _AT_A_TIME and (worked >= _WHILE_BEHIND or (now < late and not self._is_behind())):
                self._pause(_PAUSE)
                begun = clock()
            yield item
