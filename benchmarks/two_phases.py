"""Jobs that wait in a queue first and are processed then, where a poll shows which. All times are seconds."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from random import Random
from statistics import NormalDist, fmean, median

from durations import Cost, lognormal
from policies import mean_cost

from asyncpoll._schedule import Progress
from asyncpoll.waiting.learning._learned import Learned
from asyncpoll.waiting.learning._plan import cheapest_plan

QUEUE = lognormal(30, 0.9)
WORK = lognormal(15, 0.25)
PRICE = 0.03
LESSONS = 100

Job = tuple[float, float]
"""The seconds in the queue, and those of processing."""


def phase_costs(jobs: int, learners: int) -> tuple[float, float, float]:
    """Return what a job costs: by the best plan that does not see phases, and learned with phases, in two ways.

    First the server tells when processing began, and how long each phase took; then only polls show it.
    """
    chance = Random("phases")
    drawn = [(QUEUE.draw(chance), WORK.draw(chance)) for _ in range(jobs)]
    worth = PRICE * median(queue + work for queue, work in drawn)

    def cost(of: Cost) -> float:
        return worth * of[0] + of[1]

    share = jobs // learners
    lots = [drawn[number * share : (number + 1) * share] for number in range(learners)]
    told, seen = (
        mean_cost([taught(number, worth, lot, told=told) for number, lot in enumerate(lots)]) for told in (True, False)
    )
    return cost(without_phases(drawn, worth)), cost(told), cost(seen)


def without_phases(jobs: Sequence[Job], worth: float) -> Cost:
    """Return the cost of the best plan for the whole duration, its distribution being known."""
    works = [15 * math.exp(0.25 * NormalDist().inv_cdf((step + 0.5) / 200)) for step in range(200)]
    ages = [0.5 * step for step in range(600)] + [300 * 1.02**step for step in range(180)]
    survival = [fmean(QUEUE.survival(age - work) for work in works) for age in ages[:-1]]
    plan = cheapest_plan(ages, [*survival, 0.0], worth)
    here, polls = 0, []
    while here < len(ages) - 1:
        here = plan.following[here]
        polls.append(ages[here])
    ends = [queue + work for queue, work in jobs]
    calls = [bisect_left(polls, end) + 1 for end in ends]
    return fmean(calls), fmean(polls[made - 1] - end for made, end in zip(calls, ends, strict=True))


def taught(number: int, worth: float, jobs: Sequence[Job], *, told: bool) -> Cost:
    """Return what jobs cost a learner after its first hundred."""
    chance = Random(f"lessons {number}")
    learned = Learned(call_cost=worth, random=Random(number).random)
    for _ in range(LESSONS):
        wait(learned, QUEUE.draw(chance), WORK.draw(chance), told=told)
    return mean_cost([wait(learned, queue, work, told=told) for queue, work in jobs])


def wait(learned: Learned, queue: float, work: float, *, told: bool) -> Cost:
    """Poll one job to its end, and learn from it.

    Unless it is told, processing is taken to have begun midway between the first poll that saw it and the one before.
    """
    calls, age, before, began = 0, 0.0, 0.0, None
    while age < queue + work:
        if age < queue:
            progress = Progress(calls + 1, age, state="pending", in_state=age)
        else:
            if began is None:
                began = queue if told else (before + age) / 2
                learned.observe(*((queue, queue) if told else (before, age)), state="pending")
            progress = Progress(calls + 1, age, state="processing", in_state=age - began)
        before, age = age, age + learned.delay(progress)
        calls += 1
    if began is None:
        learned.observe(*((queue, queue) if told else (before, age)), state="pending")
    if told:
        learned.observe(work, work)
    elif began is not None:
        learned.observe(max(0.0, before - began), age - began)
    return calls, age - queue - work
