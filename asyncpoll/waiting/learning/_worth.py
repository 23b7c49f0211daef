"""Compute what a poll is worth: the seconds for which a job is expected to have ended unseen since the last look at it.

Of a job that still ran at age u, S(s)/S(u) is the probability to run at age s, where S is the survival curve. If it is
looked at again at age t, it has ended before by t - u - (I(t) - I(u)) / S(u) seconds in expectation, where I is the
integral of S. This only grows, so a job that is not polled for long becomes worth more than any other.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from itertools import accumulate

from asyncpoll.waiting.learning._survival import SurvivalCurve

_HARDLY = 1e-9  # of all jobs; what is known of so few is nothing


class Worth:
    """The worth of polls by a survival curve."""

    def __init__(self, curve: SurvivalCurve) -> None:
        self._curve = curve
        ages, survival = curve.ages, curve.survival
        cells = range(len(ages) - 1)
        areas = ((ages[i + 1] - ages[i]) * (survival[i] + survival[i + 1]) / 2 for i in cells)
        self._areas = [0.0, *accumulate(areas)]

    def of(self, lo: float, hi: float) -> float:
        """Return what a poll at age *hi* is worth, in seconds, for a job that ran at age *lo*."""
        running = self._curve.running_at(lo)
        if running < _HARDLY:
            return hi - lo
        return max(0.0, hi - lo - (self._area(hi) - self._area(lo)) / running)

    def when(self, lo: float, worth: float) -> float:
        """Return the age at which a poll is worth so many seconds, above 0, for a job that ran at age *lo*."""
        ages, running = self._curve.ages, self._curve.running_at(lo)
        if running < _HARDLY or self.of(lo, ages[-1]) <= worth:
            return max(lo + worth, ages[-1])
        first = bisect_right(ages, lo)
        knot = bisect_left(range(first, len(ages)), worth, key=lambda i: self.of(lo, ages[i])) + first
        before, after = (lo if knot == first else ages[knot - 1]), ages[knot]
        # Within a cell the curve is a line, so the worth is a parabola from its left end on.
        missing = worth - self.of(lo, before)
        at_left = self._curve.running_at(before) / running
        bend = (at_left - self._curve.running_at(after) / running) / (after - before) / 2
        slope = 1 - at_left
        root = slope + math.sqrt(slope * slope + 4 * bend * missing)
        return min(before + 2 * missing / root if root > 0 else after, after)

    def _area(self, age: float) -> float:
        """Return the integral of the curve from 0 to an age."""
        ages = self._curve.ages
        cell = bisect_right(ages, age) - 1
        if cell >= len(ages) - 1:
            return self._areas[-1]
        running = (self._curve.survival[cell] + self._curve.running_at(age)) / 2
        return self._areas[cell] + (age - ages[cell]) * running
