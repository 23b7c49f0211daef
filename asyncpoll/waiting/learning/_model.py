"""Hold what is known of the jobs of one key, and compute from it when to poll.

Changes are detected by sequential testing with e-values (Shin, Ramdas, Rinaldo: E-detectors, 2023): the p-values of
observations are multiplied up to evidence, which is seldom large while the curve is right, however long one looks.
"""

from __future__ import annotations

import math
from functools import partial
from statistics import fmean
from typing import Literal

from attrs import define, field, frozen, validators

from asyncpoll._schedule import DURATION, Progress
from asyncpoll.waiting.learning._history import WINDOW, History, Track
from asyncpoll.waiting.learning._plan import Plan, RandomSource, cheapest_plan
from asyncpoll.waiting.learning._survival import (
    Exposure,
    SurvivalCurve,
    estimate_survival,
    log_candidates,
    when_worth_by_progress,
)

SUBMITTED = "submitted"
"""The state of a job that has not been seen since it was submitted."""

Reason = Literal["cold", "miss", "backoff", "plan", "older", "scarce", "progress", "shortest", "longest"]
"""Why a poll is made when it is: see `Explanation`."""

_MISS: Reason = "miss"

KEPT = 4  # jobs at the least after a change: some to go on with, few enough to be outnumbered

_ALARM = 50.0  # the evidence at which jobs are taken to have changed
_LEAST_P = 1e-3  # a single job must not raise an alarm
_JOBS_TO_TEST = 8  # a curve that rests on fewer cannot be tested
_ENOUGH_TOLD = 8  # durations told by the server, from which they are better than what was seen of the jobs
_PER_PLAN, _LOOKS_PER_PLAN, _MOST_LOOKS = 8, 16, 8192  # a curve serves for such a share of the evidence it rests on
_NEWS = frozenset({1, 2, 3, 4, 6, 9, 14, 21, 32, 48, 72, 108})  # ends after which plans are out of date
_SLICE = 0.25  # of the jobs that end in an interval: a record says in which part of it one of them has
_EXACT = 1.011  # the ratio of the ages between which a job ended
_MOSTLY = 0.5  # of the last jobs
_PRICE_STEP = 0.12  # a plan is good enough until the call cost has moved by this share
_FAR = 4.0  # times the longest duration; later polls do not count towards a budget
_COLD_START, _COLD_GROWTH, _COLD_JITTER = 1.0, 0.25, 0.1  # seconds, share of the age, share of the interval
_LEAST_DONE = 0.01  # of a job; with less, nothing can be said about the rest
_PROGRESS_ERROR, _LEAST_ERROR = 0.25, 0.0025  # the square of the error of durations by progress, as logarithms

_PRICE = 0.03  # a share of a typical duration, unless the terms say something else
_HARDLY_ENDED = 0.95  # until the probability to be still processed falls below, a poll for the end does not pay
_RETRY, _LONGEST_RETRY, _DOUBLINGS = 1.0, 30.0, 5  # seconds to the poll after a miss, doubled from miss to miss
_JOBS_FOR_A_BUDGET = 4
_CORRECTIONS = 3  # of the price, whenever there is a new curve
_AT_THE_START = 1.0  # the poll that every wait begins with is part of its budget
_FIXED_CALLS = 0.4  # about so many of the others are made at any price
_LARGEST_STEP = 9.0
_OPTIONAL = validators.optional(DURATION)
_BUDGET = validators.optional(validators.and_(validators.ge(2.0), validators.lt(math.inf)))


