"""Any number of waits, one scheduler: a wait that is not being polled costs neither a task nor a timer."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Mapping
from random import Random
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar, Unpack

from attrs import evolve

from asyncpoll import events
from asyncpoll._checks import delay, is_number, plain_function
from asyncpoll._errors import ClientClosed, WaitTimeout
from asyncpoll._schedule import Exponential, Schedule
from asyncpoll._snapshot import Snapshot
from asyncpoll._timeout import Timeout
from asyncpoll.waiting._emission import Counters, observers_of
from asyncpoll.waiting._policy import Policy, PollOptions, check_options, check_schedule, policy_of
from asyncpoll.waiting._recipients import Caller, Look, RecentSnapshots, Seen, Viewer
from asyncpoll.waiting._run import Jobs, Outcome, Run, Until, aiter_any, check_jobs
from asyncpoll.waiting._wait import Fetch, changes_of, check_fetch
from asyncpoll.waiting.learning._learned import Learned
from asyncpoll.waiting.learning._plan import RandomSource
from asyncpoll.waiting.scheduler._dispatcher import HubLimits
from asyncpoll.waiting.scheduler._scheduler import Scheduler
from asyncpoll.waiting.scheduler._targets import time_left

T = TypeVar("T")
R_co = TypeVar("R_co", covariant=True)

_ONE_POLL = Policy(max_polls=1, max_misses=0)


class RunOptions(PollOptions, total=False):
    """The options of a run over many jobs; `Hub.as_completed` explains them."""

    until: Until
    max_pending: int | None


class RunMemory(Protocol[R_co]):
    """Remembers a run beyond this process, as a `Ledger` does."""

    def run(self, hub: Hub, jobs: Jobs[Any], *, timeout: float | Timeout | None, **options: Unpack[RunOptions]) -> R_co:
        """Return a run of *jobs* in *hub* that is remembered."""
        ...


def _whole(name: str, limit: int) -> int:
    if not isinstance(limit, int) or isinstance(limit, bool) or limit < 1:  # pyright: ignore[reportUnnecessaryIsInstance]  unchecked callers
        raise ValueError(f"{name} must be a whole number, at least 1, not {limit!r}")
    return limit


def _rate(name: str, limit: float | None) -> float:
    if limit is None:
        return math.inf
    if not is_number(limit) or not 0 < limit < math.inf:
        raise ValueError(f"{name} must be a number of polls a second above 0, or None for any number, not {limit!r}")
    return limit


class Hub:
    """Waits for any number of jobs with one scheduler.

    A wait that is not being polled costs neither a task nor a timer. One job awaited by many is polled once; jobs that
    an API can be asked about together are. Polls towards one client (one origin and credential) share a lane:
    throttling slows it down, a `Retry-After` parks it, an outage is probed, and the other lanes go on.

    Args:
        concurrency: The most polls in flight.
        rate: The most polls a second, started one at a time, or None for any number. The further calls of a poll (see
            `Endpoint.then`) follow it at once, and the next polls wait for as long as they would have taken.
        lane_concurrency: The most polls in flight towards one client. By default a fair share: none takes the slots
            that others with jobs to poll are entitled to, and one slot in fifty is kept for newcomers.
        lane_rate: The most polls a second towards one client; by default no limit of its own.
        schedule: When to poll next, where a wait does not say otherwise. By default it is learned how long jobs take:
            `Learned` with `Exponential()` as its cold start. `Exponential()` by itself learns nothing.
        observe: A plain function, or several, called with every event of `asyncpoll.events`.
        random: Returns numbers from 0 up to 1; spreads what would otherwise happen at the same time.

    Attributes:
        counters: What has happened so far, as plain integers; they stay when the hub is closed.
        schedule: When to poll next, where a wait does not say otherwise.

    Raises:
        TypeError: An argument has a wrong type.
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
        observe: events.Observers = None,
        random: RandomSource | None = None,
    ) -> None:
        self._limits = HubLimits(
            _whole("concurrency", concurrency),
            _rate("rate", rate),
            None if lane_concurrency is None else _whole("lane_concurrency", lane_concurrency),
            _rate("lane_rate", lane_rate),
        )
        self._observers = observers_of("Hub", observe)
        if random is not None:
            plain_function("Hub(): random", random)
        self._random = random or Random().random
        if schedule is not None:
            check_schedule("Hub(): schedule", schedule)
        self.schedule = schedule or Learned(cold=Exponential(), random=self._random)
        self._scheduler: Scheduler | None = None
        self._is_closed = False
        self.counters = Counters()
        self._recent = RecentSnapshots()

    async def __aenter__(self) -> Self:
        if self._scheduler is not None or self._is_closed:
            raise ClientClosed("a hub is opened once; make another one")
        learned = self.schedule if isinstance(self.schedule, Learned) else None
        self._scheduler = Scheduler(self.counters, self._limits, observers=self._observers, learned=learned)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    @property
    def rate(self) -> float | None:
        """The most polls a second, or None for any number. It may be set at any time: 0 pauses all polls."""
        return None if self._limits.rate == math.inf else self._limits.rate

    @rate.setter
    def rate(self, rate: float | None) -> None:
        self._set_limits(evolve(self._limits, rate=0.0 if rate == 0 and is_number(rate) else _rate("rate", rate)))

    @property
    def concurrency(self) -> int:
        """The most polls in flight. It may be set at any time; polls that are in flight are not cut."""
        return self._limits.concurrency

    @concurrency.setter
    def concurrency(self, concurrency: int) -> None:
        self._set_limits(evolve(self._limits, concurrency=_whole("concurrency", concurrency)))

    async def aclose(self) -> None:
        """End every wait with `ClientClosed`, and cut every poll. Closing a hub that is closed does nothing."""
        self._is_closed = True
        if self._recent.entries:
            self._recent.clear()
        if self._scheduler is not None:
            await self._scheduler.aclose()

    async def wait(
        self, job: Fetch[T], *, timeout: float | Timeout | None, **options: Unpack[PollOptions]
    ) -> Snapshot[T]:
        """Wait until the job is terminal, and return the terminal snapshot; see `wait_until_terminal`.

        A job that is awaited already is not polled twice: the waits share its polls, each with its own schedule,
        deadline and limits.

        Args:
            job: A `Job`, or any `async def () -> Snapshot`.
            timeout: Seconds, three clocks as a `Timeout`, or None for no limit at all.
            **options: Those of `wait_until_terminal`, without *observe*; the schedule is the hub's unless one is given.

        Raises:
            WaitTimeout: A limit passed.
            ClientClosed: The hub is not open, or belongs to another event loop or process.
            TransportError: As `wait_until_terminal`; `TypeError` and `ValueError`, too.
        """
        return await self._wait("Hub.wait", job, timeout, options)

    async def result(self, job: Fetch[T], *, timeout: float | Timeout | None, **options: Unpack[PollOptions]) -> T:
        """Wait until the job is terminal, and return its result.

        Raises:
            JobError: The job did not succeed. Otherwise as `wait`.
        """
        return (await self._wait("Hub.result", job, timeout, options)).unwrap()

    def as_completed(self, jobs: Jobs[T], *, timeout: float | Timeout | None, **options: Unpack[RunOptions]) -> Run[T]:
        """Return an async context manager that yields the outcomes of *jobs* in the order in which they come.

        The first jobs are polled at once, as many as may be in flight; the first polls of the others are spread over
        one interval, so that jobs which come together do not stay together.

        Args:
            jobs: A list, an iterable or an async iterable of jobs or async functions.
            timeout: For each wait, from when its job enters the hub.
            **options: Those of `wait`, for each wait, and:

                - until: Iterate to the end ("all"), or to the "first_success" or "first_failure".
                - max_pending: The most jobs that have entered and whose outcomes have not been yielded, or None.

        Raises:
            TypeError: An argument has a wrong type or an unknown name.
            ValueError: An argument is out of range, or a list holds the same job object twice.
            ClientClosed: The hub is not open, or belongs to another event loop or process.
        """
        return self._run("Hub.as_completed", jobs, timeout, options)

    async def wait_all(
        self, jobs: Jobs[T], *, timeout: float | Timeout | None, **options: Unpack[RunOptions]
    ) -> list[Outcome[T]]:
        """Wait for all of *jobs*, and return their outcomes in the order in which they were given.

        With `until="first_success"` or `"first_failure"` it returns at the first such outcome. A job whose wait is
        then stopped has an outcome with neither a snapshot nor an error.

        Args:
            jobs: A list, an iterable or an async iterable of jobs or async functions.
            timeout: For each wait.
            **options: Those of `as_completed`.
        """
        check_options("Hub.wait_all", options, RunOptions)
        check_jobs("Hub.wait_all", jobs)
        given = [job async for job in aiter_any(jobs)]
        async with self._run("Hub.wait_all", given, timeout, options) as outcomes:
            ended = {id(outcome.job): outcome async for outcome in outcomes}
        return [ended.get(id(job)) or Outcome(job, None) for job in given]

    def run(
        self,
        jobs: Jobs[Any],
        *,
        ledger: RunMemory[R_co],
        timeout: float | Timeout | None,
        **options: Unpack[RunOptions],
    ) -> R_co:
        """Return a run of *jobs* that another process can resume; `asyncpoll.ledger.Ledger.run` says more.

        Args:
            jobs: Jobs, as for `as_completed`; one that has an outcome in the ledger is not polled again.
            ledger: An open `asyncpoll.ledger.Ledger`, which remembers the run.
            timeout: For each wait, time in earlier processes included.
            **options: Those of `as_completed`.
        """
        check_options("Hub.run", options, RunOptions)
        return ledger.run(self, jobs, timeout=timeout, **options)

    def watch(
        self, job: Fetch[T], *, changes_only: bool = False, **options: Unpack[PollOptions]
    ) -> AsyncGenerator[Snapshot[T], None]:
        """Yield what the polls of a job see, up to and including the terminal snapshot; see `asyncpoll.watch`.

        Any number of viewers, and waits, share the polls of one job. A viewer sees at once what was last seen of the
        job. One that is slow sees the newest snapshot, and holds up no other. When the last one has left, and nothing
        else waits for the job, it is not polled any more. Close the generator (`contextlib.aclosing`), or cancel its
        task, to leave.

        Args:
            job: A `Job`, or any `async def () -> Snapshot`.
            changes_only: Yield only what differs from the snapshot before in state, kind, status or progress.
            **options: Those of `wait`.

        Raises:
            Draining: The hub is drained.
            TypeError: An argument has a wrong type or an unknown name. Otherwise as `wait`, without a deadline.
        """
        scheduler = self._open()
        check_options("Hub.watch", options, PollOptions)
        check_fetch("Hub.watch", job)
        snapshots = self._view(scheduler, job, self._policy("Hub.watch", None, options, job))
        return changes_of(snapshots) if changes_only else snapshots

    async def fetch(self, job: Fetch[T], *, max_age: float = 0.0) -> Snapshot[T]:
        """Return what a poll sees now, or what one has seen within the last *max_age* seconds.

        All who ask at the same time, and all who wait for the job, share one request. It keeps to the limits of the
        hub and of the lane, so it may have to wait for its turn; put it inside `asyncio.timeout` to bound that.

        Args:
            job: A `Job`, or any `async def () -> Snapshot`.
            max_age: The age, in seconds, up to which an earlier answer will do. Such an answer is kept by the hub for
                as long; there may be a thousand.

        Raises:
            TransportError: The poll failed; a miss, too, is raised.
            Draining: The hub is drained.
            ClientClosed: The hub is not open, or belongs to another event loop or process.
            ValueError: *max_age* is negative or not finite; `TypeError` if it is not a number.
        """
        scheduler = self._open()
        check_fetch("Hub.fetch", job)
        delay("Hub.fetch(): max_age", max_age)
        known = self._recent.get(job) or self._seen(scheduler.registry.last_of(job))
        if known is not None and known.age <= max_age and max_age:
            return known.snapshot
        recipient = Look()
        wait = scheduler.enter(job, _ONE_POLL, recipient, scheduler.now())
        scheduler.poll_now(wait)
        try:
            await recipient.end
        except WaitTimeout as error:
            if error.limit != "polls":
                raise
        finally:
            scheduler.leave(wait)
        if max_age:
            self._recent.put(job, wait.last, max_age)  # type: ignore[arg-type]  # its one poll saw something
        return wait.last  # type: ignore[return-value]  # likewise

    def peek(self, key: str) -> Seen | None:
        """Return what was last seen of the job with this key, and how long ago; no request is made.

        Returns:
            A named tuple `(snapshot, age)`, the age in seconds; None for a job that is neither awaited here nor was
            fetched within the `max_age` of that call. With more than a thousand waits, snapshots of unfinished jobs
            are without their payload.
        """
        scheduler = self._open()
        seen = [*map(self._seen, scheduler.registry.last_with_key(key)), *self._recent.with_key(key)]
        return min((one for one in seen if one is not None), key=lambda one: one.age, default=None)

    async def drain(self, grace: float = 0.0) -> None:
        """Begin no wait any more, and end those that are still open after *grace* seconds with `Draining`.

        A run raises it, and leaves its jobs unfinished. The hub stays open, to be closed as usual.

        Args:
            grace: Seconds in which open waits may end by themselves.

        Raises:
            ValueError: *grace* is negative or not finite; `TypeError` if it is not a number.
        """
        delay("Hub.drain(): grace", grace)
        await self._open().drain(grace)

    def time_left(self) -> float | None:
        """Return in how many seconds the jobs that are awaited should have ended, from how long such jobs took.

        It is the longest time, over these jobs, within which nine in ten of their kind end, but not past a deadline.

        Returns:
            0 if nothing is awaited; None if too few jobs of some kind have been seen, the schedule does not learn, or
            the hub has not been opened.
        """
        scheduler = self._scheduler
        return None if scheduler is None else time_left(scheduler.registry, scheduler.now())

    def nudge(self, key: str) -> bool:
        """Poll the job with this key now, because a webhook or a hunch says that it may be done.

        Returns:
            Whether the job is awaited here.
        """
        return self._open().nudge(key)

    async def _view(self, scheduler: Scheduler, job: Fetch[T], policy: Policy) -> AsyncGenerator[Snapshot[T], None]:
        seen = scheduler.registry.last_of(job)
        viewer = Viewer(None if seen is None else seen[0])
        wait = scheduler.enter(job, policy, viewer, scheduler.now())
        try:
            while (snapshot := await viewer.next()) is not None:
                yield snapshot
        finally:
            cancel = scheduler.leave(wait) or viewer.cancel
            if cancel is not None:
                await scheduler.cancels.settle([cancel])

    def _seen(self, seen: tuple[Snapshot[Any], float] | None) -> Seen | None:
        return None if seen is None else Seen(seen[0], self._open().now() - seen[1])

    async def _wait(
        self, caller: str, job: Fetch[T], timeout: float | Timeout | None, options: Mapping[str, Any]
    ) -> Snapshot[T]:
        scheduler = self._open()
        check_options(caller, options, PollOptions)
        check_fetch(caller, job)
        recipient = Caller()
        wait = scheduler.enter(job, self._policy(caller, timeout, options, job), recipient, scheduler.now())
        try:
            await recipient.end
        except BaseException:
            cancel = scheduler.leave(wait) or recipient.cancel
            if cancel is not None:
                await scheduler.cancels.settle([cancel])
            raise
        return wait.last  # type: ignore[return-value]  # it ended without an error, so with a terminal snapshot

    def _run(self, caller: str, jobs: Jobs[T], timeout: float | Timeout | None, options: Mapping[str, Any]) -> Run[T]:
        scheduler = self._open()
        check_options(caller, options, RunOptions)
        check_jobs(caller, jobs)
        run_options = {name: options[name] for name in ("until", "max_pending") if name in options}
        poll_options = {name: value for name, value in options.items() if name not in run_options}
        policy = self._policy(caller, timeout, poll_options)
        return Run(scheduler, policy, jobs, at_once=self._limits.concurrency, **run_options)

    def _set_limits(self, limits: HubLimits) -> None:
        self._limits = limits
        if self._scheduler is not None and not self._is_closed:
            self._scheduler.dispatcher.set_limits(limits)
            if isinstance(self.schedule, Learned) and not self._scheduler.dispatcher.has_rate:
                self.schedule.set_scarcity(0.0)  # the price goes on from where it was, once there is a rate again

    def _open(self) -> Scheduler:
        if self._scheduler is None:
            raise ClientClosed("the hub is not open; use it inside its block: async with Hub() as hub")
        self._scheduler.check()
        return self._scheduler

    def _policy(
        self, caller: str, timeout: float | Timeout | None, options: Mapping[str, Any], job: object = None
    ) -> Policy:
        chosen: dict[str, Any] = {"schedule": self.schedule, **options}
        return policy_of(caller, timeout, chosen, job=job, replans=True, parks=True, random=self._random)
