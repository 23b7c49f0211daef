"""Plan the polls of jobs from the durations of past ones, by key."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping
from random import Random
from types import MappingProxyType

from attrs import asdict, frozen

from asyncpoll._schedule import Progress, Schedule
from asyncpoll.waiting.learning._history import LONGEST_KEY, History, check_ages, check_key
from asyncpoll.waiting.learning._model import SUBMITTED, Model, Reason, Terms
from asyncpoll.waiting.learning._plan import RandomSource
from asyncpoll.waiting.learning._survival import SurvivalCurve

MOST_KEYS = 512  # that have a model, the most recently used; others are made again from their history
ENOUGH_JOBS = 3  # of a key, before `cold` gives way; with fewer it is not worse

SINCE_SUBMIT = " since submit"
"""The end of the key of jobs whose age is known; of the others only the time since the wait for them began is.

They are learned apart, but until there are enough jobs of one sort, they are planned as the other.
"""

_POOL = ""  # the key of jobs without a key
_MANY = 100.0  # seconds, from which fractions do not matter
_MOST_TURNS = 2.4  # the longest delay while calls are scarce

_REASONS: Mapping[Reason, str] = MappingProxyType({
    "cold": "too few such jobs were seen to end, so the schedule for that decides",
    "miss": "the last poll saw nothing, so it is repeated soon, and less often from miss to miss",
    "backoff": "nothing is known of such jobs, so polls become rarer",
    "plan": "that is the cheapest by what is known of such jobs",
    "older": "it is older than all jobs that were seen, so polls become rarer",
    "scarce": "calls are scarce, and by then this one is worth as much as those of other jobs",
    "progress": "that follows from its progress",
    "shortest": "no delay is shorter",
    "longest": "no delay is longer",
})  # fmt: skip


def since_submit(key: str) -> str:
    """Return the key of the jobs of *key* whose age is known."""
    return key[: LONGEST_KEY - len(SINCE_SUBMIT)] + SINCE_SUBMIT


@frozen(kw_only=True)
class Explanation:
    """Why a job is polled when it is; its text is a sentence.

    Attributes:
        delay: The seconds to the next poll. Where several ages are almost as good, it is one of them by chance.
        reason: "plan" (the cheapest by what is known), "scarce" (calls are), "progress" (that of the job), "older"
            (than all that were seen), "backoff" (nothing is known), "cold" (the cold schedule), "miss" (the last poll
            saw nothing), or "shortest" or "longest" (a limit).
        jobs: The number of such jobs that were seen to end.
        typical: The typical duration of such jobs, in seconds; a guess while *jobs* is 0.
        ends: The probability that a job which runs now will have ended by the next poll, by past jobs.
        worth: The seconds by which the poll is expected to make the end known sooner.
        call_cost: What a call is worth, in seconds.
        is_guess: Whether *ends* and *worth* rest on nothing but a guess.
    """

    delay: float
    reason: Reason
    jobs: int
    typical: float
    ends: float
    worth: float
    call_cost: float
    is_guess: bool = False

    @property
    def why(self) -> str:
        """The reason in words."""
        return _REASONS[self.reason]

    def __str__(self) -> str:
        known = f"{self.jobs} such jobs took about {_seconds(self.typical)}; " if self.jobs else ""
        ends = f"the job will have ended by then with a probability of {self.ends:.0%}; "
        return (
            f"the next poll is in {_seconds(self.delay)}, since {self.why}: {known}"
            f"{'' if self.is_guess else ends}a call costs as much as {_seconds(self.call_cost)}"
        )


def _seconds(number: float) -> str:
    return f"{number:.3g} s" if number < _MANY else f"{number:,.0f} s"


class Learned:
    """A schedule that learns from every job how long the next ones take, and polls when that pays.

    It weighs the cost of a call against the delay from the end of a job to the poll that sees it. Jobs are kept
    apart by key: those of one key should take about as long. For every key it learns how long jobs are pending and how
    long they are processed. Until it has seen a job, it backs off: 1 s, and then a quarter of the age. It is a
    `Schedule` for all jobs without a key.

    Set the call cost by at most one of *price*, *call_cost* and *budget*.

    Args:
        price: A share of a typical duration, by default 0.03: a job that takes a minute is then seen to have ended
            after about 5 calls with a delay of some seconds.
        call_cost: Seconds of delay.
        budget: Calls a job, on average, with the one at the start of its wait; at least 2.
        hint: The duration to expect, in seconds; it counts as much as one past job.
        min_interval: The shortest delay, in seconds.
        max_interval: The longest delay, in seconds, whatever has been learned.
        cold: A schedule to go by until it has seen three jobs of a key; not with a hint. By default it backs off.
        history: The records of past jobs, to which new ones are added.
        random: A function that returns random numbers from 0 up to 1.

    Attributes:
        terms: The options.
        history: The records of past jobs.
        cold: The cold schedule, or None.
        scarcity: What a poll must be worth while calls are scarce, in seconds; 0 while they are not.
        news: The keys of which so much has been learned that plans which were made before are out of date.

    Raises:
        ValueError: A number is out of range, or more than one says what a call is worth.
    """

    def __init__(
        self,
        *,
        price: float | None = None,
        call_cost: float | None = None,
        budget: float | None = None,
        hint: float | None = None,
        min_interval: float = 0.1,
        max_interval: float = 120.0,
        cold: Schedule | None = None,
        history: History | None = None,
        random: RandomSource | None = None,
    ) -> None:
        self.terms = Terms(
            price=price,
            call_cost=call_cost,
            budget=budget,
            hint=hint,
            min_interval=min_interval,
            max_interval=max_interval,
            random=Random().random if random is None else random,
        )
        self.history = History() if history is None else history
        self.cold = cold
        self.scarcity, self._turn = 0.0, math.inf
        self._call_cost: float | None = None
        self.news: set[str] = set()
        self._models: OrderedDict[str, Model] = OrderedDict()

    @property
    def call_cost(self) -> float | None:
        """The seconds of delay that a call is worth, for all jobs; None where the price or the budget sets it by key.

        It can be set again and again, as where many waits share a limited rate; plans are made anew when it has moved
        by more than 12 %. None restores the first value.

        Raises:
            ValueError: It is set to a number that is not above 0, or not finite.
        """
        return self._call_cost or self.terms.call_cost

    @call_cost.setter
    def call_cost(self, seconds: float | None) -> None:
        if seconds is not None and not 0 < seconds < math.inf:
            raise ValueError(f"a call is worth a number of seconds above 0, or None, not {seconds!r}")
        self._call_cost = seconds

    def delay(self, progress: Progress, /, *, key: str = _POOL) -> float:
        """Return the seconds to the next poll of a job with this key, or with none."""
        return self._delay(self._planner(key), progress)[0]

    def explain(self, progress: Progress, /, *, key: str = _POOL) -> Explanation:
        """Return why a job with this key, or with none, is polled when it is.

        Raises:
            ValueError: The key is too long.
        """
        model = self._planner(key)
        delay, reason = self._delay(model, progress)
        age = progress.elapsed if progress.in_state is None else progress.in_state
        curve = model.phase(progress.state).curve
        still = curve.running_at(age)
        return Explanation(
            delay=delay,
            reason=reason,
            jobs=model.jobs,
            typical=model.typical,
            ends=1 - curve.running_at(age + delay) / still if still else 1.0,
            worth=model.worth(progress.state, age, age + delay),
            call_cost=self.scarcity or self.call_cost or model.own_cost,
            is_guess=not model.phase(progress.state).is_known,
        )

    def observe(
        self,
        lo: float,
        hi: float,
        *,
        state: str = "processing",
        key: str = _POOL,
        during: tuple[float, float] | None = None,
    ) -> None:
        """Learn how long a job was in a state.

        Args:
            lo: The seconds for which it had been in that state when it was last seen in it, by the same clock as
                `Progress.in_state`; 0 if it never was seen in it.
            hi: The seconds when a poll first saw that it had left it; *lo* if the server has told the exact duration,
                `math.inf` if the wait was given up.
            state: "pending" or "processing".
            key: The key of the job.
            during: When it came into the state and when it left, on any clock; None if it was there alone and `look`
                was told nothing of it. Jobs that were there together leave in the order of their durations, so they
                are recorded together, once one that came later has ended, or with `settle`.

        Raises:
            ValueError: These are not two ages in order, or the key is too long.
        """
        check_ages(lo, hi)
        was_seen = lo > 0 or hi < math.inf
        if was_seen and self._model(key).phase(state).observe(lo, hi, during):
            self.news = {key, *self.news} if len(self.news) < MOST_KEYS else {key}

    def look(self, lo: float, hi: float, *, state: str = "processing", key: str = _POOL) -> None:
        """Learn that a job which was in a state for *lo* seconds when it was last seen was still in it at *hi* seconds.

        Raises:
            ValueError: These are not two ages in order, or the key is too long.
        """
        if not 0 <= lo <= hi < math.inf:
            raise ValueError(f"a job is looked at again at a later age, not at {hi!r} after {lo!r}")
        self._model(key).phase(state).look(lo, hi)

    def first_look(self, age: float, *, state: str = "processing", key: str = _POOL) -> float:
        """Learn that a job which nothing was seen of since its submit, *age* seconds ago, is in a state.

        Returns:
            The age at which it came into that state: 0, unless such jobs are pending before.

        Raises:
            ValueError: The age is below 0 or not finite, or the key is too long.
        """
        if not 0 <= age < math.inf:
            raise ValueError(f"the age of a job is finite and not below 0 s, not {age!r}")
        return self._model(key).first_look(state, age)

    def compare_progress(self, total: float, lo: float, hi: float, *, state: str, key: str = _POOL) -> None:
        """Learn how far progress is to be believed, from a job that has ended in a state.

        Args:
            total: The seconds that the first progress of the job let one expect, above 0.
            lo: As for `observe`.
            hi: Likewise.
            state: "pending" or "processing".
            key: The key of the job.

        Raises:
            ValueError: These are not two ages in order, or the key is too long.
        """
        check_ages(lo, hi)
        if 0 < total < math.inf and hi < math.inf:
            self._model(key).phase(state).compare_progress(total, lo, hi)

    def first_delay(self, age: float | None, *, key: str = _POOL) -> float:
        """Return the seconds to the first poll of a job whose submit was *age* seconds ago.

        Args:
            age: The seconds, or None if they are not known. Then the first poll is made at once, unless calls are
                scarce.
            key: The key of the job.

        Returns:
            0 if not enough jobs of this key have been seen.
        """
        model = self._model(key) if age is None else self._planner(key)
        if model.jobs < ENOUGH_JOBS or (age is None and not self.scarcity):
            return 0.0
        submitted = Progress(0, 0.0, state=SUBMITTED, in_state=0.0)
        return max(0.0, self._delay(model, submitted)[0] - (age or 0.0))

    def take_news(self) -> set[str]:
        """Return the `news`, and forget them."""
        news, self.news = self.news, set()
        return news

    def set_scarcity(self, scarcity: float, turn: float = math.inf) -> None:
        """Set what a poll must be worth, in seconds, and the seconds in which all waits can take turns."""
        self.scarcity, self._turn = scarcity, turn

    def worth(self, lo: float, hi: float, *, state: str | None = None, key: str = _POOL) -> tuple[float, float] | None:
        """Return what a poll at age *hi* is worth after a look at age *lo*, and the call cost of its job, in seconds.

        Returns:
            None if not enough jobs of this key have been seen.
        """
        model = self._planner(key)
        if model.jobs < ENOUGH_JOBS:
            return None
        return model.worth(state, lo, hi), self.call_cost or model.own_cost

    def survival(self, *, state: str = "processing", key: str = _POOL) -> SurvivalCurve:
        """Return the survival curve of a state, "pending" or "processing", for the next job with this key.

        Raises:
            ValueError: The key is too long.
        """
        return self._planner(key).phase(state).curve

    def time_left(self, age: float, *, state: str | None = None, key: str = _POOL) -> float | None:
        """Return the seconds within which nine in ten jobs end that have been in a state for *age* seconds.

        Args:
            age: The seconds.
            state: "pending" or "processing", or None while the job has not been seen.
            key: The key of the job.

        Returns:
            None if not enough jobs of this key have been seen.
        """
        model = self._planner(key)
        return model.time_left(state, age) if model.jobs >= ENOUGH_JOBS else None

    def settle(self) -> None:
        """Record all observations in the history. A hub does so when it has nothing left to wait for."""
        for model in self._models.values():
            model.settle()

    def keyed(self, key: str) -> Keyed:
        """Return the schedule of the jobs of one key.

        Args:
            key: What the durations of jobs depend on, such as the name of their endpoint, in at most 200 characters.

        Raises:
            ValueError: The key is too long.
        """
        return Keyed(self, check_key(key))

    def untaught(self) -> Learned:
        """Return a schedule with the same options and an empty history."""
        return Learned(**asdict(self.terms), cold=self.cold)

    def _delay(self, model: Model, progress: Progress) -> tuple[float, Reason]:
        """Return the seconds to the next poll, and why it is that."""
        if self.cold is not None and model.jobs < ENOUGH_JOBS and self.terms.hint is None:
            return self.cold.delay(progress), "cold"
        delay, reason = model.delay(progress, self.call_cost, self.scarcity)
        return (delay, reason) if delay <= _MOST_TURNS * self._turn else (_MOST_TURNS * self._turn, "longest")

    def _planner(self, key: str) -> Model:
        """Return the model to plan the jobs of a key with."""
        model = self._model(key)
        if model.jobs >= ENOUGH_JOBS:
            return model
        other = key.removesuffix(SINCE_SUBMIT) if key.endswith(SINCE_SUBMIT) else since_submit(key)
        if not key or not (other in self._models or self.history.knows(other)):
            return model
        substitute = self._model(other)
        return substitute if substitute.jobs >= ENOUGH_JOBS else model

    def _model(self, key: str) -> Model:
        model = self._models.get(key)
        if model is None:
            model = self._models[key] = Model(self.terms, self.history, check_key(key))
            if len(self._models) > MOST_KEYS:
                _, oldest = self._models.popitem(last=False)
                oldest.settle()
        else:
            self._models.move_to_end(key)
        return model


@frozen
class Keyed:
    """The part of a learned schedule that plans the jobs of one key."""

    learned: Learned
    key: str

    def delay(self, progress: Progress, /) -> float:
        """Return the seconds to the next poll of a job."""
        return self.learned.delay(progress, key=self.key)

    def observe(self, lo: float, hi: float, *, state: str = "processing") -> None:
        """Learn how long a job was in a state, as `Learned.observe` says."""
        self.learned.observe(lo, hi, state=state, key=self.key)
