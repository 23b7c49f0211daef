"""Compute what a poll is worth: the delay to expect since the last look at a job, which an end would have had by now.

Of a job that still ran at age u, S(s)/S(u) is the probability to run at age s. If it is looked at again at age t, it has
ended before by t - u - (I(t) - I(u)) / S(u) seconds in expectation, where I is the integral of S. This only grows, so a
job that is never polled becomes worth more than any other.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from itertools import accumulate

from asyncpoll.waiting.learning._survival import SurvivalCurve

_NOTHING = 1e-9  # of all jobs: what is known of so few is nothing


class Worth:
    """The worth of polls by a survival curve."""

    def __init__(self, curve: SurvivalCurve) -> None:
        self._curve = curve
        ages, survival = curve.ages, curve.survival
        cells = range(len(ages) - 1)
        widths = ((ages[i + 1] - ages[i]) * (survival[i] + survival[i + 1]) / 2 for i in cells)
        self._areas = [0.0, *accumulate(widths)]

    def of(self, lo: float, hi: float) -> float:
        """Return the expected seconds for which a job that ran at age *lo* has ended at age *hi*."""
        running = self._curve.running_at(lo)
        if running < _NOTHING:
            return hi - lo
        return max(0.0, hi - lo - (self._area(hi) - self._area(lo)) / running)

    def when(self, lo: float, worth: float) -> float:
        """Return the age at which a poll is worth so many seconds, for a job that ran at age *lo*."""
        ages, running = self._curve.ages, self._curve.running_at(lo)
        if running < _NOTHING or self.of(lo, ages[-1]) <= worth:
            return lo + max(worth, ages[-1] - lo)
        first = bisect_right(ages, lo)
        knot = bisect_left(range(first, len(ages)), worth, key=lambda i: self.of(lo, ages[i])) + first
        before, after = (lo if knot == first else ages[knot - 1]), ages[knot]
        low, high = self.of(lo, before), self.of(lo, after)
        return before + (after - before) * ((worth - low) / (high - low) if high > low else 1.0)

    def _area(self, age: float) -> float:
        ages = self._curve.ages
        cell = bisect_right(ages, age) - 1
        if cell >= len(ages) - 1:
            return self._areas[-1]
        running = (self._curve.survival[cell] + self._curve.running_at(age)) / 2
        return self._areas[cell] + (age - ages[cell]) * running
