"""Tells a batch that its receiver cannot take from a receiver that is away.

A batch that makes the receiver fail looks like an outage, for as long as it is the only one that is tried. So others
are tried as well, and what counts is a strike: a failure of a batch after others were delivered since its last one. How
improbable strikes are as accidents depends on how often the receiver fails otherwise; where it fails half of the time,
more of them are asked for. A batch whose failing is no accident is halved, which loses nothing; a single span is
dropped once its strikes are less probable than one in a hundred thousand. While nothing passes there are no strikes,
and nothing is lost.
"""

from __future__ import annotations

import zlib
from enum import Enum, auto
from typing import NamedTuple

_MOST_SUSPECTS = 1000
# Below these probabilities, failing is no accident.
_HALVE, _DROP = 0.05, 1e-5
# Of older answers, each new one takes away so much of their weight.
_DECAY = 0.99
# An outage counts as so many failures at most, or it would take long until strikes count again.
_LONGEST_RUN = 10
# While nothing passes at all, a batch that has failed so often is halved, as long as there are few of them: should
# there be a bad span in it, the rest then passes, and shows that the receiver is there.
_TRIES_WITHOUT_A_SIGN, _FEW = 3, 8
# How often a batch is tried before another one has a turn.
_TRIES_IN_A_ROW = 2


class Move(Enum):
    """What is to be done with a batch that has failed."""

    AGAIN = auto()
    BEHIND = auto()
    """Others go first."""
    HALVE = auto()
    DROP = auto()


class Advice(NamedTuple):
    """`pause`: the receiver is left alone for a while. `probe`: an empty request asks it whether it is there."""

    move: Move
    pause: bool = True
    probe: bool = False


class _Suspect:
    """A batch that has failed, or a half of one."""

    __slots__ = ("counted", "failures", "inherited", "seen", "sibling", "strikes", "tries")

    def __init__(self, seen: int, inherited: int = 0) -> None:
        self.seen = seen
        """How often the receiver had given a sign when it failed last."""
        self.tries = 0
        """Failures since the last sign."""
        self.failures = 0
        self.strikes = 0
        self.inherited = inherited
        """Strikes of the batch that it is a half of."""
        self.sibling: _Suspect | None = None
        self.counted = 0
        """How many of its failures are held to be accidents, for now."""


class Suspects:
    """What is known of batches that have failed, by their content: they go to disk and come back."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, int], _Suspect] = {}
        self._signs = 0
        self._passed = self._accidents = 0.0
        self._run = 0
        self._failing: set[tuple[int, int]] = set()

    def passed(self, payload: bytes) -> None:
        """The receiver has taken spans."""
        self.sign()
        suspect = self._known.pop(_key(payload), None) if self._known else None
        if suspect is None:
            return
        # They were accidents after all.
        self._accidents += suspect.failures - suspect.counted
        if suspect.sibling is not None:
            # So what was wrong with the whole is wrong with the other half.
            suspect.sibling.strikes += suspect.inherited
            suspect.sibling.sibling = None

    def sign(self) -> None:
        """The receiver has shown that it is there."""
        self._signs += 1
        self._passed = self._passed * _DECAY + 1
        self._accidents *= _DECAY
        self._run = 0
        self._failing.clear()

    def forget(self, payload: bytes) -> None:
        """The batch will not come again."""
        if self._known:
            self._known.pop(_key(payload), None)

    def failed(self, payload: bytes, spans: int, *, polite: bool = False, cut: bool = False) -> Advice:
        """What to do with a batch that has failed. `polite`: the receiver said when to come again, so it is no strike.

        `cut`: the receiver ended the connection without an answer.
        """
        key = _key(payload)
        suspect = self._known.pop(key, None)
        strike = suspect is not None and suspect.seen < self._signs and not polite
        suspect = suspect or _Suspect(self._signs)
        self._known[key] = suspect
        if len(self._known) > _MOST_SUSPECTS:
            self._known.pop(next(iter(self._known)))
        suspect.tries = 1 if suspect.seen < self._signs else suspect.tries + 1
        suspect.seen = self._signs
        suspect.failures += 1
        if len(self._failing) < _FEW:
            self._failing.add(key)
        if strike:
            return self._strike(suspect, spans)
        self._count(suspect)
        behind = Advice(Move.BEHIND if suspect.tries >= _TRIES_IN_A_ROW else Move.AGAIN)
        if polite:
            return behind
        suspicious = suspect.strikes + suspect.inherited > 0
        if suspicious and suspect.tries == 1:
            return Advice(Move.BEHIND, pause=False)
        if suspect.tries >= _TRIES_WITHOUT_A_SIGN and len(self._failing) < _FEW:
            if spans > 1:
                return Advice(Move.HALVE)
            if cut and len(self._failing) == 1:
                return Advice(Move.BEHIND, probe=True)
        return behind

    def halved(self, whole: bytes, first: bytes, second: bytes) -> None:
        """A batch has been taken apart."""
        key = _key(whole)
        suspect = self._known.pop(key, None)
        strikes = suspect.strikes if suspect else 0
        one, other = _Suspect(self._signs, strikes), _Suspect(self._signs, strikes)
        one.sibling, other.sibling = other, one
        self._known[_key(first)], self._known[_key(second)] = one, other
        if suspect is not None:
            self._no_accidents(suspect)
        self._failing.discard(key)

    def _strike(self, suspect: _Suspect, spans: int) -> Advice:
        suspect.strikes += 1
        self._no_accidents(suspect)
        # The probability that a request fails by accident, from how often they did of late.
        accident = (self._accidents + 1) / (self._passed + self._accidents + 2)
        chance = accident**suspect.strikes
        if spans > 1 and suspect.strikes > 1 and chance < _HALVE:
            return Advice(Move.HALVE, pause=False)
        if spans == 1 and suspect.strikes > 2 and chance < _DROP:
            return Advice(Move.DROP, pause=False)
        return Advice(Move.BEHIND, pause=False)

    def _count(self, suspect: _Suspect) -> None:
        self._run += 1
        if not suspect.strikes and not suspect.inherited and self._run <= _LONGEST_RUN:
            suspect.counted += 1
            self._accidents += 1

    def _no_accidents(self, suspect: _Suspect) -> None:
        self._accidents = max(0.0, self._accidents - suspect.counted)
        suspect.counted = 0


def _key(payload: bytes) -> tuple[int, int]:
    return len(payload), zlib.crc32(payload)
