"""What a run says about pacing: what its polls cost, and what those of other schedules would have."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping
from statistics import fmean
from typing import Any, Self

from attrs import define, field, frozen

from asyncpoll._schedule import Exponential, Schedule
from asyncpoll.ledger import Record
from asyncpoll.providers import ENDPOINTS
from asyncpoll.waiting.learning._history import History
from asyncpoll.waiting.learning._replay import replay

MOST_REPLAYED = 5_000
"""Of the jobs of a run so many are replayed, chosen by chance."""


def pacing_key(endpoint: str, ref: Any) -> str:
    """Return what jobs share that should take about as long, as `Job.pacing_key` has it."""
    listing = ENDPOINTS.get(endpoint)
    if listing is None or not isinstance(ref, Mapping):
        return endpoint
    return ":".join((endpoint, *(str(ref.get(name)) for name in listing.predicts)))


@frozen
class Cost:
    """What polling cost, on average.

    Attributes:
        calls: Polls a job.
        delay: Seconds from the end of a job until it was known.
    """

    calls: float
    delay: float

    def __str__(self) -> str:
        return f"{self.calls:.1f} polls a job, and {self.delay:.1f} s from its end until it was known"


@frozen
class Seen:
    """A job that was seen to end.

    Attributes:
        key: Its pacing key.
        lo: The age at which it was last seen unfinished, in seconds.
        hi: That at which its end was known.
        polls: The polls it took.
    """

    key: str
    lo: float
    hi: float
    polls: int


@define
class Sample:
    """Jobs that were seen to end, as many of them as can be replayed, in an order that says nothing.

    Attributes:
        count: How many there were in all.
    """

    count: int = 0
    _chance: random.Random = field(factory=lambda: random.Random(0))
    _jobs: list[Seen] = field(factory=list)

    @classmethod
    def of(cls, records: Iterable[Record]) -> Self:
        """Return a sample of the jobs of a run."""
        sample = cls()
        for record in records:
            sample.add(record)
        return sample

    def add(self, record: Record) -> None:
        """Take in an outcome, if its job was seen unfinished and then seen ended."""
        if record.error is not None or record.running is None or record.waited < record.running:
            return
        self.count += 1
        place = len(self._jobs) if len(self._jobs) < MOST_REPLAYED else self._chance.randrange(self.count)
        if place < MOST_REPLAYED:
            seen = Seen(pacing_key(record.endpoint, record.ref), record.running, record.waited, record.polls)
            self._jobs[place : place + 1] = [seen]

    @property
    def jobs(self) -> list[Seen]:
        """The sample, shuffled."""
        return random.Random(0).sample(self._jobs, len(self._jobs))

    def really(self) -> Cost:
        """Return what the polls of the run cost; a job is taken to have ended midway between the last two."""
        jobs = self.jobs
        return Cost(fmean(job.polls for job in jobs), fmean((job.hi - job.lo) / 2 for job in jobs))

    def with_(self, schedule: Schedule) -> Cost:
        """Return what a schedule would have cost; one that learns is shown the jobs one after the other.

        Raises:
            ValueError: It would poll a job without end.
        """
        done = replay([(job.key, job.lo, job.hi) for job in self.jobs], schedule)
        return Cost(done.calls, done.delay)

    def saved(self) -> Iterator[str]:
        """Yield a line on what was saved against backing off blindly, if anything is known."""
        if self._jobs:
            chance = random.Random(0).random
            blind = self.with_(Exponential(jitter=lambda seconds: seconds * chance()))
            yield f"it took {self.really()}; exponential backoff would have taken {blind}"


def history_of(kept: Mapping[str, Any]) -> History:
    """Return the history that a ledger keeps; an empty one where it keeps none that can be read."""
    try:
        return History.from_json(str(kept.get("history")))
    except ValueError:
        return History()
