"""What another schedule would have cost: the jobs of a run that is over, polled once more on paper.

Of each job its run has shown an age at which it still ran and one at which it had ended. Where between is not known,
so its duration is taken to lie anywhere there with the same chance, and calls and delay are expected values,
computed exactly. All times are seconds.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from statistics import fmean
from typing import NamedTuple

from attrs import frozen

from asyncpoll._schedule import Progress, Schedule
from asyncpoll.waiting.learning._learned import Learned

MOST_POLLS = 100_000
"""A schedule that polls a job more often than this is refused: it would never come to an end."""


class Replayed(NamedTuple):
    """One job.

    Attributes:
        key: Its key.
        calls: The polls expected, with the first and with the one that sees the end.
        delay: The seconds expected from its end to the poll that sees it.
    """

    key: str
    calls: float
    delay: float


@frozen
class Replay:
    """All jobs.

    Attributes:
        jobs: In the order in which they came.
        skipped: How many were left out, since nobody saw them end.
    """

    jobs: tuple[Replayed, ...]
    skipped: int = 0

    @property
    def calls(self) -> float:
        """The mean calls of a job; 0 without jobs."""
        return fmean(job.calls for job in self.jobs) if self.jobs else 0.0

    @property
    def delay(self) -> float:
        """The mean delay of a job in seconds; 0 without jobs."""
        return fmean(job.delay for job in self.jobs) if self.jobs else 0.0


def replay(jobs: Iterable[tuple[str, float, float]], schedule: Schedule, *, first_delay: float = 0.0) -> Replay:
    """Return what *schedule* would have cost.

    A `Learned` schedule is left as it is: a copy that has learned nothing is shown every job after it, with what its
    run has shown, and keeps the keys apart.

    Args:
        jobs: For each its key, the age at which it was last seen running, and that at which it was first seen ended;
            `math.inf` when it never was. In the order in which they ended.
        schedule: When to poll.
        first_delay: Seconds to the first poll.

    Raises:
        ValueError: The ages of a job are no such ages, or the schedule gives a delay that is none or never gets there.
    """
    learner = schedule.untaught() if isinstance(schedule, Learned) else None
    replayed: list[Replayed] = []
    skipped = 0
    for key, lo, hi in jobs:
        if not 0 <= lo <= hi:
            raise ValueError(f"a job ends after the age it was last seen running at, not in ({lo!r}, {hi!r}]")
        if hi < math.inf:
            chosen = schedule if learner is None else learner.keyed(key)
            replayed.append(Replayed(key, *_expected(chosen, lo, hi, first_delay)))
        else:
            skipped += 1
        if learner is not None:
            learner.observe(lo, hi, key=key)
    return Replay(tuple(replayed), skipped)


def _expected(schedule: Schedule, lo: float, hi: float, first_delay: float) -> tuple[float, float]:
    """Return the calls and the delay expected of a job that ends in (*lo*, *hi*]."""
    calls, seen, age = 1.0, first_delay, first_delay
    for polls in range(1, MOST_POLLS):
        running = 1.0 if age < lo else (hi - age) / (hi - lo) if age < hi else 0.0
        if running == 0:
            return calls, seen - (lo + hi) / 2
        delay = schedule.delay(Progress(polls, age, state="processing", in_state=age))
        if not 0 <= delay < math.inf:
            raise ValueError(f"the schedule {schedule!r} gave a delay of {delay!r} s")
        calls += running
        seen += running * delay
        age += delay
    raise ValueError(f"the schedule {schedule!r} polls a job more than {MOST_POLLS} times; make its intervals longer")
