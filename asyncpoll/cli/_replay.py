"""Compute the calls and the delay that a schedule would have cost the jobs of a past run.

Of each job its run has shown an age at which it still ran and one at which it had ended. Its duration is taken to be
distributed evenly between them, and calls and delay are expected values, computed exactly. All times are seconds.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from statistics import fmean
from typing import NamedTuple

from attrs import frozen

from asyncpoll._schedule import Progress, Schedule
from asyncpoll.waiting.learning._learned import Learned

MOST_POLLS = 100_000  # of a job; a schedule that makes more would never come to an end


class ReplayedJob(NamedTuple):
    """The expected cost of one job.

    Attributes:
        key: The key of the job.
        calls: The expected polls, with the first and with the one that sees the end.
        delay: The expected seconds from its end to the poll that sees it.
    """

    key: str
    calls: float
    delay: float


@frozen
class Replay:
    """The expected cost of all jobs.

    Attributes:
        jobs: The jobs in the order in which they came.
        skipped: The number of jobs that were left out, since they were not seen to end.
    """

    jobs: tuple[ReplayedJob, ...]
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
    """Return the calls and the delay that *schedule* would have cost.

    A `Learned` schedule keeps its history as it is: a copy that has learned nothing is shown every job after its
    replay, with the ages that its run has shown, and keeps the keys apart.

    Args:
        jobs: For each its key, the age at which it was last seen running, and that at which it was first seen ended;
            `math.inf` when it never was. In the order in which they ended.
        schedule: The schedule to replay.
        first_delay: Seconds to the first poll.

    Raises:
        ValueError: The ages of a job are not in order, a delay is not finite and at least 0, or polls do not end.
    """
    learner = schedule.untaught() if isinstance(schedule, Learned) else None
    replayed: list[ReplayedJob] = []
    skipped = 0
    for key, lo, hi in jobs:
        if not 0 <= lo <= hi:
            raise ValueError(f"a job ends after the age it was last seen running at, not in ({lo!r}, {hi!r}]")
        if hi < math.inf:
            chosen = schedule if learner is None else learner.keyed(key)
            replayed.append(ReplayedJob(key, *_expected_cost(chosen, lo, hi, first_delay)))
        else:
            skipped += 1
        if learner is not None:
            learner.observe(lo, hi, key=key)
    return Replay(tuple(replayed), skipped)


def _expected_cost(schedule: Schedule, lo: float, hi: float, first_delay: float) -> tuple[float, float]:
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
