"""Estimate the survival curve of jobs from the durations of past ones, or from what polls saw of them.

*Durations*: a mixture of two parts. One is a kernel estimate on a logarithmic axis: each duration is an even box that
reaches as far as its neighbours are away, so that two clusters stay two clusters. The other is the prior, a wide
log-Cauchy curve around the typical duration; its weight falls with the number of durations.

*Looks*: ages are divided into cells. Each look at a job says that it still ran, or had ended, by an age: so many jobs
have passed a cell, and so many have ended in it. Their ratio estimates the hazard at that age whatever the order in
which jobs end, since a job that still runs is evidence, too. An end that lies in several cells is shared out among
them by the present curve. The masses of the Kaplan-Meier estimate are spread over neighbouring cells and mixed with a
prior, which is worth one job in each cell.

All times are seconds.
"""

from __future__ import annotations

import math
import operator
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from functools import cached_property, lru_cache
from itertools import accumulate, pairwise
from typing import NamedTuple

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
_ONE_DEVIATION = 0.84, 0.16  # of the jobs still run a standard deviation before the median, and after it
_ALL = 0.999
_TAIL, _STEPS = 4.0, 8  # standard deviations before which almost no job has ended, and the steps of one
_MOST = 0.9  # the share of jobs for which an expected end holds

_CELL_RATIO = 1.04  # from one edge of a cell to the next
_REMEMBERED, _MOST_REMEMBERED = 128.0, 2048.0  # jobs that a cell remembers at least, and at most
_GENERATIONS = 4.0  # of jobs that run together: they are of one time, so nothing is forgotten
_MOST_CELLS = round(0.8 / math.log(_CELL_RATIO))  # cells, at most, on either side
_PRIOR = 1.0  # jobs
_STEEPNESS = 1.25  # of the prior: with 1, half of the jobs that are left end whenever age + centre doubles
_HARDLY = 1e-9  # of all jobs; what is known of so few is nothing
_PASSES = 3  # over observations that come together, until ends are shared out by what all of them show


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
        return min(max(lo, self.age_at((self.running_at(lo) + self.running_at(hi)) / 2)), hi)

    def spread(self, age: float) -> float:
        """Return the standard deviation of the logarithm of the duration of a job that runs at *age*, about."""
        still = self.running_at(age)
        early, late = (self.age_at(share * still) for share in _ONE_DEVIATION)
        return math.log(late / early) / 2 if still > 0 else 0.0

    # What a poll is worth: the seconds for which a job is expected to have ended unseen since the last look at it. Of a
    # job that ran at age u, S(s)/S(u) is the probability to run at age s. If it is looked at again at age t, it has
    # ended before by t - u - (I(t) - I(u)) / S(u) seconds in expectation, where I is the integral of S. This only
    # grows, so a job that is not polled for long becomes worth more than any other.

    def worth(self, lo: float, hi: float) -> float:
        """Return what a poll at age *hi* is worth, in seconds, for a job that ran at age *lo*."""
        running = self.running_at(lo)
        if running < _HARDLY:
            return hi - lo
        return max(0.0, hi - lo - (self._area(hi) - self._area(lo)) / running)

    def when_worth(self, lo: float, seconds: float) -> float:
        """Return the age at which a poll is worth so many *seconds*, above 0, for a job that ran at age *lo*."""
        ages, running = self.ages, self.running_at(lo)
        if running < _HARDLY or self.worth(lo, ages[-1]) <= seconds:
            return max(lo + seconds, ages[-1])
        first = bisect_right(ages, lo)
        knot = bisect_left(range(first, len(ages)), seconds, key=lambda i: self.worth(lo, ages[i])) + first
        before, after = (lo if knot == first else ages[knot - 1]), ages[knot]
        # Within a cell the curve is a line, so the worth is a parabola from its left end on.
        missing = seconds - self.worth(lo, before)
        at_left = self.running_at(before) / running
        bend = (at_left - self.running_at(after) / running) / (after - before) / 2
        slope = 1 - at_left
        root = slope + math.sqrt(slope * slope + 4 * bend * missing)
        return min(before + 2 * missing / root if root > 0 else after, after)

    @cached_property
    def _areas(self) -> Sequence[float]:
        """The integral of the curve from 0 to each knot."""
        cells = zip(pairwise(self.ages), pairwise(self.survival), strict=True)
        return [0.0, *accumulate((hi - lo) * (above + below) / 2 for (lo, hi), (above, below) in cells)]

    def _area(self, age: float) -> float:
        ages = self.ages
        cell = bisect_right(ages, age) - 1
        if cell >= len(ages) - 1:
            return self._areas[-1]
        running = (self.survival[cell] + self.running_at(age)) / 2
        return self._areas[cell] + (age - ages[cell]) * running


