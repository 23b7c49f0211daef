"""What others poll with, the best that could have been chosen in hindsight, and the learned schedule at school."""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable, Iterator, Sequence
from random import Random
from statistics import fmean

from durations import Cost, Durations

from asyncpoll._schedule import Progress, Schedule
from asyncpoll.waiting.learning._learned import Learned

Policy = Callable[[Random], Iterator[float]]

_MOST_POLLS = 20_000


def fixed(interval: float) -> Iterator[float]:
    """Give the same interval for ever."""
    while True:
        yield interval


def growing(first: float, factor: float, longest: float) -> Iterator[float]:
    """Give intervals that grow by a factor up to a longest one."""
    while True:
        yield min(first, longest)
        first = min(first * factor, longest)


def smithy(chance: Random) -> Iterator[float]:
    """Give the delays of AWS waiters made with Smithy, as its specification has them: 2 to 120 s."""
    cap = 2.0
    while True:
        yield chance.uniform(2.0, min(120.0, cap))
        cap = min(2 * cap, 120.0)


def google(chance: Random) -> Iterator[float]:
    """Give the delays of google-api-core's polling with its defaults: up to a cap that grows from 1 to 20 s."""
    return (max(1e-3, chance.uniform(0, cap)) for cap in growing(1.0, 1.5, 20.0))


def terraform(_chance: Random) -> Iterator[float]:
    """Give the delays of Terraform's state changes: 0.2 s, doubled, up to 10 s."""
    return growing(0.2, 2.0, 10.0)


SHIPPED: dict[str, Policy] = {"Smithy": smithy, "google-api-core": google, "Terraform": terraform}


def fixed_family(count: int, scale: float = 1.0) -> list[float]:
    """Return intervals from which hindsight may choose."""
    return [scale * 0.2 * 2000 ** (step / (count - 1)) for step in range(count)]


def exponential_family(count: int, scale: float = 1.0) -> list[tuple[float, float, float]]:
    """Return (first, factor, longest) from which hindsight may choose; *count* is that of first intervals."""
    firsts = [0.05 * 800 ** (step / (count - 1)) for step in range(count)]
    caps = (0.5, 1, 2, 5, 10, 20, 30, 60, 120, 1e9)
    return [
        (scale * first, factor, scale * cap)
        for first in firsts
        for factor in (1.15, 1.25, 1.5, 2, 3)
        for cap in caps
        if cap >= 2 * first
    ]


def least_delay(costs: Sequence[Cost], calls: float) -> float:
    """Return the least delay of any that makes no more calls."""
    return min((delay for made, delay in costs if made <= calls * 1.0001), default=math.inf)


def least_calls(costs: Sequence[Cost], delay: float) -> float:
    """Return the fewest calls of any that has no more delay."""
    return min((calls for calls, had in costs if had <= delay * 1.0001), default=math.inf)


def between(costs: Sequence[Cost], at: float, *, by_delay: bool = False) -> float:
    """Return the delay at so many calls, or the calls at so much delay, between measured points on logarithmic axes.

    Beyond the last point calls times delay stays the same, as it does in the limit of many polls.
    """
    points = sorted((math.log(cost[by_delay]), math.log(cost[not by_delay])) for cost in costs)
    x = math.log(at)
    if not points[0][0] < x < points[-1][0]:
        end = points[0] if x <= points[0][0] else points[-1]
        return math.exp(end[1] - max(0.0, x - end[0]) if not by_delay else end[1] + max(0.0, end[0] - x))
    right = bisect.bisect_right(points, (x, math.inf))
    (x0, y0), (x1, y1) = points[right - 1], points[right]
    return math.exp(y0 + (x - x0) / (x1 - x0) * (y1 - y0))


def delays_of(schedule: Schedule) -> Iterator[float]:
    """Give the delays of one job that never ends."""
    age = 0.0
    for polls in range(1, _MOST_POLLS):
        delay = schedule.delay(Progress(polls, age, state="processing"))
        age += delay
        yield delay


def poll(schedule: Schedule, duration: float) -> tuple[int, float, float]:
    """Poll one job to its end; return the calls, the last age at which it was seen running, and that of the end."""
    calls, age = 0, 0.0
    for calls, delay in enumerate(delays_of(schedule), 1):
        before, age = age, age + delay
        if age >= duration:
            return calls, before, age
    return calls, age, math.inf


def taught(kind: Durations, checks: Sequence[int], rounds: int, *, exact: bool, **terms: float) -> dict[int, Cost]:
    """Return what polling costs after so many jobs, the mean of learners that were taught apart from each other."""
    costs: dict[int, list[Cost]] = {check: [] for check in checks}
    for number in range(rounds):
        draws = Random(f"{kind.name} {number}")
        learned = Learned(random=Random(f"chance {number}").random, **terms)
        for jobs in range(max(checks) + 1):
            if jobs in costs:
                costs[jobs].append(kind.cost(delays_of(learned)))
            duration = max(0.0, kind.draw(draws))
            _, lo, hi = poll(learned, duration)
            learned.observe(*((duration, duration) if exact else (lo, hi)))
    return {check: mean_cost(of_one) for check, of_one in costs.items()}


def mean_cost(costs: Sequence[Cost]) -> Cost:
    """Return the mean calls and the mean delay."""
    return fmean(calls for calls, _ in costs), fmean(delay for _, delay in costs)


def geometric(values: Sequence[float]) -> float:
    """Return the geometric mean."""
    return math.exp(fmean(map(math.log, values)))
