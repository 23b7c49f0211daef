"""What has been learned about the jobs of one key, and the terms on which it is used."""

from __future__ import annotations

import math

from attrs import field, frozen, validators

from asyncpoll._schedule import DURATION, Progress
from asyncpoll.waiting.learning._history import History
from asyncpoll.waiting.learning._plan import Chance
from asyncpoll.waiting.learning._survival import Belief, grid
from asyncpoll.waiting.learning.phase import Phase, Source

PRICE = 0.03
"""The share of a typical duration that a call is worth in delay, unless something else is said."""

_WAYS = 3  # to say what a call is worth
_HARDLY_ENDED = 0.95  # the chance to be still processed up to which the end is not worth a look
_RETRY, _LONGEST_RETRY, _DOUBLINGS = 1.0, 30.0, 5  # seconds to the poll after a miss, doubled from miss to miss
_JOBS_FOR_A_BUDGET = 4
_CORRECTIONS = 3  # of the price, whenever there is a new belief
_AT_THE_START = 1.0  # the poll that every wait begins with is part of its budget
_FIXED_CALLS = 0.4  # about so many of the others are made at any price
_LARGEST_STEP = 9.0
_OPTIONAL = validators.optional(DURATION)
_BUDGET = validators.optional(validators.and_(validators.ge(2.0), validators.lt(math.inf)))


@frozen(kw_only=True)
class Terms:
    """What a learned schedule is told.

    Attributes:
        price: A call is worth this share of a typical duration.
        call_cost: A call is worth so many seconds, whatever is typical.
        budget: So many calls are made a job, on average.
        hint: The duration to expect, in seconds, while nothing has been learned.
        min_interval: The shortest delay, in seconds.
        max_interval: The longest.
        chance: Draws.
    """

    price: float | None = field(default=None, validator=_OPTIONAL)
    call_cost: float | None = field(default=None, validator=_OPTIONAL)
    budget: float | None = field(default=None, validator=_BUDGET)
    hint: float | None = field(default=None, validator=_OPTIONAL)
    min_interval: float = field(default=0.1, validator=DURATION)
    max_interval: float = field(default=120.0, validator=DURATION)
    chance: Chance

    def __attrs_post_init__(self) -> None:
        if [self.price, self.call_cost, self.budget].count(None) < _WAYS - 1:
            raise ValueError("price, call_cost and budget say the same in three ways; give one of them")
        if self.max_interval < self.min_interval:
            raise ValueError(
                f"max_interval ({self.max_interval:g} s) must not be below min_interval ({self.min_interval:g} s)"
            )


class Model:
    """What has been learned about the jobs of one key: how long they are pending, and how long they are processed."""

    def __init__(self, terms: Terms, history: History, key: str) -> None:
        candidates = grid(terms.min_interval)
        self._terms = terms
        self._pending = Phase(Source(history, key, "pending", terms.chance, candidates))
        self._processing = Phase(Source(history, key, "processing", terms.chance, candidates, terms.hint))
        self._share = terms.price or PRICE

    def observe(self, state: str, lo: float, hi: float, during: tuple[float, float] | None) -> None:
        """Learn that a job has left a state after an age in (*lo*, *hi*]."""
        self._think()
        self._phase(state).observe(lo, hi, during)

    def settle(self) -> None:
        """Record what has been observed so far."""
        for phase in (self._pending, self._processing):
            phase.settle()

    def belief(self, state: str) -> Belief:
        """Return what is believed of how long a job is in a state."""
        self._think()
        return self._phase(state).belief

    @property
    def jobs(self) -> int:
        """How many jobs have been recorded, of the last 64."""
        return max(len(phase.source.records) for phase in (self._pending, self._processing))

    def delay(self, progress: Progress, call_cost: float | None, least_cost: float = 0.0) -> float:
        """Return the seconds to the next poll.

        Args:
            progress: How far the wait has come.
            call_cost: The seconds that a call is worth, or None for what the terms say.
            least_cost: Those that it is worth at the least.
        """
        terms = self._terms
        delay = self._retry(progress.misses) if progress.misses else self._planned(progress, call_cost, least_cost)
        # In this order NaN, which a foreign clock may lead to, becomes the shortest delay.
        return min(max(terms.min_interval, delay), terms.max_interval)

    def _planned(self, progress: Progress, call_cost: float | None, least_cost: float) -> float:
        self._think()
        phase = self._phase(progress.state)
        age = progress.elapsed if progress.in_state is None else progress.in_state
        is_first = progress.polls <= 1 or progress.in_state == 0
        cost = max(call_cost or self._share * self._typical(), least_cost)
        delay = phase.next_poll(age, cost, is_first=is_first) - age
        if phase is self._pending and self._processing.jobs:  # that it is processed is not what the caller waits for
            delay += self._processing.belief.age_at(_HARDLY_ENDED)
        return delay

    def _retry(self, misses: int) -> float:
        """Return the seconds to a poll after misses: nothing has been seen, so there is nothing to plan with."""
        longest = min(_RETRY * 2.0 ** min(misses - 1, _DOUBLINGS), _LONGEST_RETRY)
        return longest * (1 + self._terms.chance()) / 2

    def _phase(self, state: str | None) -> Phase:
        return self._pending if state == "pending" else self._processing

    def _typical(self) -> float:
        """Return how long a job typically takes in all."""
        pending, processing = self._pending, self._processing
        if not pending.jobs:
            return processing.belief.typical
        return pending.belief.typical + (processing.belief.typical if processing.is_known else 0.0)

    def _think(self) -> None:
        due = [phase for phase in (self._pending, self._processing) if phase.is_due]
        for phase in due:
            phase.think()
        if due and self._terms.budget is not None:
            self._keep_to(self._terms.budget)

    def _keep_to(self, budget: float) -> None:
        """Correct the price so that the plans cost a job *budget* polls: calls go with its inverse square root."""
        phases = [phase for phase in (self._pending, self._processing) if phase.jobs >= _JOBS_FOR_A_BUDGET]
        for _ in range(_CORRECTIONS if phases else 0):
            calls = sum(phase.calls(self._share * self._typical()) for phase in phases)
            step = ((calls - _FIXED_CALLS) / (budget - _AT_THE_START - _FIXED_CALLS)) ** 2
            self._share *= min(max(1 / _LARGEST_STEP, step), _LARGEST_STEP)
