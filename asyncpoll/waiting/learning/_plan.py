"""Compute the cheapest ages at which to poll from a survival curve.

A poll costs a call; a second between the end of a job and the poll that sees it costs a second of delay. Let S(t) be
the probability that a job still runs at age t, and c the call cost in seconds. Polls at x1 < x2 < ..., with x0 = 0,
then cost, up to a constant,

    the sum over k of S(xk) * (c + x(k+1) - xk).

Each term joins two neighbouring ages, so the cheapest choice among n candidates is a shortest path. It is linear in the
later age, so the best next ages are the lower envelope of n lines, found in O(n). The best ages from one on do not
depend on those before it: one plan serves a wait of any age, however late its last poll was.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence

from attrs import frozen

RandomSource = Callable[[], float]
"""A function that returns numbers from 0 up to, but not including, 1, as `random.Random().random` does."""

_AS_GOOD = 0.05  # ages that cost at most this share of a call more than the best: polls of many jobs spread over them


@frozen
class Plan:
    """The age of the next poll for a job that still runs at any age.

    Attributes:
        ages: The candidates in seconds, ascending from 0.
        survival: The probability to be still running at each of them, falling from 1 to 0.
        cost: The call cost in seconds.
        following: For each candidate the index of the best next one; the last has itself.
        ahead: For each candidate the seconds still to pay, times the probability to get there.
    """

    ages: Sequence[float]
    survival: Sequence[float]
    cost: float
    following: Sequence[int]
    ahead: Sequence[float]

    def next_poll(self, age: float, random: RandomSource) -> float:
        """Return the age of the next poll of a job that runs at *age*, which must be below the last candidate."""
        here = bisect_right(self.ages, age) - 1
        best = self.following[here]
        if best == here + 1:  # the candidates may be too coarse here
            return min(self.ages[best], age + self._interval_within(here))
        first, last = self._as_good(here, best)
        return self.ages[first] + (self.ages[last] - self.ages[first]) * random()

    def calls(self, until: float) -> float:
        """Return the expected number of polls of a job, without those after the age *until*."""
        calls, here = 0.0, 0
        while self.ages[here] < until and self.survival[here] > 0:
            there = self.following[here]
            calls += self.survival[here] * (self._polls_within(here) if there == here + 1 else 1.0)
            here = there
        return calls

    def _interval_within(self, cell: int) -> float:
        """Return the best interval where the end is spread evenly: the square root of 2c by the hazard."""
        fall = self.survival[cell] - self.survival[cell + 1]
        if fall <= 0:
            return math.inf
        width = self.ages[cell + 1] - self.ages[cell]
        return math.sqrt(self.cost * width * (self.survival[cell] + self.survival[cell + 1]) / fall)

    def _polls_within(self, cell: int) -> float:
        return max(1.0, (self.ages[cell + 1] - self.ages[cell]) / self._interval_within(cell))

    def _as_good(self, here: int, best: int) -> tuple[int, int]:
        """Return the first and the last of the candidates around *best* that are almost as good."""
        ages, ahead, survival = self.ages, self.ahead, self.survival[here]
        limit = survival * (ages[best] + _AS_GOOD * self.cost) + ahead[best]
        first = last = best
        while first > here + 2 and survival * ages[first - 1] + ahead[first - 1] <= limit:
            first -= 1
        while last + 1 < len(ages) and survival * ages[last + 1] + ahead[last + 1] <= limit:
            last += 1
        return first, last


def cheapest_plan(ages: Sequence[float], survival: Sequence[float], cost: float) -> Plan:
    """Return the plan with the least expected cost.

    Args:
        ages: The candidates in seconds, ascending from 0; by the last every job has ended.
        survival: The probability to be still running at each of them; it never rises and ends with 0.
        cost: The call cost in seconds, above 0.
    """
    last = len(ages) - 1
    following, ahead = [last] * len(ages), [0.0] * len(ages)
    # Candidate i is the line ages[i] * s + ahead[i]. Going backwards, lines come with falling slopes and are asked at
    # rising s, so those that stop being the lowest at the front never come back.
    lines, front = [last], 0
    for here in range(last - 1, -1, -1):
        s, age = survival[here], ages[here]
        while front + 1 < len(lines) and _is_lower(ages, ahead, lines[front + 1], lines[front], s):
            front += 1
        best = following[here] = lines[front]
        ahead[here] = s * (cost - age + ages[best]) + ahead[best]
        while front + 1 < len(lines) and _hides(ages, ahead, lines[-2], lines[-1], here):
            lines.pop()
        lines.append(here)
    return Plan(ages, survival, cost, following, ahead)


def _is_lower(slopes: Sequence[float], heights: Sequence[float], one: int, other: int, s: float) -> bool:
    return s * slopes[one] + heights[one] <= s * slopes[other] + heights[other]


def _hides(slopes: Sequence[float], heights: Sequence[float], before: int, middle: int, after: int) -> bool:
    """Return whether the line *after* gets below *before* no later than *middle* does: *middle* is never the lowest."""
    rise, rise_of_middle = heights[after] - heights[before], heights[middle] - heights[before]
    return rise * (slopes[before] - slopes[middle]) <= rise_of_middle * (slopes[before] - slopes[after])
