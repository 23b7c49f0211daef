"""Find how long jobs of a run take, when it pays to poll them, and the cost of polling by several schedules."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from statistics import fmean

from attrs import evolve, frozen

from asyncpoll._schedule import Progress
from asyncpoll.cli._pacing import Cost, Sample, SeenJob
from asyncpoll.cli._tune import schedules
from asyncpoll.cli.report._stats import RunStats
from asyncpoll.waiting.learning._history import LONGEST_KEY, History
from asyncpoll.waiting.learning._learned import Explanation, Learned, since_submit
from asyncpoll.waiting.learning._survival import HORIZON, SurvivalCurve

_MOST_KEYS = 4
_MOST_JOBS = 500  # of a key
_MOST_SECONDS = 4e6  # of the jobs whose polls are replayed, in all, so that a page does not take minutes
_COMPARED = ("Exponential()", "Learned(price=0.03)")
_RARE = 0.05  # the axis reaches to the age that so few jobs exceed,
_BEYOND = 1.5  # and a little more,
_BEYOND_LONGEST = 1.25  # but not much more than any job has taken
_BEYOND_POLL = 1.05


@frozen
class PacingSummary:
    """Facts about the jobs of one pacing key, which should take about as long.

    Attributes:
        key: The pacing key.
        phase: The phase that `survival` is about: "pending", "processing", or "" for all of the time that a job takes.
        survival: The survival curve of that phase.
        learned_from: The number of jobs behind it.
        until: The end of the axis, in seconds.
        polls: The ages in seconds at which a job would be polled that runs until then, after its first poll.
        compared: The number of jobs of the run that the costs are about.
        costs: What their polls cost, and would have cost by other schedules, by name.
        first: Why a job that has just begun is polled when it is.
        later: Why one that has run for the typical duration is.
    """

    key: str
    phase: str
    survival: SurvivalCurve
    learned_from: int
    until: float
    polls: Sequence[float]
    compared: int
    costs: Mapping[str, Cost]
    first: Explanation
    later: Explanation


def summarize_pacing(stats: RunStats) -> list[PacingSummary]:
    """Return a summary for each of the keys with the most jobs, at most four, those with the most first.

    A job that took longer than a day is left out: schedules do not plan for so long.
    """
    jobs: dict[str, list[SeenJob]] = {}
    for job in stats.sample.jobs:
        if job.hi <= HORIZON and len(job.key) <= LONGEST_KEY:
            jobs.setdefault(job.key, []).append(job)
    most = sorted(jobs, key=lambda key: (-len(jobs[key]), key))
    return [_summary(key, jobs[key][:_MOST_JOBS], stats) for key in most[:_MOST_KEYS]]


def _summary(key: str, jobs: list[SeenJob], stats: RunStats) -> PacingSummary:
    history = stats.history
    known = product((key, since_submit(key)), ("processing", "pending"))
    name, phase = next((track for track in known if history.track(*track).records), (key, ""))
    learned = Learned(history=history if phase else History(), random=random.Random(0).random)
    for job in () if phase else jobs:
        learned.observe(job.lo, job.hi, key=name)
    state = phase or "processing"
    survival = learned.survival(state=state, key=name)
    first = learned.delay(Progress(2, 0.0, state=state), key=name)
    compared = jobs[: int(_MOST_SECONDS / max(1.0, fmean(job.hi for job in jobs)))]
    until = max(min(_BEYOND * survival.age_at(_RARE), _BEYOND_LONGEST * survival.longest), _BEYOND_POLL * first)
    polls = list(_polls(learned, name, Progress(2, first, state=state), until))
    return PacingSummary(
        key,
        phase,
        survival,
        len(learned.history.track(name, state).records),
        until,
        polls,
        len(compared),
        _costs(evolve(stats.sample, count=len(compared), jobs=compared)),
        learned.explain(Progress(1, 0.0, state=state), key=name),
        learned.explain(Progress(2, survival.typical, state=state), key=name),
    )


def _polls(learned: Learned, key: str, progress: Progress, until: float) -> Iterator[float]:
    """Yield the ages at which a job is polled from *progress* on."""
    age = progress.elapsed
    while age <= until:
        yield age
        age += learned.delay(Progress(2, age, state=progress.state), key=key)


def _costs(sample: Sample) -> dict[str, Cost]:
    known = schedules(random.Random(0).random)
    return {"as it was": sample.actual_cost(), **{name: sample.replay_cost(known[name]) for name in _COMPARED}}
