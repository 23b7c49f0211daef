"""A run over many jobs: how they enter the hub, how their outcomes come out, and when it stops."""

from __future__ import annotations

import asyncio
import math
from collections import Counter, deque
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable, Sized
from contextlib import aclosing
from contextvars import copy_context
from types import TracebackType
from typing import Any, Generic, Literal, Protocol, Self, TypeVar, cast

from attrs import evolve, field, frozen

from asyncpoll._checks import one_of, whole
from asyncpoll._schedule import Progress
from asyncpoll._snapshot import Snapshot
from asyncpoll._state import State
from asyncpoll.events import outcome_of
from asyncpoll.waiting._decision import WaitCheckpoint
from asyncpoll.waiting._emission import Counters
from asyncpoll.waiting._policy import Pace, Policy, pace_of
from asyncpoll.waiting._wait import Fetch, check_fetch
from asyncpoll.waiting.scheduler._scheduler import Scheduler
from asyncpoll.waiting.scheduler._targets import Wait, time_left

T = TypeVar("T")

Jobs = Iterable[Fetch[T]] | AsyncIterable[Fetch[T]]
Until = Literal["all", "first_success", "first_failure"]

_YIELD_EVERY = 256  # jobs enter between two turns of the event loop, at most,
_YIELD_AFTER = 0.005  # and so many seconds may pass


@frozen(eq=False, weakref_slot=False)
class Outcome(Generic[T]):
    """The end of the wait for one job.

    Attributes:
        job: The job, the very object that was given.
        snapshot: What was last seen; terminal unless there is an error or the wait was stopped.
        error: Why there is no terminal snapshot, such as a `WaitTimeout`, or None.
        polls: How many polls were made for it.
        waited: Seconds from the start of its wait.
        running: Those after which it was last seen unfinished; None when it never was.
    """

    job: Any
    snapshot: Snapshot[T] | None
    error: BaseException | None = None
    polls: int = field(default=0, kw_only=True)
    waited: float = field(default=0.0, kw_only=True)
    running: float | None = field(default=None, kw_only=True)

    @property
    def succeeded(self) -> bool:
        """Whether the job is known to have succeeded."""
        return self.error is None and self.snapshot is not None and self.snapshot.state is State.SUCCESS

    def unwrap(self) -> T:
        """Return the result of a job that succeeded.

        Raises:
            JobError: The job did not succeed.
            BaseException: `error`, when there is one.
            ValueError: The wait was stopped before the job was terminal.
        """
        if self.error is not None:
            raise self.error
        if self.snapshot is None:
            raise ValueError("the wait for this job was stopped before anything was seen of it")
        return self.snapshot.unwrap()


class RunJournal(Protocol):
    """Remembers a run beyond this process."""

    def past(self, job: Any, /) -> WaitCheckpoint | None:
        """Return the progress that an earlier process made with *job*, whose wait is about to begin."""
        ...

    def changed(self, job: Any, checkpoint: WaitCheckpoint, /) -> None:
        """Record that *job* is in another state, or that the run has been left before the job's end."""
        ...


