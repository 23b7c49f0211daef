"""How long jobs take, in fourteen shapes, and what polling them costs in exact sums. All times are seconds."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import cached_property
from itertools import pairwise
from random import Random
from statistics import fmean

from attrs import frozen

from asyncpoll.waiting.learning._plan import cheapest_plan

Cost = tuple[float, float]
"""Mean calls of a job, and its mean delay."""

_NOBODY = 1e-7  # jobs that run longer than all but this share do not count
_LONGEST = 40_000.0


@frozen(slots=False)
class Durations:
    """One kind of job.

    Attributes:
        name: What the table calls it.
        survival: The chance to run longer than an age.
        draw: One duration.
        scale: All durations are multiplied with it.
    """

    name: str
    survival: Callable[[float], float]
    draw: Callable[[Random], float]
    scale: float = 1.0

    def scaled(self, scale: float) -> Durations:
        """Return jobs that take so many times as long."""
        return Durations(
            f"{self.name} x {scale:g}",
            lambda age: self.survival(age / scale),
            lambda chance: scale * self.draw(chance),
            scale,
        )

    @cached_property
    def end(self) -> float:
        """The age by which all have ended that count."""
        return next((age for age in self.knots if self.survival(age) < _NOBODY), self.knots[-1])

    @cached_property
    def knots(self) -> list[float]:
        """Ages, close together where most jobs end."""
        fine = [0.05 * step for step in range(3000)]
        coarse = [150 * (_LONGEST / 150) ** (step / 700) for step in range(701)]
        return [self.scale * age for age in fine + coarse]

    @cached_property
    def mean(self) -> float:
        """The mean duration: the area below survival, by cells so small that what steps is met closely too."""
        ages = [self.scale * 0.002 * step for step in range(75_000)]
        ages += [self.scale * 150 * (_LONGEST / 150) ** (step / 20_000) for step in range(20_001)]
        middles = ((self.survival((one + other) / 2) * (other - one)) for one, other in pairwise(ages))
        return math.fsum(middles)

    @cached_property
    def median(self) -> float:
        """The age by which half have ended."""
        low, high = 0.0, self.end
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if self.survival(middle) > 0.5 else (low, middle)
        return low

    def cost(self, delays: Iterable[float]) -> Cost:
        """Return what polling with these delays costs, the poll at age 0 not counted, which all make alike."""
        calls = seen = age = 0.0
        for delay in delays:
            running = self.survival(age)
            if running < _NOBODY or age > self.end:
                break
            calls += running
            seen += running * delay
            age += delay
        return calls, seen - self.mean

    def optimum(self, price: float) -> Cost:
        """Return the least that polling can cost when a call is worth *price* seconds and this survival is known."""
        ages = self.knots
        plan = cheapest_plan(ages, [1.0, *map(self.survival, ages[1:-1]), 0.0], price)
        here, delays = 0, []
        while here < len(ages) - 1:
            there = plan.following[here]
            delays.append(ages[there] - ages[here])
            here = there
        return self.cost(delays)


def mixture(*parts: Durations, name: str) -> Durations:
    """Return jobs of several kinds, of each as many."""
    return Durations(
        name, lambda age: fmean(part.survival(age) for part in parts), lambda chance: chance.choice(parts).draw(chance)
    )


def lognormal(median: float, spread: float, name: str = "") -> Durations:
    """Return jobs whose logarithms are normally distributed."""
    width = spread * math.sqrt(2)
    return Durations(
        name or f"lognormal {median:g} s, {spread:g}",
        lambda age: 0.5 * math.erfc(math.log(age / median) / width) if age > 0 else 1.0,
        lambda chance: median * math.exp(spread * chance.gauss(0, 1)),
    )


def nearly_constant(mean: float, spread: float) -> Durations:
    """Return jobs that take about as long."""
    width = spread * math.sqrt(2)
    return Durations(
        f"nearly constant {mean:g} s",
        lambda age: 0.5 * math.erfc((age - mean) / width),
        lambda chance: chance.gauss(mean, spread),
    )


def exponential(mean: float) -> Durations:
    """Return jobs without memory."""
    return Durations(
        f"exponential {mean:g} s", lambda age: math.exp(-age / mean), lambda chance: chance.expovariate(1 / mean)
    )


def pareto(shape: float, least: float) -> Durations:
    """Return jobs with a heavy tail."""
    return Durations(
        f"Pareto {shape:g}",
        lambda age: min(1.0, (least / age) ** shape) if age > 0 else 1.0,
        lambda chance: least * (1 - chance.random()) ** (-1 / shape),
    )


def uniform(low: float, high: float) -> Durations:
    """Return jobs that end at any age between two with the same chance."""
    return Durations(
        f"uniform {low:g} to {high:g} s",
        lambda age: min(max(0.0, (high - age) / (high - low)), 1.0),
        lambda chance: chance.uniform(low, high),
    )


def weibull(scale: float, shape: float) -> Durations:
    """Return jobs whose chance to end changes with a power of their age."""
    return Durations(
        f"Weibull {shape:g}",
        lambda age: math.exp(-((age / scale) ** shape)),
        lambda chance: chance.weibullvariate(scale, shape),
    )


def gamma_of_three(mean: float) -> Durations:
    """Return jobs of three steps without memory, one after the other."""
    step = mean / 3

    def survival(age: float) -> float:
        steps = age / step
        return math.exp(-steps) * (1 + steps + steps * steps / 2)

    return Durations("gamma of 3 steps", survival, lambda chance: chance.gammavariate(3, step))


def quantised(inner: Durations, grain: float) -> Durations:
    """Return jobs that a server notices to have ended only every few seconds."""
    return Durations(
        f"ends at every {grain:g} s",
        lambda age: inner.survival(grain * math.floor(age / grain)),
        lambda chance: grain * math.ceil(inner.draw(chance) / grain),
    )


def in_batches(period: float, work: float, overflow: float) -> Durations:
    """Return jobs of a queue that is drained every *period* seconds; some do not fit and wait for the next time."""

    def survival(age: float) -> float:
        first = min(max(0.0, (work + period - age) / period), 1.0)
        second = min(max(0.0, (work + 2 * period - age) / period), 1.0)
        return (1 - overflow) * first + overflow * second

    def draw(chance: Random) -> float:
        return work + period * (chance.random() + (chance.random() < overflow))

    return Durations("queue drained in batches", survival, draw)


SUITE = [
    lognormal(20, 0.4),
    lognormal(20, 0.8),
    lognormal(20, 1.2),
    mixture(lognormal(2, 0.2), lognormal(60, 0.2), name="bimodal 2 s, 60 s"),
    pareto(1.5, 5),
    uniform(5, 60),
    nearly_constant(20, 0.5),
    exponential(20),
]
"""What the targets are about."""

FURTHER = [
    weibull(20, 0.7),
    weibull(20, 3),
    gamma_of_three(20),
    mixture(lognormal(3, 0.2), lognormal(20, 0.15), lognormal(120, 0.2), name="trimodal 3, 20, 120 s"),
    quantised(lognormal(20, 0.8), 5),
    in_batches(30, 3, 0.3),
]
"""What was not looked at while the schedule was made."""


def by_hour(number: int, chance: Random) -> float:
    """Return the duration of one of many jobs, fifty an hour: at night they take 8 s, at the busiest hour 40 s."""
    busy = 0.5 - 0.5 * math.cos(2 * math.pi * number / (24 * 50))
    return 8 * 5**busy * math.exp(0.3 * chance.gauss(0, 1))
