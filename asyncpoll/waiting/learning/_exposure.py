"""Estimate the survival curve of jobs from what polls saw of them, while they run as well as when they have ended.

Each look at a job says that it still ran, or had ended, by an age: so many jobs have *passed* a cell of ages, and so
many have *ended* in it. Their ratio estimates the hazard at that age whatever the order in which jobs end, since a job
that still runs is evidence, too. An end that lies in several cells is shared out among them by the present curve.
The masses of the Kaplan-Meier estimate are spread over neighbouring cells, and mixed with a prior which is worth one
job in each cell. All times are seconds.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate, pairwise

from asyncpoll.waiting.learning._survival import HORIZON, SurvivalCurve

_RATIO = 1.04  # from one edge of a cell to the next
import os
_W=float(os.environ.get("W","1"))
_GUESS = 10.0  # the typical duration before anything was seen
_MOST = 128.0  # jobs that a cell remembers
_NEIGHBOURS = float(os.environ.get("NB","0.6"))  # of n ends, each is spread until it meets n ** 0.6 others
_REACH = round(0.8 / math.log(_RATIO))  # cells, at most, on either side


class Exposure:
    """The jobs that passed each cell of ages, and those that ended in it.

    Args:
        shortest: The least seconds between two polls.
        hint: The duration to expect, in seconds.
    """

    def __init__(self, shortest: float, hint: float | None = None, survival: Sequence[float] | None = None) -> None:
        low, high = math.log(shortest / 2), math.log(max(HORIZON, 1000 * shortest))
        steps = math.ceil((high - low) / math.log(_RATIO))
        self._edges = [0.0, *(math.exp(low + step * (high - low) / steps) for step in range(steps + 1))]
        self._low, self._per_log = low, steps / (high - low)
        self._cells = steps + 1
        self._centre = _GUESS if hint is None else hint
        prior = [self._centre / (self._centre + edge) for edge in self._edges]
        self._prior = [1 - later / sooner for sooner, later in pairwise(prior)]
        self._ended = [0.0] * self._cells
        self._passed = [0.0] * self._cells
        self._change = [0.0] * (self._cells + 1)  # of those that passed, from cell to cell, since the last estimate
        self.survival = [*prior[:-1], 0.0] if survival is None else survival

    @property
    def ends(self) -> float:
        """The jobs that ended, as far as they are remembered."""
        return math.fsum(self._ended)

    def cell(self, age: float) -> int:
        """Return the cell of an age."""
        if age <= self._edges[1]:
            return 0
        return min(1 + int((math.log(age) - self._low) * self._per_log), self._cells - 1)

    def passed(self, lo: float, hi: float) -> None:
        """A job that ran at age *lo* was seen to run at age *hi*."""
        self._change[self.cell(lo)] += 1
        self._change[self.cell(hi)] -= 1

    def ended(self, lo: float, hi: float) -> None:
        """A job that ran at age *lo* was seen to have ended at age *hi*."""
        first, last = self.cell(lo), self.cell(hi)
        s = self.survival
        end = s[last + 1]
        total = s[first] - end
        for cell in range(first, last + 1):
            if total > 0:
                self._ended[cell] += (s[cell] - s[cell + 1]) / total
                self._passed[cell] += (s[cell] - end) / total
            else:
                self._ended[cell] += 1 / (last + 1 - first)
                self._passed[cell] += 1 - (cell - first) / (last + 1 - first)

    def estimate(self) -> SurvivalCurve:
        """Return the curve that follows, and go on with it."""
        ended, passed = self._ended, self._passed
        for cell, change in enumerate(accumulate(self._change[:-1])):
            passed[cell] += change
            if passed[cell] > _MOST:
                ended[cell] *= _MOST / passed[cell]
                passed[cell] = _MOST
        self._change = [0.0] * (self._cells + 1)
        mass, left = [0.0] * self._cells, 1.0
        for cell, end in enumerate(ended):
            if end > 0:
                mass[cell] = left * min(1.0, end / passed[cell])
                left -= mass[cell]
        spread = self._spread(mass)
        self.survival = survival = [1.0]
        before, left = 1.0, 1.0
        for density, at_risk, prior in zip(spread, passed, self._prior, strict=True):
            hazard = min(1.0, density / before) if before > 1e-9 else prior
            before -= density
            left *= 1 - (hazard * at_risk + _W * prior) / (at_risk + _W)
            survival.append(left)
        survival[-1] = 0.0
        return self._curve(survival)

    def _curve(self, survival: Sequence[float]) -> SurvivalCurve:
        ends = self.ends
        curve = SurvivalCurve(self._edges, survival, self._centre, self._centre)
        if ends:
            typical = math.exp((ends * math.log(curve.age_at(0.5)) + math.log(self._centre)) / (ends + 1))
            last = max(cell for cell, end in enumerate(self._ended) if end > 0)
            curve = SurvivalCurve(self._edges, survival, typical, self._edges[last + 1])
        return curve

    def _spread(self, mass: Sequence[float]) -> list[float]:
        """Spread each mass evenly over the fewest cells around it in which enough jobs have ended."""
        total = [0.0, *accumulate(self._ended)]
        enough = total[-1] ** _NEIGHBOURS
        slope = [0.0] * (self._cells + 1)
        last = self._cells - 1
        for cell, weight in enumerate(mass):
            if weight <= 0:
                continue
            reach = bisect_right(range(_REACH), enough, key=lambda r: total[min(cell + r, last) + 1] - total[max(0, cell - r)])  # noqa: E501
            left, right = max(0, cell - reach), min(cell + reach, last)
            slope[left] += weight / (right + 1 - left)
            slope[right + 1] -= weight / (right + 1 - left)
        return list(accumulate(slope[:-1]))