class Run(Generic[T]):
    """Outcomes in the order in which they come: an async context manager that is an async iterator, too.

    Leaving the block ends the waits that are left, and leaves their jobs alone unless it was said otherwise. Once all
    outcomes have been yielded, iterating raises what the iterable of jobs raised, or the `Rejected` of a credential
    that is refused: the jobs without an outcome then stay unfinished.

    Attributes:
        outcomes: How many waits ended in which way, as `asyncpoll.events.Ended.outcome` says.
    """

    watching = False
    counted = True

    def __init__(
        self,
        scheduler: Scheduler,
        policy: Policy,
        jobs: Jobs[T],
        *,
        at_once: int,
        until: Until = "all",
        max_pending: int | None = None,
    ) -> None:
        one_of("all", "first_success", "first_failure")("until", until)
        if max_pending is not None:
            whole(1)("max_pending", max_pending)
        if isinstance(jobs, list | tuple) and len({id(job) for job in jobs}) < len(jobs):
            raise ValueError("the same job object is in the list twice; make another one to wait for it twice")
        self.context = copy_context()
        self._scheduler = scheduler
        self._policy = evolve(policy, scatter=self._scatter)
        self._jobs = jobs
        self._at_once = at_once  # jobs polled at once; the first polls of the others are spread over one interval
        self._spread = _first_interval(policy)
        self._until = until
        self._most = math.inf if max_pending is None else max_pending
        self.outcomes = Counter[str]()
        self._entered = 0
        self._pending = 0  # entered, without an outcome yet
        self._outcomes: deque[Outcome[T]] = deque()
        self._by_pace: dict[Pace | None, Policy] = {None: self._policy}
        self._cancels: list[asyncio.Task[None]] = []
        self._refusal: Exception | None = None
        self._journal: RunJournal | None = None
        self._feeder: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._over = False

    @property
    def total(self) -> int | None:
        """How many jobs there are, or None while an iterable without a length has not come to its end."""
        if isinstance(self._jobs, Sized):
            return len(self._jobs)
        return self._entered if self._feeder is not None and self._feeder.done() else None

    @property
    def done(self) -> int:
        """How many jobs have an outcome."""
        return self.outcomes.total()

    @property
    def counters(self) -> Counters:
        """The counters of the hub."""
        return self._scheduler.counters

    def time_left(self) -> float | None:
        """Return in how many seconds the jobs that have entered should have ended; see `Hub.time_left`."""
        return time_left(self._scheduler.registry, self._scheduler.now())

    def remember_in(self, journal: RunJournal) -> None:
        """Have *journal* remember the run; to be called before it is entered."""
        self._journal = journal

    def pause(self) -> None:
        """Start no polls for jobs that only this run waits for, until `resume`. Deadlines hold meanwhile."""
        self._scheduler.dispatcher.pause(self)

    def resume(self) -> None:
        """Go on polling."""
        self._scheduler.dispatcher.resume(self)

    async def __aenter__(self) -> Self:
        if self._feeder is not None:
            raise RuntimeError("a run is entered once; make another one")
        self._feeder = asyncio.create_task(self._enter_all())
        self._feeder.add_done_callback(lambda _: self._changed.set())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over = True
        self.resume()
        feeder = cast("asyncio.Task[None]", self._feeder)
        feeder.cancel()
        for wait in self._scheduler.registry.waits_of(self) if self._pending else ():
            self.changed(wait, self._scheduler.now())
            cancel = self._scheduler.leave(wait)
            self._cancels += [] if cancel is None else [cancel]
        try:
            await asyncio.gather(feeder, return_exceptions=True)  # a caller who leaves early does not want its error
        finally:
            await self._scheduler.cancels.settle(self._cancels)

    def __aiter__(self) -> AsyncIterator[Outcome[T]]:
        return self

    async def __anext__(self) -> Outcome[T]:
        if self._feeder is None:
            raise RuntimeError("a run is iterated inside its block: async with hub.as_completed(...) as outcomes")
        while not self._over:
            if self._outcomes:
                return self._next_outcome()
            if self._refusal is not None:
                self._over = True
                raise self._refusal
            if self._feeder.done() and not self._pending:
                self._over = True
                self._feeder.result()
                break
            await self._change()
        raise StopAsyncIteration

    def saw(self, wait: Wait, snapshot: Snapshot[Any]) -> None:
        """Do nothing: a run is only interested in changes of state."""

    def changed(self, wait: Wait, now: float) -> None:
        """Have the progress of one of the waits remembered: its job is in another state."""
        if self._journal is not None:
            self._journal.changed(wait.subject, wait.checkpoint(now))

    def ended(self, wait: Wait, error: BaseException | None, waited: float, cancel: asyncio.Task[None] | None) -> None:
        """Queue the outcome of one of the waits."""
        self._pending -= 1
        if cancel is not None:
            self._cancels.append(cancel)
        running = None if wait.running_at is None else wait.running_at - wait.began
        self.outcomes[outcome_of(wait.last, error)] += 1
        self._outcomes.append(Outcome(wait.subject, wait.last, error, polls=wait.polls, waited=waited, running=running))
        self._changed.set()

    def refused(self, error: Exception) -> None:
        """End the run with *error*; this job, and those that are left, stay unfinished."""
        self._pending -= 1
        self._refusal = error
        self._changed.set()
        cast("asyncio.Task[None]", self._feeder).cancel()

    def _next_outcome(self) -> Outcome[T]:
        outcome = self._outcomes.popleft()
        self._changed.set()  # there is room for the next job
        if self._until != "all" and outcome.succeeded == (self._until == "first_success"):
            self._over = True
        return outcome

    async def _enter_all(self) -> None:
        if isinstance(self._jobs, AsyncIterable):
            async with aclosing(aiter_any(self._jobs)) as jobs:
                async for job in jobs:
                    self._enter(job, self._scheduler.now())
                    if self._is_full or self._entered % _YIELD_EVERY == 0:
                        await self._room()
            return
        time = asyncio.get_running_loop().time
        now, yield_at = self._scheduler.now(), time() + _YIELD_AFTER
        for number, job in enumerate(self._jobs, 1):
            self._enter(job, now)
            if self._is_full or number % _YIELD_EVERY == 0 or time() > yield_at:
                await self._room()
                now, yield_at = self._scheduler.now(), time() + _YIELD_AFTER

    def _enter(self, job: Fetch[T], now: float) -> None:
        """Begin to wait for *job*."""
        if self._over:
            raise asyncio.CancelledError  # which the source has ignored
        check_fetch("Hub.as_completed", job)
        extra = 0.0 if self._entered < self._at_once else self._spread * self._policy.random()
        past = None if self._journal is None else self._journal.past(job)
        self._entered += 1
        self._pending += 1
        try:
            self._scheduler.enter(job, self._policy_for(job), self, now, extra=extra, checkpoint=past)
        except BaseException:
            self._pending -= 1
            raise

    def _policy_for(self, job: Fetch[T]) -> Policy:
        pace = pace_of(job)
        if pace is not None and pace not in self._by_pace:
            self._by_pace[pace] = self._policy.at(pace)
        return self._by_pace[pace]

    def _scatter(self) -> float:
        return self._policy.random() if self._entered > self._at_once else 0.0

    @property
    def _is_full(self) -> bool:
        return self._pending + len(self._outcomes) >= self._most

    async def _room(self) -> None:
        """Let others have their turn, and wait until there is room for one more job."""
        await asyncio.sleep(0)
        while self._is_full:
            await self._change()

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()


