"""How long the next job is believed to run, from how long the last ones did.

Durations are spread on a logarithmic axis: each is an even box that reaches as far as its neighbours are away, so
that two clusters stay two clusters. A part of the belief never trusts what was seen; that part, and all of it while
nothing has been seen, is a wide curve (log-Cauchy) around the typical duration. Ages and durations are seconds.
"""

from __future__ import annotations

import math
import operator
from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from attrs import frozen

from asyncpoll.waiting.learning._plan import Chance

HORIZON = 86_400.0
"""The longest duration that is planned for, unless intervals are of that order themselves."""

_RATIO = 1.15  # from one candidate age to the next, where no duration lies between them
_GUESS = 10.0  # a typical duration, as long as nothing is known
_DOUBT = 0.03  # the least part of a belief that does not trust what was seen
_NEIGHBOURS = 0.6  # of n durations, each reaches to the one that is the n ** 0.6th next
_REACH_OF_FEW = 0.8  # what one reaches, as a logarithm, when there are not so many
_LEAST_REACH = 0.01
_SAME = 1.001  # ages within this ratio are one
_ABANDONED = 4.0  # a job that was abandoned is believed to have ended before this multiple of the age it had


@frozen
class Belief:
    """The chance that a job still runs, by age, as a line from knot to knot.

    Attributes:
        ages: The knots in seconds, ascending from 0.
        survival: The chance to be still running at each of them, falling from 1 to 0.
        typical: The geometric mean of the durations.
        longest: The longest of them.
    """

    ages: Sequence[float]
    survival: Sequence[float]
    typical: float
    longest: float

    def running_at(self, age: float) -> float:
        """Return the chance that a job runs longer than *age*."""
        cell = bisect_right(self.ages, age) - 1
        if cell >= len(self.ages) - 1:
            return 0.0
        share = (age - self.ages[cell]) / (self.ages[cell + 1] - self.ages[cell])
        return self.survival[cell] + share * (self.survival[cell + 1] - self.survival[cell])

    def age_at(self, survival: float) -> float:
        """Return the age at which the chance to be still running has fallen to *survival*, from 0 to 1."""
        knot = max(1, bisect_left(self.survival, -survival, key=operator.neg))
        above, below = self.survival[knot - 1], self.survival[knot]
        share = (above - survival) / (above - below) if above > below else 0.5
        return self.ages[knot - 1] + share * (self.ages[knot] - self.ages[knot - 1])

    def draw(self, lo: float, hi: float, chance: Chance) -> float:
        """Return a duration drawn from what is believed of a job that ended in (*lo*, *hi*].

        Args:
            lo: The age at which it was last seen running.
            hi: The age at which it was first seen ended: *lo* for an exact duration, `math.inf` for a job that was
                abandoned at *lo*.
            chance: Draws.
        """
        if hi == math.inf:
            hi = _ABANDONED * lo
        if lo == hi:
            return lo
        late, early = self.running_at(hi), self.running_at(lo)
        return min(max(lo, self.age_at(late + (early - late) * chance())), hi)


def grid(shortest: float) -> list[float]:
    """Return the logarithms of the candidate ages, for polls that are at least *shortest* seconds apart."""
    low, high = math.log(shortest / 2), math.log(max(HORIZON, 1000 * shortest))
    steps = math.ceil((high - low) / math.log(_RATIO))
    return [low + step * (high - low) / steps for step in range(steps + 1)]


def believe(durations: Sequence[float], candidates: Sequence[float], *, hint: float | None = None) -> Belief:
    """Return what durations make one believe.

    Args:
        durations: Those of past jobs, not negative, in any order; there may be none.
        candidates: Logarithms of ages, from `grid`.
        hint: A duration to expect; it counts as one past job for where the wide curve lies.
    """
    shortest, longest = math.exp(candidates[1]), math.exp(candidates[-2])
    logs = sorted(math.log(min(max(shortest, duration), longest)) for duration in durations)
    known = logs if hint is None else [*logs, math.log(hint)]
    centre = math.fsum(known) / len(known) if known else math.log(_GUESS)
    doubt = max(_DOUBT, 1 / (len(logs) + 1))
    ages, survival, ended, density, before = [0.0], [1.0], 0.0, 0.0, candidates[0]
    for at, change in _density(logs, candidates):
        ended += density * (at - before)
        density, before, age = density + change, at, math.exp(at)
        if age > _SAME * ages[-1]:
            wide = 0.5 - math.atan(at - centre) / math.pi
            ages.append(age)
            survival.append(min(survival[-1], doubt * wide + (1 - doubt) * max(0.0, 1 - ended)))
    survival[-1] = 0.0
    return Belief(ages, survival, math.exp(centre), math.exp(max(logs, default=centre)))


def _density(logs: Sequence[float], candidates: Sequence[float]) -> list[tuple[float, float]]:
    """Return every candidate and every side of a box, ascending, each with the change of the density there."""
    changes = [(at, 0.0) for at in candidates]
    for at, reach in zip(logs, _reaches(logs), strict=True):
        left, right = max(candidates[0], at - reach), min(at + reach, candidates[-1])
        share = 1 / (len(logs) * (right - left))
        changes += ((left, share), (right, -share))
    return sorted(changes)


def _reaches(logs: Sequence[float]) -> list[float]:
    """Return for each of the ascending *logs* how far away its k-th nearest neighbour is."""
    count = len(logs)
    k = max(1, round(count**_NEIGHBOURS))
    if count <= k:
        return [_REACH_OF_FEW] * count
    return [
        max(
            _LEAST_REACH,
            min(max(at - logs[j], logs[j + k] - at) for j in range(max(0, i - k), min(i, count - 1 - k) + 1)),
        )
        for i, at in enumerate(logs)
    ]