@frozen(kw_only=True)
class Terms:
    """The options of a learned schedule, as `Learned` explains them."""

    price: float | None = field(default=None, validator=_OPTIONAL)
    call_cost: float | None = field(default=None, validator=_OPTIONAL)
    budget: float | None = field(default=None, validator=_BUDGET)
    hint: float | None = field(default=None, validator=_OPTIONAL)
    min_interval: float = field(default=0.1, validator=DURATION)
    max_interval: float = field(default=120.0, validator=DURATION)
    random: RandomSource

    def __attrs_post_init__(self) -> None:
        if sum(way is not None for way in (self.price, self.call_cost, self.budget)) > 1:
            raise ValueError("price, call_cost and budget say the same in three ways; give one of them")
        if self.max_interval < self.min_interval:
            raise ValueError(
                f"max_interval ({self.max_interval:g} s) must not be below min_interval ({self.min_interval:g} s)"
            )


# changes


@define
class ChangeDetector:
    """A sequential test of whether the jobs of one track became faster or slower.

    The evidence for each is the product of e-values, at least 1, with the number of jobs in a row which it rests on.
    """

    _evidence: list[tuple[float, int]] = field(factory=lambda: [(1.0, 0)] * 2)

    def update(self, *, ended_by: float, ran_longer: float) -> int | None:
        """Return how many of the last jobs, with this one, show a change, or None while there is not enough evidence.

        Args:
            ended_by: The probability to end by the age at which this job was seen ended.
            ran_longer: The probability to run longer than the age at which this job was last seen running.
        """
        for way, p in enumerate((ended_by, ran_longer)):
            value, streak = self._evidence[way]
            value /= 2 * math.sqrt(max(p, _LEAST_P))
            self._evidence[way] = (value, streak + 1) if value > 1 else (1.0, 0)
        shown = [streak for value, streak in self._evidence if value > _ALARM]
        if not shown:
            return None
        self._evidence = [(1.0, 0)] * 2
        return max(KEPT, *shown)


@define
class Cohort:
    """A random sample of jobs that ran at the same time, of as many as a history keeps.

    They ended in the order of their durations, which would look as if jobs took ever longer.

    Attributes:
        opened_at: When the first of them ended. A job that begins later belongs to the next cohort.
    """

    opened_at: float = -math.inf
    _count: int = 0
    _sample: list[tuple[float, float]] = field(factory=list)

    def add(self, lo: float, hi: float, random: RandomSource) -> None:
        """Add a job that ended at an age in (*lo*, *hi*]."""
        self._count += 1
        if self._count <= WINDOW:
            self._sample.append((lo, hi))
        elif (place := int(random() * self._count)) < WINDOW:
            self._sample[place] = (lo, hi)

    def shuffled(self, random: RandomSource) -> list[tuple[float, float]]:
        """Return the sample in random order."""
        return sorted(self._sample, key=lambda _: random())


# one phase


