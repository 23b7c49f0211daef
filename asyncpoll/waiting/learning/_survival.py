"""Estimate the survival curve of jobs from the durations of past ones.

The estimate is a mixture. One part is a kernel estimate on a logarithmic axis: each duration is an even box that
reaches as far as its neighbours are away, so that two clusters stay two clusters. The other part is the prior, a wide
log-Cauchy curve around the typical duration; its weight falls with the number of durations. All times are seconds.
"""

from __future__ import annotations

import math
import operator
from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from attrs import frozen

from asyncpoll.waiting.learning._plan import RandomSource

HORIZON = 86_400.0  # the longest duration that is planned for, unless intervals are of that order themselves

_RATIO = 1.15  # from one candidate age to the next, where durations are far
_GUESS = 10.0  # the typical duration while none was observed
_LEAST_PRIOR = 0.03  # the weight of the prior, however many durations were observed
_NEIGHBOURS = (0.6, 0.3)  # of n durations, each reaches to the one that is the n ** 0.6th next, or n ** 0.3th
_FEW = 10
import os
_M=float(os.environ.get('MG','.3'))
_LEAST_DENSITY = 0.03
_REACH_OF_FEW = 0.8  # the reach, as a logarithm, while there are fewer than that
_LEAST_REACH = 0.01
_SAME = 1.001  # ages within this ratio are one
_MOST = 0.9  # the share of jobs for which an expected end holds
_ABANDONED = 4.0  # an abandoned job is taken to have ended before this multiple of its last age


@frozen
class SurvivalCurve:
    """The probability that a job still runs, by age, as a line from knot to knot.

    Attributes:
        ages: The knots in seconds, ascending from 0.
        survival: The probability to be still running at each of them, falling from 1 to 0.
        typical: The geometric mean of the durations.
        longest: The longest duration.
    """

    ages: Sequence[float]
    survival: Sequence[float]
    typical: float
    longest: float

    def running_at(self, age: float) -> float:
        """Return the probability that a job runs longer than *age*."""
        cell = bisect_right(self.ages, age) - 1
        if cell >= len(self.ages) - 1:
            return 0.0
        share = (age - self.ages[cell]) / (self.ages[cell + 1] - self.ages[cell])
        return self.survival[cell] + share * (self.survival[cell + 1] - self.survival[cell])

    def age_at(self, survival: float) -> float:
        """Return the age at which the curve has fallen to *survival*, a probability."""
        knot = max(1, bisect_left(self.survival, -survival, key=operator.neg))
        above, below = self.survival[knot - 1], self.survival[knot]
        share = (above - survival) / (above - below) if above > below else 0.5
        return self.ages[knot - 1] + share * (self.ages[knot] - self.ages[knot - 1])

    def time_left(self, age: float) -> float:
        """Return the seconds within which most jobs end that are *age* seconds old; beyond the curve, as long again."""
        still = self.running_at(age)
        return max(0.0, self.age_at(still * (1 - _MOST)) - age) if still > 0 else age

    def draw(self, lo: float, hi: float, random: RandomSource) -> float:
        """Return a random duration of a job that ended in (*lo*, *hi*], distributed as the curve is there.

        Args:
            lo: The age at which the job was last seen running.
            hi: The age at which it was first seen ended: *lo* for an exact duration, `math.inf` for a job that was
                abandoned at *lo*.
            random: The source of randomness.
        """
        if hi == math.inf:
            hi = _ABANDONED * lo
        if lo == hi:
            return lo
        late, early = self.running_at(hi), self.running_at(lo)
        return min(max(lo, self.age_at(late + (early - late) * random())), hi)


def log_candidates(shortest: float) -> list[float]:
    """Return the logarithms of the candidate ages, for polls that are at least *shortest* seconds apart."""
    low, high = math.log(shortest / 2), math.log(max(HORIZON, 1000 * shortest))
    steps = math.ceil((high - low) / math.log(_RATIO))
    return [low + step * (high - low) / steps for step in range(steps + 1)]


def estimate_survival(
    durations: Sequence[float], candidates: Sequence[float], *, hint: float | None = None
) -> SurvivalCurve:
    """Return the survival curve that durations show.

    Args:
        durations: The durations of past jobs, not negative, in any order; there may be none.
        candidates: The logarithms of ages from `log_candidates`.
        hint: A duration to expect; it counts as one past job for the centre of the prior.
    """
    shortest, longest = math.exp(candidates[1]), math.exp(candidates[-2])
    logs = sorted(math.log(min(max(shortest, duration), longest)) for duration in durations)
    known = logs if hint is None else [*logs, math.log(hint)]
    centre = math.fsum(known) / len(known) if known else math.log(_GUESS)
    weight = max(_LEAST_PRIOR, 1 / (len(logs) + 1))
    ages, survival, ended, density, before = [0.0], [1.0], 0.0, 0.0, candidates[0]
    for at, change in _density_steps(logs, candidates):
        ended += density * (at - before)
        density, before, age = density + change, at, math.exp(at)
        if age > _SAME * ages[-1]:
            prior = 0.5 - math.atan(at - centre) / math.pi
            ages.append(age)
            survival.append(min(survival[-1], weight * prior + (1 - weight) * max(0.0, 1 - ended)))
    survival[-1] = 0.0
    return SurvivalCurve(ages, survival, math.exp(centre), math.exp(max(logs, default=centre)))


def _density_steps(logs: Sequence[float], candidates: Sequence[float]) -> list[tuple[float, float]]:
    """Return every candidate and every side of a box, ascending, each with the change of the density there."""
    changes = [(at, 0.0) for at in candidates]
    for at, reach in zip(logs, _reaches(logs), strict=True):
        left, right = max(candidates[0], at - reach), min(at + reach, candidates[-1])
        share = 1 / (len(logs) * (right - left))
        changes += ((left, share), (right, -share))
    return sorted(changes)


def _reaches(logs: Sequence[float]) -> list[float]:
    """Return how far each of the ascending *logs* reaches: to its k-th nearest neighbour, with the k that fits best.

    Where jobs end at the ticks of a clock, a small k fits, elsewhere a large one. A k fits as well as the density that
    the others have at each of them.
    """
    wide, narrow = (_nearest(logs, max(1, round(len(logs) ** power))) for power in _NEIGHBOURS)
    return narrow if len(logs) > _FEW and _fit(logs, narrow) > _fit(logs, wide) + _M * len(logs) else wide


def _nearest(logs: Sequence[float], k: int) -> list[float]:
    """Return for each of the ascending *logs* the distance to its k-th nearest neighbour."""
    count = len(logs)
    if count <= k:
        return [_REACH_OF_FEW] * count
    windows = (range(max(0, i - k), min(i, count - 1 - k) + 1) for i in range(count))
    kth = (min(max(at - logs[j], logs[j + k] - at) for j in window) for at, window in zip(logs, windows, strict=True))
    return [max(_LEAST_REACH, distance) for distance in kth]


def _fit(logs: Sequence[float], reaches: Sequence[float]) -> float:
    """Return the mean logarithm of the density that all others have at each of the ascending *logs*."""
    fit = 0.0
    for i, at in enumerate(logs):
        density = sum(0.5 / reach for j, (other, reach) in enumerate(zip(logs, reaches, strict=True)) if j != i and abs(other - at) <= reach)
        fit += math.log(max(density / len(logs), _LEAST_DENSITY))
    return fit
