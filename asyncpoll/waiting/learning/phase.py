"""When to poll while a job is in one phase, learned from how long that phase took for past jobs of the same key."""

from __future__ import annotations

import math
from collections.abc import Sequence

from attrs import frozen

from asyncpoll.waiting.learning._history import History, Record
from asyncpoll.waiting.learning._plan import Chance, Plan, cheapest
from asyncpoll.waiting.learning._survival import believe
from asyncpoll.waiting.learning.batch import Batch
from asyncpoll.waiting.learning.drift import Drift

_LOOKS = 0.1  # how often a job is looked at early, while only poll times are known
_EARLIEST = 4.0  # by which divisor of the planned age at most
_COLD_START, _COLD_GROWTH, _COLD_JITTER = 1.0, 0.25, 0.1  # seconds, share of the age, share of the interval
_RECORDS_PER_PLAN = 8  # a plan serves for this share of the records it rests on
_JOBS_TO_DOUBT = 8  # a belief that rests on fewer is not worth doubting
_PRICE_STEP = 0.12  # a plan is good enough until its price has moved by this share


@frozen
class Source:
    """Where a phase gets from what it needs.

    Attributes:
        history: Past jobs.
        key: Whose.
        name: The phase: "pending" or "processing".
        chance: Draws.
        candidates: Logarithms of the ages at which to poll, from `belief.grid`.
        hint: The duration to expect, in seconds, while there are few records.
    """

    history: History
    key: str
    name: str
    chance: Chance
    candidates: Sequence[float]
    hint: float | None = None

    @property
    def records(self) -> Sequence[Record]:
        """What has been recorded of this phase, oldest first."""
        return self.history.track(self.key, self.name).records


class Phase:
    """What is believed about one phase, and the plan made from that.

    Attributes:
        source: Where it gets from what it needs.
        belief: How long the phase takes.
        jobs: How many jobs this rests on.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        # Who recorded a history polled by plan, so jobs had ended not long before they were seen to have.
        ends = [record.lo if record.hi == math.inf else record.hi for record in source.records]
        self.belief = believe(ends, source.candidates, hint=source.hint)
        self.jobs = 0
        self._is_seen_exactly = False
        self._drift = Drift()
        self._batch = Batch()
        self._plan: Plan | None = None
        self._jobs_until_due = 0

    @property
    def is_known(self) -> bool:
        """Whether there is any ground for the belief."""
        return self.jobs > 0 or self.source.hint is not None

    @property
    def is_due(self) -> bool:
        """Whether there are enough new records to believe something else."""
        return self._jobs_until_due <= 0

    def think(self) -> None:
        """Make up the belief anew: where only bounds are known, a duration between them is drawn from the old one."""
        source, records = self.source, self.source.records
        durations = [self.belief.draw(record.lo, record.hi, source.chance) for record in records]
        self.belief = believe(durations, source.candidates, hint=source.hint)
        self.jobs = len(records)
        self._is_seen_exactly = self.jobs > 0 and records[-1].lo == records[-1].hi
        self._plan = None
        self._jobs_until_due = max(1, self.jobs // _RECORDS_PER_PLAN)

    def observe(self, lo: float, hi: float, during: tuple[float, float] | None = None) -> None:
        """Take in that a job left the phase in (*lo*, *hi*], having been in it *during* this time.

        Of jobs that are in it together the shortest leave it first. They are recorded once one that came after them
        has left it, in an order that does not look as if jobs took ever longer.
        """
        if during is None:
            self._record(lo, hi)
            return
        if during[0] >= self._batch.opened_at:
            self.settle()
            self._batch = Batch(during[1])
        self._batch.add(lo, hi, self.source.chance)

    def settle(self) -> None:
        """Record what has been taken in so far."""
        for lo, hi in self._batch.shuffled(self.source.chance):
            self._record(lo, hi)
        self._batch = Batch(self._batch.opened_at)

    def _record(self, lo: float, hi: float) -> None:
        """Record a job; forget older ones if it shows that jobs have changed."""
        source, belief = self.source, self.belief
        source.history.add(source.key, source.name, lo, hi)
        self._jobs_until_due -= 1
        if self.jobs < _JOBS_TO_DOUBT:
            return
        kept = self._drift.weigh(ended_by=1 - belief.running_at(hi), ran_longer=belief.running_at(lo))
        if kept is not None:
            source.history.cut(source.key, source.name, kept)
            self._jobs_until_due = 0

    def calls(self, cost: float) -> float:
        """Return how many polls a job is expected to cost when a call is worth *cost* seconds."""
        belief = self.belief
        return cheapest(belief.ages, belief.survival, cost).calls(_EARLIEST * belief.longest)

    def next_poll(self, age: float, cost: float, *, is_first: bool) -> float:
        """Return the age at which to poll next.

        Args:
            age: Seconds for which the job has been in this phase.
            cost: The seconds of delay that a call is worth.
            is_first: Whether no other age has been planned in this phase of this job.
        """
        chance, belief = self.source.chance, self.belief
        if not self.is_known or not age < belief.ages[-1]:
            return age + (_COLD_START + _COLD_GROWTH * age) * (1 + _COLD_JITTER * (2 * chance() - 1))
        planned = self._planned(cost).after(age, chance)
        if is_first and not self._is_seen_exactly and chance() < _LOOKS * self._drift.faster.evidence:
            # A poll that always finds the job ended would never show how much earlier it could have come.
            return age + (planned - age) * math.pow(_EARLIEST, -chance())
        if age > belief.longest:  # nobody knows how long this one takes: the older it is, the less a second matters
            return age + (planned - age) * math.sqrt(age / belief.longest)
        return planned

    def _planned(self, cost: float) -> Plan:
        """Return the plan in force, made anew if there is none or it was made for another price."""
        plan = self._plan
        if plan is None or not 1 - _PRICE_STEP < cost / plan.cost < 1 + _PRICE_STEP:
            plan = self._plan = cheapest(self.belief.ages, self.belief.survival, cost)
        return plan