@define(eq=False)
class Phase:
    """The survival curve of one phase of the jobs of one key, and the plan that follows from it.

    Attributes:
        history: The records of past jobs.
        key: The key of the jobs.
        name: The phase: "pending" or "processing".
        random: The source of randomness.
        shortest: The least seconds between two polls.
        hint: The duration to expect, in seconds, while little is known.
        curve: The survival curve of the phase.
    """

    history: History
    key: str
    name: str
    random: RandomSource
    shortest: float
    hint: float | None = None
    curve: SurvivalCurve = field(init=False)
    _exposure: Exposure = field(init=False)
    _told: float = field(init=False, default=0.0)  # the share of the last jobs of which it is known when they ended
    _progress_error: float = field(init=False, default=_PROGRESS_ERROR)
    _detector: ChangeDetector = field(init=False, factory=ChangeDetector)
    _cohort: Cohort = field(init=False, factory=Cohort)
    _plan: Plan | None = field(init=False, default=None)
    _looks: int = field(init=False, default=0)
    _looks_until_due: int = field(init=False, default=0)
    _is_of_records: bool = field(init=False, default=False)  # the curve

    def __attrs_post_init__(self) -> None:
        self._exposure = Exposure(self.shortest, self.hint)
        self._start_from_records()

    @property
    def jobs(self) -> int:
        """The number of jobs that were seen to end."""
        return self._exposure.ends

    @property
    def is_known(self) -> bool:
        """Whether the curve rests on anything."""
        return self._looks > 0 or self.hint is not None

    @property
    def is_due(self) -> bool:
        """Whether there is enough new evidence to estimate the curve anew."""
        return self._looks_until_due <= 0 or self._is_of_records is not self._has_enough_records

    def estimate(self) -> None:
        """Estimate the curve anew."""
        self._is_of_records = self._has_enough_records
        if self._is_of_records:
            ends = [self._probable(record.lo, record.hi) for record in self._track.records]
            self.curve = estimate_survival(ends, log_candidates(self.shortest), hint=self.hint)
            serves_for = len(ends) // _PER_PLAN
        else:
            self.curve = self._exposure.estimate()
            serves_for = min(self._looks, _MOST_LOOKS) // _LOOKS_PER_PLAN
        self._plan = None
        self._looks_until_due = max(1, serves_for)

    def look(self, lo: float, hi: float) -> None:
        """Observe that a job that ran at age *lo* still ran at age *hi*."""
        self._exposure.passed(lo, hi)
        self._looks += 1
        if not self._is_of_records:
            self._looks_until_due -= 1

    def observe(self, lo: float, hi: float, during: tuple[float, float] | None = None) -> bool:
        """Observe that a job left the phase at an age in (*lo*, *hi*], having been in it *during* this time.

        Returns:
            Whether plans are out of date: the first ends of a kind show more than all looks that found jobs running.
        """
        is_news = False
        if during is None:
            self.look(0.0, lo)
        if hi < math.inf:
            self._exposure.ended(lo, hi)
            self._told += (_is_exact(lo, hi) - self._told) / _JOBS_TO_TEST
            self._looks += 1
            is_news = self.jobs in _NEWS
            self._looks_until_due = 0 if is_news else self._looks_until_due - 1
        else:
            self._exposure.running -= 1
        if during is None:
            self._record(lo, hi)
            return is_news
        if during[0] >= self._cohort.opened_at:  # it came after one of the cohort had left
            self.settle()
            self._cohort = Cohort(during[1])
        self._cohort.add(lo, hi, self.random)
        return is_news

    def compare_progress(self, total: float, lo: float, hi: float) -> None:
        """Observe that a job, whose first progress let one expect *total* seconds, ended at an age in (*lo*, *hi*]."""
        error = math.log(max(self._probable(lo, hi), self.shortest) / total)
        self._progress_error += (error * error - self._progress_error) / _JOBS_TO_TEST

    def settle(self) -> None:
        """Record the jobs of the present cohort."""
        for lo, hi in self._cohort.shuffled(self.random):
            self._record(lo, hi)
        self._cohort = Cohort(self._cohort.opened_at)

    def calls(self, cost: float) -> float:
        """Return the expected number of polls of a job at a call cost of *cost* seconds."""
        return cheapest_plan(self.curve.ages, self.curve.survival, cost).calls(_FAR * self.curve.longest)

    def next_poll(self, age: float, done: float | None, cost: float, scarcity: float) -> tuple[float, Reason]:
        """Return the age of the next poll, and why it is that.

        Args:
            age: Seconds for which the job has been in this phase.
            done: The share of it that is done, from 0 to 1, or None.
            cost: The call cost in seconds, where calls are not scarce.
            scarcity: What a poll must be worth where they are; else 0.
        """
        if done is not None and done >= _LEAST_DONE and age >= self.shortest:
            spread = math.sqrt(max(_LEAST_ERROR, self._progress_error))
            if not self.is_known or spread < self.curve.spread(age):
                return when_worth_by_progress(age, max(age, age / done), spread, scarcity or cost), "progress"
        curve, random = self.curve, self.random
        if not self.is_known or not age < curve.ages[-1]:
            return age + (_COLD_START + _COLD_GROWTH * age) * (1 + _COLD_JITTER * (2 * random() - 1)), "backoff"
        if scarcity > 0:
            return curve.when_worth(age, scarcity), "scarce"
        planned = self._planned(cost).next_poll(age, random)
        if age > curve.longest:  # beyond all observations: the older the job, the less a second matters
            return age + (planned - age) * math.sqrt(age / curve.longest), "older"
        return planned, "plan"

    @property
    def _track(self) -> Track:
        return self.history.track(self.key, self.name)

    @property
    def _has_enough_records(self) -> bool:
        """Whether there are enough exact durations to estimate the curve from; after a change few are enough."""
        if self._told < _MOSTLY:
            return False
        track = self._track
        return len(track.records) >= (KEPT if track.since else _ENOUGH_TOLD)

    def _start_from_records(self) -> None:
        records = self._track.records
        self.curve = self._exposure.fill((record.lo, record.hi) for record in records)
        self._looks, self._looks_until_due = len(records), 0
        self._told = fmean(_is_exact(record.lo, record.hi) for record in records) if records else 0.0

    def _record(self, lo: float, hi: float) -> None:
        """Record a job; forget older ones if it shows that jobs have changed.

        Only exact durations are tested. What is seen by polls that follow the curve says too little against it.
        """
        self.history.add(self.key, self.name, *self._narrowed(lo, hi))
        if not _is_exact(lo, hi) or len(self._track.records) <= _JOBS_TO_TEST:
            return
        kept = self._detector.update(ended_by=1 - self.curve.running_at(hi), ran_longer=self.curve.running_at(lo))
        if kept is not None:
            self.history.cut(self.key, self.name, kept)
            self._start_from_records()
            self.estimate()

    def _probable(self, lo: float, hi: float) -> float:
        return (lo + hi) / 2 if _is_exact(lo, hi) else self.curve.middle(lo, hi)

    def _narrowed(self, lo: float, hi: float) -> tuple[float, float]:
        """Return a part of an interval, by the curve: records are few, and must show what all looks together have."""
        early, late = self.curve.running_at(lo), self.curve.running_at(hi)
        if _is_exact(lo, hi) or hi == math.inf or not late < early:
            return lo, hi
        start = early - (early - late) * (1 - _SLICE) * self.random()
        first, last = self.curve.age_at(start), self.curve.age_at(start - _SLICE * (early - late))
        return (max(lo, first), min(hi, last)) if max(lo, first) < min(hi, last) else (lo, hi)

    def _planned(self, cost: float) -> Plan:
        """Return the plan in force, made anew if there is none or it was made for another call cost."""
        plan = self._plan
        if plan is None or not 1 - _PRICE_STEP < cost / plan.cost < 1 + _PRICE_STEP:
            plan = self._plan = cheapest_plan(self.curve.ages, self.curve.survival, cost)
        return plan