def check_jobs(caller: str, jobs: object) -> None:
    """Check that *jobs* can be iterated over.

    Raises:
        TypeError: It cannot.
    """
    if not isinstance(jobs, Iterable | AsyncIterable):
        cure = "; pass a list, [job], also for a single one" if callable(jobs) else ""
        raise TypeError(
            f"{caller}(): jobs must be a list, an iterable or an async iterable of jobs, not {jobs!r:.100}{cure}"
        )


async def aiter_any(jobs: Jobs[T]) -> AsyncGenerator[Fetch[T], None]:
    """Yield the items of *jobs*, whichever kind of iterable it is; an async generator is closed at the end."""
    if isinstance(jobs, AsyncGenerator):
        async with aclosing(jobs):
            async for job in jobs:
                yield job
    elif isinstance(jobs, AsyncIterable):
        async for job in jobs:
            yield job
    else:
        for job in jobs:
            yield job


def _first_interval(policy: Policy) -> float:
    """Return the first interval of the schedule; 0 if that fails, since it will do so in each wait and end it."""
    try:
        interval = float(policy.schedule.delay(Progress(1, 0.0)))
    except BaseException:  # noqa: BLE001  a user's schedule may raise anything
        return 0.0
    return interval if 0 <= interval < math.inf else 0.0