def when_worth_by_progress(age: float, total: float, spread: float, seconds: float) -> float:
    """Return the age at which a poll is worth so many *seconds*, where only the progress of the job is gone by.

    Args:
        age: The age at which it ran.
        total: The duration that follows from its progress.
        spread: The standard deviation of the logarithm of durations around that, above 0.
        seconds: Above 0.
    """
    still = math.erfc(math.log(age / total) / spread / math.sqrt(2))
    at, missed = max(age, total * math.exp(-_TAIL * spread)), 0.0
    while True:
        later = at * math.exp(spread / _STEPS)
        ended = 1 - math.erfc(math.log((at + later) / 2 / total) / spread / math.sqrt(2)) / still
        if missed + ended * (later - at) >= seconds or ended > _ALL:
            return at + (seconds - missed) / ended
        missed, at = missed + ended * (later - at), later


# from durations


@lru_cache(maxsize=16)
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


# from looks


class Cells(NamedTuple):
    """The cells of ages, and what is expected of each while nothing was seen; one value serves any number of keys.

    Attributes:
        edges: The ages between which they lie, ascending from 0.
        hazards: The share of the jobs that came into a cell, and are expected to end in it.
        survival: The probability to be still running at each edge that follows.
        centre: The duration to expect, in seconds.
        low: The logarithm of the second edge.
        per_log: The cells by which an age moves on when its logarithm grows by 1.
    """

    edges: list[float]
    hazards: list[float]
    survival: list[float]
    centre: float
    low: float
    per_log: float

    def place(self, age: float) -> tuple[int, float]:
        """Return the number of the cell of an age, and the share of the cell that lies before it."""
        edges = self.edges
        if age <= edges[1]:
            return 0, age / edges[1]
        cell = min(1 + int((math.log(age) - self.low) * self.per_log), len(self.hazards) - 1)
        return cell, min(max(0.0, (age - edges[cell]) / (edges[cell + 1] - edges[cell])), 1.0)


@lru_cache(maxsize=16)
def cells_for(shortest: float, centre: float) -> Cells:
    """Return cells for polls that are *shortest* seconds apart at least, if a job is expected to take *centre* seconds.

    More than half of the jobs that are left are expected to end whenever the age and *centre* together have doubled.
    """
    low, high = math.log(shortest / 2), math.log(max(HORIZON, 1000 * shortest))
    steps = math.ceil((high - low) / math.log(_CELL_RATIO))
    edges = [0.0, *(math.exp(low + step * (high - low) / steps) for step in range(steps + 1))]
    survival = [(centre / (centre + edge)) ** _STEEPNESS for edge in edges]
    hazards = [1 - later / sooner for sooner, later in pairwise(survival)]
    return Cells(edges, hazards, [*survival[:-1], 0.0], centre, low, steps / (high - low))