def _is_exact(lo: float, hi: float) -> bool:
    """Return whether a duration in (*lo*, *hi*] is as good as exact."""
    return hi <= _EXACT * lo or lo == hi


# both phases


class Model:
    """The two phases of the jobs of one key, pending and processing, and the price of a call for them."""

    def __init__(self, terms: Terms, history: History, key: str) -> None:
        phase = partial(Phase, history, key, random=terms.random, shortest=terms.min_interval)
        self._terms = terms
        self._pending, self._processing = phase("pending"), phase("processing", hint=terms.hint)
        self._phases = (self._pending, self._processing)
        self._share = terms.price or _PRICE

    @property
    def jobs(self) -> int:
        """The number of jobs that were seen to leave a phase."""
        return max(self._pending.jobs, self._processing.jobs)

    def phase(self, state: str | None) -> Phase:
        """Return the phase of a state; its curve is up to date."""
        self._refresh()
        is_pending = state == "pending" or (state == SUBMITTED and self._pending.jobs > 0)
        return self._pending if is_pending else self._processing

    def first_look(self, state: str, age: float) -> float:
        """Observe a job, unseen since its submit *age* seconds ago, in a state; return the age at which it came there.

        If it has been pending before, that is not known but for what is usual.
        """
        pending = self._pending
        began = 0.0 if state == "pending" or not pending.jobs else pending.curve.middle(0.0, age)
        self.phase(state).look(0.0, age - began)
        return began

    def settle(self) -> None:
        """Record what has been observed so far."""
        for phase in self._phases:
            phase.settle()

    def time_left(self, state: str | None, age: float) -> float | None:
        """Return the seconds within which most jobs end that have been in a state for *age* seconds, if it is known."""
        self._refresh()
        pending, processing = self._phases
        if pending.jobs and state in {"pending", None}:
            return pending.curve.time_left(age) + (processing.curve.time_left(0.0) if processing.jobs else 0.0)
        return processing.curve.time_left(age) if processing.jobs else None

    def delay(self, progress: Progress, call_cost: float | None, scarcity: float = 0.0) -> tuple[float, Reason]:
        """Return the seconds to the next poll, and why it is that.

        Args:
            progress: How far the wait has come.
            call_cost: The call cost in seconds, or None for that of the terms.
            scarcity: What a poll must be worth while calls are scarce; 0 while they are not.
        """
        terms, misses, reason = self._terms, progress.misses, _MISS
        if misses:  # nothing has been seen, so there is nothing to plan with
            longest = min(_RETRY * 2.0 ** min(misses - 1, _DOUBLINGS), _LONGEST_RETRY)
            delay = longest * (1 + terms.random()) / 2
        else:
            phase = self.phase(progress.state)
            age = progress.elapsed if progress.in_state is None else progress.in_state
            due, reason = phase.next_poll(age, progress.done, call_cost or self.own_cost, scarcity)
            delay = due - age + self._least_after(phase)
        if delay > terms.max_interval:
            return terms.max_interval, "longest"
        # In this order NaN, which a foreign clock may lead to, becomes the shortest delay.
        return (delay, reason) if delay >= terms.min_interval else (terms.min_interval, "shortest")

    def worth(self, state: str | None, lo: float, hi: float) -> float:
        """Return what a poll at age *hi* is worth, in seconds, after a look at age *lo*."""
        phase = self.phase(state or SUBMITTED)
        return phase.curve.worth(lo, max(lo, hi - self._least_after(phase)))

    @property
    def own_cost(self) -> float:
        """The call cost in seconds by the terms alone."""
        return self._share * self.typical

    @property
    def typical(self) -> float:
        """The typical duration of a job in both phases."""
        pending, processing = self._phases
        if not pending.jobs:
            return processing.curve.typical
        return pending.curve.typical + (processing.curve.typical if processing.is_known else 0.0)

    def _least_after(self, phase: Phase) -> float:
        """Return the seconds that a job goes on after a phase at the least, for the caller waits for its end."""
        is_last = phase is self._processing or not self._processing.jobs
        return 0.0 if is_last else self._processing.curve.age_at(_HARDLY_ENDED)

    def _refresh(self) -> None:
        """Estimate the curves that are due, and fit the price to them."""
        due = [phase for phase in self._phases if phase.is_due]
        for phase in due:
            phase.estimate()
        if due and self._terms.budget is not None:
            self._fit_price(self._terms.budget)

    def _fit_price(self, budget: float) -> None:
        """Correct the price so that the plans cost a job *budget* polls: calls go with its inverse square root."""
        phases = [phase for phase in self._phases if phase.jobs >= _JOBS_FOR_A_BUDGET]
        for _ in range(_CORRECTIONS if phases else 0):
            calls = sum(phase.calls(self.own_cost) for phase in phases)
            step = ((calls - _FIXED_CALLS) / (budget - _AT_THE_START - _FIXED_CALLS)) ** 2
            self._share *= min(max(1 / _LARGEST_STEP, step), _LARGEST_STEP)
