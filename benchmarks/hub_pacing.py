"""What has to be lived through job by job: wrong records, a day with its hours; and what planning itself costs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from random import Random
from statistics import fmean

from durations import SUITE, Cost, Durations, by_hour, lognormal
from policies import exponential_family, fixed, growing, least_delay, mean_cost, poll
from table import Row

from asyncpoll._schedule import Progress
from asyncpoll.waiting.learning._learned import Learned


def through_the_day(learners: int) -> Iterable[Row]:
    """Give the rows of jobs whose durations follow the hour: a whole day, learned as it goes on."""
    for feedback in ("told", "seen"):
        costs, durations = [], []
        for number in range(max(2, learners // 8)):
            chance, learned = Random(f"day {number}"), Learned(random=Random(number).random)
            for job in range(1200):
                duration = by_hour(job, chance)
                calls, lo, hi = poll(learned, duration)
                learned.observe(*((duration, duration) if feedback == "told" else (lo, hi)))
                costs.append((calls, hi - duration))
                durations.append(duration)
        sample = durations[::3]
        rivals = [sampled(list(growing_ages(member, max(sample))), sample) for member in exponential_family(10)]
        calls, delay = mean_cost(costs)
        yield Row(
            1,
            f"a day of jobs by the hour: best exponential, durations {feedback}",
            delay / least_delay(rivals, calls),
            0.6,
        )


def growing_ages(member: tuple[float, float, float], until: float) -> Iterable[float]:
    """Give the ages of the polls of an exponential schedule."""
    age = 0.0
    for delay in growing(*member):
        age += delay
        yield age
        if age >= until:
            return


def sampled(ages: Sequence[float], durations: Sequence[float]) -> Cost:
    """Return what polling at these ages costs for these very durations."""
    costs = []
    for duration in durations:
        calls = next(number for number, age in enumerate(ages, 1) if age >= duration)
        costs.append((float(calls), ages[calls - 1] - duration))
    return mean_cost(costs)


def own_cost() -> Iterable[Row]:
    """Give the rows of what planning itself costs, in microseconds."""
    draws, learned = Random(2), Learned(random=Random(1).random)
    kind = SUITE[3]

    def school(jobs: int) -> None:
        for _ in range(jobs):
            duration = kind.draw(draws)
            learned.observe(0.9 * duration, 1.1 * duration)
            learned.delay(waits[0])

    waits = [Progress(3, draws.uniform(0, 60), state="processing") for _ in range(20_000)]
    school(64)
    polls = min(timed(lambda: [learned.delay(wait) for wait in waits]) for _ in range(5)) / len(waits)
    plans = min(timed(lambda: school(64)) for _ in range(5)) / 64
    yield Row(10, "a poll planned, microseconds", 1e6 * polls, 5)
    yield Row(10, "planning for a job, microseconds", 1e6 * plans, 100)
    yield Row(10, "records kept of a key", len(learned.history.track("", "processing").records), 64)


def timed(work: Callable[[], object]) -> float:
    """Return the seconds of processor time that it takes."""
    began = time.process_time()
    work()
    return time.process_time() - began


def poisoned(learners: int) -> Iterable[Row]:
    """Give the rows of 64 records that are wrong, and then 60 jobs of 20 s."""
    kind = lognormal(20, 0.4)
    clean = after_poison(kind, None, learners)
    often = kind.cost(fixed(1.0))[0]
    for name, wrong in (
        ("0.2 s", lambda _: 0.2),
        ("2000 s", lambda _: 2000.0),
        ("0.1 to 10,000 s", lambda chance: 10 ** chance.uniform(-1, 4)),
    ):
        courses = after_poison(kind, wrong, learners)
        late = mean_cost([cost for course in courses for cost in course[20:40]])[1]
        normal = mean_cost([cost for course in clean for cost in course[20:]])[1]
        yield Row(
            11, f"poisoned with {name}: longest delay, seconds", max(d for course in courses for _, d in course), 120
        )
        calls = max(fmean(course[job][0] for course in courses) for job in range(60))
        yield Row(11, f"poisoned with {name}: most calls, by those at every second", calls / often, 1.5)
        yield Row(11, f"poisoned with {name}: delay of jobs 21 to 40, by the normal one", late / normal, 1.5)


def after_poison(kind: Durations, wrong: Callable[[Random], float] | None, learners: int) -> list[list[Cost]]:
    """Return for some learners the calls and the delay of each of 60 jobs that come after wrong records."""
    courses = []
    for number in range(learners):
        chance, learned = Random(f"poison {number}"), Learned(random=Random(number).random)
        for _ in range(64):
            duration = (wrong or kind.draw)(chance)
            learned.observe(duration, duration)
        course = []
        for _ in range(60):
            duration = kind.draw(chance)
            calls, _, end = poll(learned, duration)
            learned.observe(duration, duration)
            course.append((float(calls), end - duration))
        courses.append(course)
    return courses