class Exposure:
    """The jobs that passed each cell of ages, and those that ended in it.

    Args:
        shortest: The least seconds between two polls.
        hint: The duration to expect, in seconds.

    Attributes:
        ends: The number of jobs that were seen to end.
        running: The number of jobs that were last seen running.
    """

    def __init__(self, shortest: float, hint: float | None = None) -> None:
        self._cells = cells_for(shortest, GUESS if hint is None else hint)
        self._survival = self._cells.survival
        self._change: list[int] = []  # of the jobs that passed, from cell to cell, since the last estimate
        self._forget()

    def fill(self, intervals: Iterable[tuple[float, float]]) -> SurvivalCurve:
        """Forget everything, observe jobs that ended at ages in these intervals, and return the curve that follows.

        A job whose interval is not bounded was given up at its beginning.
        """
        known = list(intervals)
        self._survival = self._cells.survival
        for _ in range(_PASSES if known else 0):
            self._forget()
            for lo, hi in known:
                self.passed(0.0, lo)
                if hi < math.inf:
                    self.ended(lo, hi)
            self.estimate()
        return self._curve()

    def passed(self, lo: float, hi: float) -> None:
        """Observe that a job that ran at age *lo* still ran at age *hi*."""
        self.running += lo == 0
        (first, before), (last, into) = self._cells.place(lo), self._cells.place(hi)
        self._change[first] += 1
        self._change[last] -= 1
        self._passed[first] -= before  # it has been counted by the look at that age
        self._passed[last] += into

    def ended(self, lo: float, hi: float) -> None:
        """Observe that a job that ran at age *lo* had ended at age *hi*."""
        self.ends += 1
        self.running -= lo > 0
        (first, before), (last, into) = self._cells.place(lo), self._cells.place(hi)
        self._passed[first] -= before
        survival = self._survival
        bounds = [*survival[first : last + 2]]
        bounds[0] += before * (bounds[1] - bounds[0])
        bounds[-1] = survival[last] + into * (bounds[-1] - survival[last])
        total = bounds[0] - bounds[-1]
        if not total > 0:
            bounds = [float(last + 1 - cell) for cell in range(first, last + 2)]
            total = bounds[0]
        end = bounds[-1]
        for cell, (sooner, later) in enumerate(pairwise(bounds), first):
            self._ended[cell] += (sooner - later) / total
            self._passed[cell] += (sooner - end) / total

    def estimate(self) -> SurvivalCurve:
        """Return the curve that follows from all observations; later ones are shared out by it."""
        ended, passed = self._ended, self._passed
        remembered = min(max(_REMEMBERED, _GENERATIONS * self.running), _MOST_REMEMBERED)
        for cell, change in enumerate(accumulate(self._change[:-1])):
            passed[cell] = max(passed[cell] + change, ended[cell])
            if passed[cell] > remembered:
                ended[cell] *= remembered / passed[cell]
                passed[cell] = remembered
        count = len(passed)
        self._change = [0] * (count + 1)
        mass, left = [0.0] * count, 1.0
        for cell, ends in enumerate(ended):
            if ends > 0:
                mass[cell] = left * ends / passed[cell]
                left -= mass[cell]
        self._survival = survival = [1.0]
        before = left = 1.0
        for density, at_risk, prior in zip(self._spread(mass), passed, self._cells.hazards, strict=True):
            hazard = min(1.0, density / before) if before > _HARDLY else prior
            before -= density
            left *= 1 - (hazard * at_risk + _PRIOR * prior) / (at_risk + _PRIOR)
            survival.append(left)
        survival[-1] = 0.0
        return self._curve()

    def _curve(self) -> SurvivalCurve:
        edges, centre = self._cells.edges, self._cells.centre
        curve = SurvivalCurve(edges, self._survival, centre, centre)
        ends = math.fsum(self._ended)
        if not ends:
            return curve
        typical = math.exp((ends * math.log(curve.age_at(0.5)) + math.log(centre)) / (ends + 1))
        last = max(cell for cell, ended in enumerate(self._ended) if ended > 0)
        return SurvivalCurve(edges, self._survival, typical, edges[last + 1])

    def _spread(self, mass: Sequence[float]) -> list[float]:
        """Spread each mass evenly over the fewest cells around it in which enough jobs have ended."""
        ends = [0.0, *accumulate(self._ended)]
        enough, last = ends[-1] ** _WIDE, len(mass) - 1
        slope = [0.0] * (len(mass) + 1)
        for cell, weight in enumerate(mass):
            if weight > 0:
                reach = _cells_that_hold(ends, cell, enough)
                left, right = max(0, cell - reach), min(cell + reach, last)
                slope[left] += weight / (right + 1 - left)
                slope[right + 1] -= weight / (right + 1 - left)
        return [max(0.0, density) for density in accumulate(slope[:-1])]

    def _forget(self) -> None:
        count = len(self._cells.hazards)
        self._ended, self._passed = [0.0] * count, [0.0] * count
        self._change = [0] * (count + 1)
        self.ends = self.running = 0


def _cells_that_hold(ends: Sequence[float], cell: int, enough: float) -> int:
    """Return how many cells on either side of one have so many ends, given how many ended before each cell."""
    last = len(ends) - 2
    within = range(_MOST_CELLS)
    return bisect_right(within, enough, key=lambda r: ends[min(cell + r, last) + 1] - ends[max(0, cell - r)])
