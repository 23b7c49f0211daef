"""Ten thousand waits that share a rate of calls: learned plans at one shared price, in simulated time, in seconds."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from random import Random
from statistics import fmean
from typing import NamedTuple

from durations import lognormal, mixture, nearly_constant

from asyncpoll._schedule import Progress
from asyncpoll.waiting.learning._learned import Learned
from asyncpoll.waiting.scheduler._pacing import PriceController

KINDS = [
    lognormal(20, 0.4),
    mixture(lognormal(2, 0.2), lognormal(60, 0.2), name="bimodal 2 s, 60 s"),
    nearly_constant(120, 3),
    lognormal(240, 0.8),
]
RATES = (200, 100)  # for ten thousand waits
STEP = 0.05
BURST = 0.25  # seconds of the rate that can be saved up

WARMING_UP = 20_000.0
LONGEST = 3600.0  # with little more than a call a job, a longest interval of two minutes would cost all there are


class Job(NamedTuple):
    """One job: when it was submitted, how long it takes, and its kind."""

    began: float
    duration: float
    kind: int


class Scene(NamedTuple):
    """How large it is: the waits at a time, and from when to when a job has to end for its delay to count."""

    waits: int
    judged_from: float
    judged_until: float
    end: float


FULL, QUICK = Scene(10_000, 1000, 1500, 2000), Scene(1000, 1000, 1500, 2000)


class RoundRobin:
    """Asks about one wait after the other."""

    is_scarce = False

    def __init__(self, _rate: float) -> None:
        """Do nothing: each has its turn at any rate."""

    def due(self, _job: Job, _polls: int, now: float) -> float:
        """Return when to ask about a wait again."""
        return now

    def asked(self, _job: Job, _seen: float, _now: float, _late: float, _waits: int) -> None:
        """Learn from a poll that is about to be made."""

    def ended(self, job: Job) -> None:
        """Learn how long a job took."""


class OnePrice:
    """Asks when a poll is worth the price, which all share."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._learned = Learned(max_interval=LONGEST, random=Random("plans").random)
        self._prices = PriceController(self._learned)
        self.is_scarce = False
        chance = Random("lessons")
        for number, kind in enumerate(KINDS):
            for _ in range(64):
                duration = kind.draw(chance)
                self._learned.observe(duration, duration, key=str(number))

    def due(self, job: Job, polls: int, now: float) -> float:
        """Return when to ask about a wait again."""
        return now + self._learned.delay(Progress(polls, now - job.began, state="processing"), key=str(job.kind))

    def asked(self, job: Job, seen: float, now: float, late: float, waits: int) -> None:
        """Learn from a poll that is about to be made, after the job was last seen running."""
        worth = self._learned.worth(seen - job.began, now - job.began, key=str(job.kind))
        self.is_scarce = self._prices.update(worth, waits=waits, rate=self._rate, late=late)

    def ended(self, job: Job) -> None:
        """Learn how long a job took."""
        self._learned.observe(job.duration, job.duration, key=str(job.kind))


def measured(pool: ProcessPoolExecutor, *, quick: bool) -> Iterator[tuple[str, float, float]]:
    """Give what was compared, the ratio of mean delays, and its target."""
    scene = QUICK if quick else FULL
    runs = [(policy, rate * scene.waits / 10_000) for rate in RATES for policy in (RoundRobin, OnePrice)]
    delays = list(pool.map(simulated, *zip(*runs, strict=True), [scene] * len(runs)))
    for number, rate in enumerate(RATES):
        in_turn, learned = delays[2 * number : 2 * number + 2]
        yield f"shared budget, {rate} calls/s for 10,000 waits: round robin", learned / in_turn, 0.45
        yield f"shared budget, {rate} calls/s for 10,000 waits: the bound", learned / bound(rate), 1.20


def bound(rate: float) -> float:
    """Return the least mean delay: the best plans, with all known, at the price that costs just as many calls."""
    calls = rate / 10_000 * fmean(kind.mean for kind in KINDS)
    low, high = 0.01, 500.0
    for _ in range(20):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if fmean(kind.optimum(middle)[0] for kind in KINDS) > calls else (low, middle)
    return fmean(kind.optimum(high)[1] for kind in KINDS)


def jobs_of(scene: Scene) -> list[Job]:
    """Return jobs that come at random, of every kind as many, from a start at which as many run as ever will."""
    chance = Random("fleet")
    rate = scene.waits / fmean(kind.mean for kind in KINDS)
    jobs, now = [], -WARMING_UP
    while now < scene.end:
        now += chance.expovariate(rate)
        kind = chance.randrange(len(KINDS))
        job = Job(now, max(0.2, KINDS[kind].draw(chance)), kind)
        if now + job.duration > 0:
            jobs.append(job)
    return jobs


def simulated(policy: type[RoundRobin | OnePrice], rate: float, scene: Scene) -> float:
    """Return the mean delay of the jobs that are judged; one that is not seen to end counts as seen at the end."""
    asking, jobs = policy(rate), jobs_of(scene)
    queue: list[tuple[float, int, int, float]] = []  # when it is due, which job, its polls, when it was seen running
    seen = [scene.end] * len(jobs)
    taken, saved = 0, 0.0
    for step in range(int(scene.end / STEP)):
        now = step * STEP
        saved = min(saved + rate * STEP, rate * BURST)
        while taken < len(jobs) and jobs[taken].began <= now:
            began = max(now, jobs[taken].began)
            heapq.heappush(queue, (asking.due(jobs[taken], 1, began), taken, 1, began))
            taken += 1
        while saved >= 1 and queue and _may_ask(queue[0], now, is_eager=asking.is_scarce):
            due, number, polls, last = heapq.heappop(queue)
            saved -= 1
            asking.asked(jobs[number], last, now, now - due, len(queue) + 1)
            if now >= jobs[number].began + jobs[number].duration:
                seen[number] = now
                asking.ended(jobs[number])
            else:
                heapq.heappush(queue, (asking.due(jobs[number], polls + 1, now), number, polls + 1, now))
    ends = [job.began + job.duration for job in jobs]
    return fmean(at - end for at, end in zip(seen, ends, strict=True) if scene.judged_from <= end < scene.judged_until)


def _may_ask(head: tuple[float, int, int, float], now: float, *, is_eager: bool) -> bool:
    """Return whether the wait that is due next may be asked about: from half of its interval on if it is eager."""
    due, *_, last = head
    return now >= (last + (due - last) / 2 if is_eager else due)
