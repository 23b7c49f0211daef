"""Estimate the survival curve of jobs from what polls saw of them, while they run as well as when they have ended.

Ages are divided into cells. Each look at a job says that it still ran, or had ended, by an age: so many jobs have
*passed* a cell, and so many have *ended* in it. Their ratio estimates the hazard at that age whatever the order in
which jobs end, since a job that still runs is evidence, too. An end that lies in several cells is shared out among
them by the present curve. The masses of the Kaplan-Meier estimate are spread over neighbouring cells and mixed with a
prior, which is worth one job in each cell. All times are seconds.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import accumulate, pairwise
from typing import NamedTuple

from asyncpoll.waiting.learning._survival import GUESS, HORIZON, SurvivalCurve

_RATIO = 1.04  # from one edge of a cell to the next
_MOST = 128.0  # jobs that a cell remembers
_NEIGHBOURS = 0.6  # of n ends, each is spread until it meets n ** 0.6 others
_REACH = round(0.8 / math.log(_RATIO))  # cells, at most, on either side
_PRIOR = 1.0  # jobs
_HARDLY = 1e-9  # of all jobs; what is known of so few is nothing
_PASSES = 3  # over observations that come together, until ends are shared out by what all of them show


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

    Half of the jobs that are left are expected to end whenever the age and *centre* together have doubled.
    """
    low, high = math.log(shortest / 2), math.log(max(HORIZON, 1000 * shortest))
    steps = math.ceil((high - low) / math.log(_RATIO))
    edges = [0.0, *(math.exp(low + step * (high - low) / steps) for step in range(steps + 1))]
    survival = [centre / (centre + edge) for edge in edges]
    hazards = [1 - later / sooner for sooner, later in pairwise(survival)]
    return Cells(edges, hazards, [*survival[:-1], 0.0], centre, low, steps / (high - low))


class Exposure:
    """The jobs that passed each cell of ages, and those that ended in it.

    Args:
        shortest: The least seconds between two polls.
        hint: The duration to expect, in seconds.

    Attributes:
        ends: The number of jobs that were seen to end.
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
        (first, before), (last, into) = self._cells.place(lo), self._cells.place(hi)
        self._change[first] += 1
        self._change[last] -= 1
        self._passed[first] -= before  # it has been counted by the look at that age
        self._passed[last] += into

    def ended(self, lo: float, hi: float) -> None:
        """Observe that a job that ran at age *lo* had ended at age *hi*."""
        self.ends += 1
        (first, before), (last, _) = self._cells.place(lo), self._cells.place(hi)
        self._passed[first] -= before
        survival, end = self._survival, self._survival[last + 1]
        total = survival[first] - end
        for cell in range(first, last + 1):
            if total > 0:
                self._ended[cell] += (survival[cell] - survival[cell + 1]) / total
                self._passed[cell] += (survival[cell] - end) / total
            else:
                self._ended[cell] += 1 / (last + 1 - first)
                self._passed[cell] += 1 - (cell - first) / (last + 1 - first)

    def estimate(self) -> SurvivalCurve:
        """Return the curve that follows from all observations; later ones are shared out by it."""
        ended, passed = self._ended, self._passed
        for cell, change in enumerate(accumulate(self._change[:-1])):
            passed[cell] = max(passed[cell] + change, ended[cell])
            if passed[cell] > _MOST:
                ended[cell] *= _MOST / passed[cell]
                passed[cell] = _MOST
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
        enough, last = ends[-1] ** _NEIGHBOURS, len(mass) - 1
        slope = [0.0] * (len(mass) + 1)
        for cell, weight in enumerate(mass):
            if weight > 0:
                reach = _reach(ends, cell, enough)
                left, right = max(0, cell - reach), min(cell + reach, last)
                slope[left] += weight / (right + 1 - left)
                slope[right + 1] -= weight / (right + 1 - left)
        return [max(0.0, density) for density in accumulate(slope[:-1])]

    def _forget(self) -> None:
        count = len(self._cells.hazards)
        self._ended, self._passed = [0.0] * count, [0.0] * count
        self._change = [0] * (count + 1)
        self.ends = 0


def _reach(ends: Sequence[float], cell: int, enough: float) -> int:
    """Return how many cells on either side of one have so many ends, given how many ended before each cell."""
    last = len(ends) - 2
    within = range(_REACH)
    return bisect_right(within, enough, key=lambda r: ends[min(cell + r, last) + 1] - ends[max(0, cell - r)])
