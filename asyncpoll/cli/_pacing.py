"""What polling cost a run, and what other schedules would have cost it."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping
from statistics import fmean
from typing import Any, Self

from attrs import define, field, frozen

from asyncpoll._marks import pacing_key
from asyncpoll._schedule import Exponential, Schedule
from asyncpoll.cli._replay import replay
from asyncpoll.ledger import Record
from asyncpoll.waiting.learning._history import History

MOST_REPLAYED = 5_000
"""The most jobs of a run that are replayed; of more a random sample is taken."""


@frozen
class Cost:
    """The cost of polling, on average.

    Attributes:
        calls: Polls a job.
        delay: Seconds from the end of a job until it was known.
    """

    calls: float
    delay: float

    def __str__(self) -> str:
        return f"{self.calls:.1f} polls a job, and {self.delay:.1f} s from its end until it was known"


@frozen
class SeenJob:
    """A job that was seen to end.

    Attributes:
        key: Its pacing key.
        lo: The age at which it was last seen unfinished, in seconds.
        hi: The age at which its end was known.
        polls: The polls that it took.
    """

    key: str
    lo: float
    hi: float
    polls: int


@define
class Sample:
    """A random sample of the jobs that were seen to end, in a random order.

    Attributes:
        count: How many jobs it is a sample of.
    """

    count: int = 0
    _random: random.Random = field(factory=lambda: random.Random(0))
    _jobs: list[SeenJob] = field(factory=list)

    @classmethod
    def of(cls, records: Iterable[Record]) -> Self:
        """Return a sample of the jobs of a run."""
        sample = cls()
        for record in records:
            sample.add(record)
        return sample

    def add(self, record: Record) -> None:
        """Add an outcome, if its job was seen unfinished and then seen ended."""
        if record.error is not None or record.running is None or record.waited < record.running:
            return
        self.count += 1
        place = len(self._jobs) if len(self._jobs) < MOST_REPLAYED else self._random.randrange(self.count)
        if place < MOST_REPLAYED:
            seen = SeenJob(pacing_key(record.endpoint, record.pacing), record.running, record.waited, record.polls)
            self._jobs[place : place + 1] = [seen]

    @property
    def jobs(self) -> list[SeenJob]:
        """The sample, shuffled."""
        return random.Random(0).sample(self._jobs, len(self._jobs))

    def actual_cost(self) -> Cost:
        """Return the cost of the polls of the run; a job is taken to have ended midway between the last two."""
        jobs = self.jobs
        return Cost(fmean(job.polls for job in jobs), fmean((job.hi - job.lo) / 2 for job in jobs))

    def replay_cost(self, schedule: Schedule) -> Cost:
        """Return the cost with another schedule; one that learns is shown the jobs one after the other.

        Raises:
            ValueError: It would poll a job without end.
        """
        done = replay([(job.key, job.lo, job.hi) for job in self.jobs], schedule)
        return Cost(done.calls, done.delay)

    def compared(self) -> Iterator[str]:
        """Yield a line that compares the run with exponential backoff, if anything is known."""
        if self._jobs:
            uniform = random.Random(0).random
            blind = self.replay_cost(Exponential(jitter=lambda seconds: seconds * uniform()))
            yield f"it took {self.actual_cost()}; exponential backoff would have taken {blind}"


def history_of(kept: Mapping[str, Any]) -> History:
    """Return the history in the options of a ledger; an empty one if there is none that can be read."""
    try:
        return History.from_json(str(kept.get("history")))
    except ValueError:
        return History()
