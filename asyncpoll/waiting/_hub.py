"""Any number of waits, one scheduler: no task and no timer for a wait that is not being polled."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Callable
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar, Unpack

from asyncpoll import events
from asyncpoll._errors import ClientClosed, WaitTimeout
from asyncpoll._schedule import Exponential, Progress, Schedule
from asyncpoll._snapshot import Snapshot
from asyncpoll.waiting._counters import Counters
from asyncpoll.waiting._options import JobOptions, RunOptions
from asyncpoll.waiting._policy import Policy
from asyncpoll.waiting._remote_cancel import OnAbandon, cancel_remotely, remote_cancel_of
from asyncpoll.waiting._run import Intake, Jobs, Journal, Outcome, Run, Until, every
from asyncpoll.waiting._timeout import Timeout, as_timeout
from asyncpoll.waiting._wait import Fetch, PollOptions
from asyncpoll.waiting.learning._learned import Learned
from asyncpoll.waiting.learning.market import Market
from asyncpoll.waiting.scheduler.engine import Engine
from asyncpoll.waiting.scheduler.lane import Lane
from asyncpoll.waiting.scheduler.topics import Wait

T = TypeVar("T")
R_co = TypeVar("R_co", covariant=True)


class Ledger(Protocol[R_co]):
    """What remembers a run beyond this process."""

    def run(self, hub: Hub, jobs: Jobs[Any], *, timeout: float | Timeout | None, **options: Unpack[RunOptions]) -> R_co:
        """Return a run of *jobs* in *hub* that is remembered."""
        ...


_LATE = 1000  # polls, and seconds: by then a schedule has reached its longest interval


def _many(name: str, limit: int) -> int:
    if not isinstance(limit, int) or limit < 1:  # pyright: ignore[reportUnnecessaryIsInstance]  unchecked callers
        raise ValueError(f"{name} must be a whole number, at least 1, not {limit!r}")
    return limit


def _fast(name: str, limit: float | None) -> float:
    if limit is None:
        return math.inf
    if not 0 < limit < math.inf:
        raise ValueError(f"{name} must be a number of polls a second above 0, or None for any number, not {limit!r}")
    return limit


def _pause(first_delay: float) -> float:
    if not 0 <= first_delay < math.inf:
        raise ValueError(f"first_delay must be a number of seconds, 0 or more, not {first_delay!r}")
    return first_delay


class _End:
    """The end of a wait that one caller waits for."""

    def __init__(self) -> None:
        self.come: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def changed(self, wait: Wait, now: float) -> None:
        """Do nothing: who waits for one job learns how it ended."""

    def ended(self, wait: Wait, error: Exception | None, waited: float) -> None:  # noqa: ARG002  the caller has the wait
        if error is not None:
            self.condemned(error)
        elif not self.come.done():
            self.come.set_result(None)

    def condemned(self, error: Exception) -> None:
        if not self.come.done():  # else the caller has been cancelled at this very moment
            self.come.set_exception(error)


class Hub:
    """Waits for any number of jobs with one scheduler.

    A wait that is not being polled costs neither a task nor a timer. One job awaited by many is polled once; jobs that
    an API can be asked about together are. Polls towards one client (one origin and credential) share a lane:
    throttling slows it down, a `Retry-After` parks it, an outage is probed, and the other lanes go on.

    Args:
        concurrency: The most polls in flight.
        rate: The most polls a second, started one at a time, or None for any number.
        lane_concurrency: The most polls in flight towards one client; by default *concurrency*.
        lane_rate: The most polls a second towards one client; by default no limit of its own.
        schedule: When to ask next, where a wait does not say otherwise. By default it is learned how long jobs take:
            `Learned` with `Exponential()` as its cold start. `Exponential()` by itself learns nothing.
        observe: Called with every event of `asyncpoll.events`.
        chance: Gives numbers from 0 up to 1; spreads what would otherwise happen at the same time.

    Attributes:
        counters: What has happened so far, as plain integers; they stay when the hub is closed.
        schedule: When to ask next, where a wait does not say otherwise.

    Raises:
        ValueError: A limit is not above 0.
    """

    def __init__(
        self,
        *,
        concurrency: int = 100,
        rate: float | None = None,
        lane_concurrency: int | None = None,
        lane_rate: float | None = None,
        schedule: Schedule | None = None,
        observe: events.Observer | None = None,
        chance: Callable[[], float] | None = None,
    ) -> None:
        self._concurrency = _many("concurrency", concurrency)
        self._rate = _fast("rate", rate)
        self._lane_concurrency = _many(
            "lane_concurrency", concurrency if lane_concurrency is None else lane_concurrency
        )
        self._lane_rate = _fast("lane_rate", lane_rate)
        self._observe = observe
        self._chance = chance or random.Random().random
        self.schedule = schedule or Learned(cold=Exponential(), chance=self._chance)
        self._engine: Engine | None = None
        self.counters = Counters()

    async def __aenter__(self) -> Self:
        if self._engine is not None:
            raise ClientClosed("a hub is opened once; make another one")
        self._engine = Engine(
            self.counters,
            concurrency=self._concurrency,
            rate=self._rate,
            new_lane=self._new_lane,
            observe=self._observe,
            market=self._market(),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._open().aclose()

    async def wait(
        self,
        job: Fetch[T],
        *,
        timeout: float | Timeout | None,
        on_abandon: OnAbandon = "leave",
        **options: Unpack[PollOptions],
    ) -> Snapshot[T]:
        """Wait until the job is terminal, and return the terminal snapshot; see `wait_until_terminal`.

        A job that is awaited already is not polled twice: the waits share its polls, each with its own deadline.

        Args:
            job: A `Job`, or any `async def () -> Snapshot`.
            timeout: Seconds, three clocks as a `Timeout`, or None for no limit at all.
            on_abandon: Whether a local cancel or deadline also cancels the remote job.
            **options: Those of `wait_until_terminal`; the schedule is the hub's unless one is given.

        Raises:
            WaitTimeout: A limit passed.
            ClientClosed: The hub is not open, or belongs to another event loop or process.
            TransportError: As `wait_until_terminal`.
        """
        engine, remote_cancel = self._open(), remote_cancel_of(job, on_abandon)
        first = _pause(options.pop("first_delay", 0.0))
        end = _End()
        wait = engine.enter(job, self._policy(timeout, options), end, now=engine.now(), first=first)
        try:
            await end.come
        except (asyncio.CancelledError, WaitTimeout):
            engine.leave(wait)
            if remote_cancel is not None:
                await cancel_remotely(remote_cancel)
            raise
        return wait.last  # type: ignore[return-value]  # it ended without an error, so with a terminal snapshot

    async def result(self, job: Fetch[T], *, timeout: float | Timeout | None, **options: Unpack[JobOptions]) -> T:
        """Wait until the job is terminal, and return its result.

        Raises:
            JobError: The job did not succeed. Otherwise as `wait`.
        """
        return (await self.wait(job, timeout=timeout, **options)).unwrap()

    def as_completed(
        self,
        jobs: Jobs[T],
        *,
        timeout: float | Timeout | None,
        until: Until = "all",
        max_pending: int | None = None,
        on_abandon: OnAbandon = "leave",
        journal: Journal | None = None,
        **options: Unpack[PollOptions],
    ) -> Run[T]:
        """Return an async context manager that gives the outcomes of *jobs* in the order in which they come.

        The first jobs are polled at once, as many as may be in flight; the first polls of the others are spread over
        one interval, so that jobs which come together do not stay together.

        Args:
            jobs: A list, an iterable or an async iterable of jobs or async functions.
            timeout: For each wait, from when its job is taken in.
            until: Iterate to the end, or to the first success or failure.
            max_pending: The most jobs taken in whose outcomes have not been given out, or None for any number.
            on_abandon: Whether leaving early or a deadline also cancels the remote jobs.
            journal: What remembers the run beyond this process.
            **options: Those of `wait_until_terminal`, for each wait.

        Raises:
            ValueError: An argument is out of range, or a list holds the same job object twice.
            ClientClosed: The hub is not open, or belongs to another event loop or process.
        """
        first = _pause(options.pop("first_delay", 0.0))
        policy = self._policy(timeout, options)
        intake = Intake(
            self._open(),
            policy,
            on_abandon,
            first_delay=first,
            at_once=self._concurrency,
            spread=policy.schedule.delay(Progress(1, 0.0)),
            chance=self._chance,
            journal=journal,
        )
        return Run(intake, jobs, until=until, max_pending=max_pending)

    async def wait_all(
        self, jobs: Jobs[T], *, timeout: float | Timeout | None, **options: Unpack[RunOptions]
    ) -> list[Outcome[T]]:
        """Wait for all of *jobs*, and return their outcomes in the order in which they were given.

        With `until="first_success"` or `"first_failure"` it returns at the first such outcome. What is then stopped
        has an outcome with neither a snapshot nor an error.

        Args:
            jobs: A list, an iterable or an async iterable of jobs or async functions.
            timeout: For each wait.
            **options: Those of `as_completed`.
        """
        given = [job async for job in every(jobs)]
        async with self.as_completed(given, timeout=timeout, **options) as outcomes:
            ended = {id(outcome.job): outcome async for outcome in outcomes}
        return [ended.get(id(job)) or Outcome(job, None) for job in given]

    def run(
        self, jobs: Jobs[Any], *, ledger: Ledger[R_co], timeout: float | Timeout | None, **options: Unpack[RunOptions]
    ) -> R_co:
        """Return a run of *jobs* that another process can resume; `asyncpoll.ledger.Ledger.run` says more.

        Args:
            jobs: Jobs, as for `as_completed`; one that has an outcome in the ledger is not polled again.
            ledger: What remembers the run: an open `asyncpoll.ledger.Ledger`.
            timeout: For each wait, time in earlier processes included.
            **options: Those of `as_completed`.
        """
        return ledger.run(self, jobs, timeout=timeout, **options)

    def nudge(self, key: str) -> bool:
        """Poll the job with this key now, because a webhook or a hunch says that it may be done.

        Returns:
            Whether the job is awaited here.
        """
        return self._open().nudge(key)

    def _open(self) -> Engine:
        if self._engine is None:
            raise ClientClosed("the hub is not open; use it inside its block: async with Hub() as hub")
        self._engine.home.check()
        return self._engine

    def _policy(self, timeout: float | Timeout | None, options: Any) -> Policy:
        chosen: dict[str, Any] = {"schedule": self.schedule, **options}
        return Policy(timeout=as_timeout(timeout), replans=True, parks=True, **chosen)

    def _market(self) -> Market | None:
        if isinstance(self.schedule, Learned) and self._rate < math.inf:
            return Market(self.schedule, self._rate)
        return None

    def _new_lane(self) -> Lane[Any]:
        interval = self.schedule.delay(Progress(_LATE, _LATE))
        return Lane(concurrency=self._lane_concurrency, rate=self._lane_rate, interval=interval)
