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

HORIZON = 86_400.0  # the longest duration that is planned for, unless intervals are of that order themselves

_RATIO = 1.15  # from one candidate age to the next, where durations are far
GUESS = 10.0  # the typical duration while none was observed
_LEAST_PRIOR = 0.03  # the weight of the prior, however many durations were observed
_WIDE, _NARROW = 0.6, 0.3  # of n durations, each reaches to the one that is the n ** 0.6th next, or n ** 0.3th
_FEW = 10  # durations, too few to tell which fits better
_MUCH_BETTER = 0.6  # the logarithm of the density, by which the narrow reach must fit better
_LEAST_DENSITY = 0.03  # of one duration that no other reaches
_REACH_OF_FEW = 0.8  # the reach, as a logarithm, while there are fewer than that
_LEAST_REACH = 0.01
_SAME = 1.001  # ages within this ratio are one
_MOST = 0.9  # the share of jobs for which an expected end holds


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

    def middle(self, lo: float, hi: float) -> float:
        """Return the median duration of the jobs that end in (*lo*, *hi*], which may reach to infinity."""
        if lo == hi:
            return lo
        return min(max(lo, self.age_at((self.running_at(lo) + self.running_at(hi)) / 2)), hi)


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
    centre = math.fsum(known) / len(known) if known else math.log(GUESS)
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
    """Return how far each of the ascending *logs* reaches: to its k-th nearest neighbour.

    Where jobs end at the ticks of a clock, a small k fits much better than a large one. It fits as well as the density
    that the others have at each of them.
    """
    wide = _distances(logs, max(1, round(len(logs) ** _WIDE)))
    if len(logs) <= _FEW:
        return wide
    narrow = _distances(logs, round(len(logs) ** _NARROW))
    return narrow if _fit(logs, narrow) > _fit(logs, wide) + _MUCH_BETTER else wide


def _distances(logs: Sequence[float], k: int) -> list[float]:
    """Return for each of the ascending *logs* the distance to its k-th nearest neighbour."""
    count = len(logs)
    if count <= k:
        return [_REACH_OF_FEW] * count
    windows = (range(max(0, i - k), min(i, count - 1 - k) + 1) for i in range(count))
    kth = (min(max(at - logs[j], logs[j + k] - at) for j in window) for at, window in zip(logs, windows, strict=True))
    return [max(_LEAST_REACH, distance) for distance in kth]


def _fit(logs: Sequence[float], reaches: Sequence[float]) -> float:
    """Return the mean logarithm of the density that all others have at each of the ascending *logs*."""
    densities = [-0.5 / reach for reach in reaches]  # without its own
    for other, reach in zip(logs, reaches, strict=True):
        for i in range(bisect_left(logs, other - reach), bisect_right(logs, other + reach)):
            densities[i] += 0.5 / reach
    return math.fsum(math.log(max(density / len(logs), _LEAST_DENSITY)) for density in densities) / len(logs)
