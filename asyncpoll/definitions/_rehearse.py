"""Rehearse a run: real waits against the server of a definition, in virtual time and without a network."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from random import Random
from typing import Any

from attrs import field, frozen

from asyncpoll._endpoint import Job
from asyncpoll._schedule import Exponential, Schedule
from asyncpoll._state import State
from asyncpoll._timeout import Timeout
from asyncpoll.definitions._definition import Definition
from asyncpoll.definitions._fabricate import case_for, cases
from asyncpoll.definitions._world import World
from asyncpoll.http._message import Reply, Request
from asyncpoll.simulator._lives import Constant, Life, LifeGenerator
from asyncpoll.testing import run_virtual
from asyncpoll.waiting._hub import Hub
from asyncpoll.waiting.learning._learned import Learned

_DAY = 86_400.0
_DOWN = Reply(503, problem="the server is down")


@frozen(kw_only=True)
class Rehearsal:
    """The figures of a rehearsal. All times are in seconds.

    Attributes:
        jobs: The number of jobs.
        succeeded: How many of them were seen to succeed.
        errors: How many waits gave up, by the name of the error.
        requests: The requests that were sent.
        unanswered: How many of them met the outage.
        delays: The times from the end of a job until its wait knew, in ascending order; of the waits that knew.
        busiest: The most requests within one second of the clock.
        busiest_at: When that second began, from the start.
        seconds: The time until the last wait ended.
    """

    jobs: int
    succeeded: int
    errors: Mapping[str, int]
    requests: int
    unanswered: int
    delays: Sequence[float] = field(repr=False)
    busiest: int
    busiest_at: float
    seconds: float

    @property
    def gave_up(self) -> int:
        """The number of waits that ended without the end of their job."""
        return sum(self.errors.values())

    @property
    def polls_per_job(self) -> float:
        """The requests for each job, on average."""
        return self.requests / self.jobs

    @property
    def delay_median(self) -> float | None:
        """The delay that half of the results had at most, or None if there was not a single one."""
        return self._delay(0.5)

    @property
    def delay_p95(self) -> float | None:
        """The delay that 95 % of the results had at most, or None if there was not a single one."""
        return self._delay(0.95)

    @property
    def delay_max(self) -> float | None:
        """The longest delay, or None if there was not a single result."""
        return self._delay(1.0)

    def _delay(self, share: float) -> float | None:
        return self.delays[math.ceil(share * len(self.delays)) - 1] if self.delays else None


class _Site:
    """The server of a rehearsal, as a transport: it takes the time of the exchange, and counts."""

    def __init__(self, world: World, latency: float, outage: tuple[float, float] | None) -> None:
        self._world = world
        self._latency = latency
        self._down_from, down_for = outage or (math.inf, 0.0)
        self._down_until = self._down_from + down_for
        self.unanswered = 0
        self.by_second: Counter[int] = Counter()

    async def send(self, request: Request, /) -> Reply:
        """Return the answer at the end of the exchange, or HTTP 503 in the outage."""
        await asyncio.sleep(self._latency)
        now = asyncio.get_running_loop().time()
        self.by_second[int(now)] += 1
        if self._down_from <= now < self._down_until:
            self.unanswered += 1
            return _DOWN
        answer = self._world.receive(request, now)
        await asyncio.sleep(answer.hold)
        return answer.reply


@frozen
class _Plan:
    """The jobs to submit, and over how many seconds; each that was submitted is kept with the time of its end."""

    definition: Definition
    world: World
    site: _Site
    durations: Sequence[float]
    arrivals: float
    ends: dict[int, float] = field(factory=dict)

    async def submit(self) -> AsyncIterator[Job[Any]]:
        """Yield a job for each duration, when it is its turn."""
        clock = asyncio.get_running_loop()
        [spec] = self.definition.spec.endpoints.values()
        for number, seconds in enumerate(self.durations):
            await asyncio.sleep(max(0.0, number * self.arrivals / len(self.durations) - clock.time()))
            life = Life(processing=seconds, outcome=State.SUCCESS.value)
            shared = spec.group.ask.names if spec.group else spec.ask.names if spec.about else ()
            size = spec.group.size if spec.group else len(self.durations)
            batch = {name: f"{name}-{number // size}" for name in shared}
            served = self.world.begin(spec, batch, clock.time(), life)
            job = self.definition.job(self.site, **served.reference)
            self.ends[id(job)] = served.end
            yield job


def rehearse(
    definition: Definition,
    *,
    durations: Sequence[float],
    endpoint: str | None = None,
    timeout: float | Timeout | None = None,
    schedule: Schedule | None = None,
    price: float | None = None,
    rate: float | None = None,
    concurrency: int = 100,
    arrivals: float = 0.0,
    outage: tuple[float, float] | None = None,
    latency: float = 0.1,
    seed: int = 0,
) -> Rehearsal:
    """Wait for jobs of given durations at a server that speaks the definition, in virtual time.

    The same arguments give the same figures, unless a schedule of the caller's own draws random numbers. It runs an
    event loop of its own, so it cannot be called inside one.

    Args:
        definition: The definition.
        durations: The seconds that each job takes, from its submission on.
        endpoint: The name of the endpoint, such as "acme.renders"; needed where the definition has several.
        timeout: The limit of each wait, in seconds or as a `Timeout`; None for a day more than the longest job and the
            outage, so that a definition whose success is never seen ends, too.
        schedule: When to poll; by default it is learned from job to job, as in a `Hub`.
        price: The share of a job's duration that a poll is worth, for the schedule that learns.
        rate: The most polls a second, or None.
        concurrency: The most polls in flight.
        arrivals: The seconds over which the jobs are submitted, one after the other; with 0 all come at once.
        outage: The second at which the server goes down, and for how many; it answers HTTP 503 in this time.
        latency: The seconds that every request takes.
        seed: The seed of all random numbers.

    Raises:
        ValueError: There is not a single duration, a number is out of range, both a schedule and a price are given, or
            the definition has no such endpoint, several of which none was chosen, or no success.
    """
    if not durations:
        raise ValueError("rehearse() needs the duration of at least one job; give seconds, such as durations=[60, 90]")
    for name, numbers in {"durations": durations, "outage": outage or (), "delays": (arrivals, latency)}.items():
        if not all(0 <= number < math.inf for number in numbers):
            raise ValueError(f"rehearse(): {name} must be numbers of seconds, finite and not negative")
    if schedule is not None and price is not None:
        raise ValueError("rehearse(): a price is for the schedule that learns; leave the schedule or the price out")
    draw = Random(seed).random
    cold = Exponential(jitter=lambda seconds: seconds * draw())
    hub = Hub(
        concurrency=concurrency,
        rate=rate,
        random=draw,
        schedule=schedule or Learned(price=price, cold=cold, random=draw),
    )
    chosen = definition if endpoint is None else definition.only(endpoint)
    if len(chosen.endpoints) > 1:
        raise ValueError(f"rehearse(): choose one endpoint of: {', '.join(chosen.endpoints)}")
    [spec] = chosen.spec.endpoints.values()
    if case_for(cases(spec), State.SUCCESS.value) is None:
        raise ValueError(f"rehearse(): no answer of {spec.name} means success; correct what lint() finds")
    world = World(chosen.spec, LifeGenerator(seed, Constant(0), Constant(0)))
    limit = max(durations) + sum(outage or ()) + _DAY if timeout is None else timeout
    plan = _Plan(chosen, world, _Site(world, latency, outage), durations, arrivals)
    return run_virtual(_wait_for_all(hub, plan, limit))


async def _wait_for_all(hub: Hub, plan: _Plan, timeout: float | Timeout) -> Rehearsal:
    clock = asyncio.get_running_loop()
    errors: Counter[str] = Counter()
    delays: list[float] = []
    succeeded = 0
    async with hub, hub.as_completed(plan.submit(), timeout=timeout) as outcomes:
        async for outcome in outcomes:
            if outcome.error is not None:
                errors[type(outcome.error).__name__] += 1
            else:
                delays.append(clock.time() - plan.ends[id(outcome.job)])
            succeeded += outcome.succeeded
    site = plan.site
    busiest_at, busiest = max(site.by_second.items(), key=lambda item: (item[1], -item[0]))
    return Rehearsal(
        jobs=len(plan.durations),
        succeeded=succeeded,
        errors=dict(errors),
        requests=site.by_second.total(),
        unanswered=site.unanswered,
        delays=sorted(delays),
        busiest=busiest,
        busiest_at=float(busiest_at),
        seconds=clock.time(),
    )
