"""A run over many jobs: what is taken in, what comes out, and when it stops."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Iterable
from contextlib import aclosing
from types import TracebackType
from typing import Any, Generic, Literal, Protocol, Self, TypeVar, cast

from attrs import Factory, define, evolve, field, frozen

from asyncpoll._errors import WaitTimeout
from asyncpoll._snapshot import Snapshot
from asyncpoll._state import State
from asyncpoll.waiting._past import Past
from asyncpoll.waiting._policy import Policy
from asyncpoll.waiting._remote_cancel import OnAbandon, RemoteCancels, remote_cancel_of
from asyncpoll.waiting._wait import Fetch
from asyncpoll.waiting.scheduler.engine import Engine
from asyncpoll.waiting.scheduler.topics import Wait

T = TypeVar("T")

Jobs = Iterable[Fetch[T]] | AsyncIterable[Fetch[T]]
Until = Literal["all", "first_success", "first_failure"]

_BREATH = 256  # jobs that are taken in between two turns of the event loop, at most,
_LONG = 0.005  # and the seconds that it may take


@frozen(eq=False)
class Outcome(Generic[T]):
    """How the wait for one job ended.

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
    error: Exception | None = None
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
            Exception: `error`, when there is one.
            ValueError: The wait was stopped before the job was terminal.
        """
        if self.error is not None:
            raise self.error
        if self.snapshot is None:
            raise ValueError("the wait for this job was stopped before anything was seen of it")
        return self.snapshot.unwrap()


class Journal(Protocol):
    """What remembers a run beyond this process."""

    def past(self, job: Any, /) -> Past | None:
        """Return what an earlier process knew of the wait for *job*, which is about to be taken in."""
        ...

    def changed(self, job: Any, past: Past, /) -> None:
        """Take in that *job* is in another state, or that the run has been left before it came to its end."""
        ...


@define
class Intake:
    """How the jobs of a run come into its hub, and how they leave it.

    Attributes:
        engine: The hub's.
        policy: How each job is waited for.
        on_abandon: What happens to a remote job whose wait is given up.
        first_delay: Seconds before the first poll of each job.
        at_once: How many jobs are then polled at once.
        spread: Seconds over which the first polls of the others are spread, by *chance*.
        chance: Gives numbers from 0 up to 1.
        journal: What remembers the run, if anything does.
        cancels: The remote cancels of the jobs that were given up.
        taken: How many jobs have been taken in.
    """

    engine: Engine
    policy: Policy
    on_abandon: OnAbandon
    first_delay: float
    at_once: int
    spread: float
    chance: Callable[[], float]
    journal: Journal | None
    cancels: RemoteCancels = field(default=Factory(lambda self: RemoteCancels(self.at_once), True), init=False)
    taken: int = field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        self.policy = evolve(self.policy, scatter=self._scatter)

    def enter(self, job: Any, run: Run[Any], now: float) -> None:
        """Begin to wait for *job*."""
        remote_cancel_of(job, self.on_abandon)
        self.taken += 1
        aside = 0.0 if self.taken <= self.at_once else self.spread * self.chance()
        past = None if self.journal is None else self.journal.past(job)
        self.engine.enter(job, self.policy, run, now=now, first=self.first_delay + aside, past=past)

    def changed(self, wait: Wait, now: float) -> None:
        """Have it remembered how far a wait has come."""
        if self.journal is not None:
            self.journal.changed(wait.subject, wait.at_present(now))

    def abandon(self, job: Any) -> None:
        """Cancel the remote job, if that was asked for."""
        cancel = remote_cancel_of(job, self.on_abandon)
        if cancel is not None:
            self.cancels.add(cancel)

    def leave(self, run: Run[Any]) -> None:
        """End every wait of *run* that is left."""
        now = self.engine.now()
        for wait in self.engine.waits_of(run):
            self.changed(wait, now)
            self.engine.leave(wait)
            self.abandon(wait.subject)

    def _scatter(self) -> float:
        return self.chance() if self.taken > self.at_once else 0.0


class Run(Generic[T]):
    """Outcomes in the order in which they come: an async context manager that is an async iterator, too.

    Leaving the block ends the waits that are left, and leaves their jobs alone unless it was said otherwise. Once all
    outcomes that there are have been given out, iterating raises what the iterable of jobs raised, or the `Rejected`
    of a credential that is refused: the jobs that have no outcome then stay unfinished.
    """

    def __init__(self, intake: Intake, jobs: Jobs[T], *, until: Until, max_pending: int | None) -> None:
        if until not in ("all", "first_success", "first_failure"):
            raise ValueError(f"until must be 'all', 'first_success' or 'first_failure', not {until!r}")
        if max_pending is not None and max_pending < 1:
            raise ValueError(f"max_pending must be at least 1, or None for any number, not {max_pending}")
        if isinstance(jobs, list | tuple) and len({id(job) for job in jobs}) < len(jobs):
            raise ValueError("the same job object is in the list twice; make another one to wait for it twice")
        self._intake = intake
        self._jobs = jobs
        self._until = until
        self._most = math.inf if max_pending is None else max_pending
        self._pending = 0  # taken in, without an outcome yet
        self._outcomes: deque[Outcome[T]] = deque()
        self._refusal: Exception | None = None
        self._feeder: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._over = False

    async def __aenter__(self) -> Self:
        if self._feeder is not None:
            raise RuntimeError("a run is entered once; make another one")
        self._feeder = asyncio.create_task(self._feed())
        self._feeder.add_done_callback(lambda _: self._changed.set())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over = True
        feeder = cast("asyncio.Task[None]", self._feeder)
        feeder.cancel()
        if self._pending:
            self._intake.leave(self)
        try:
            await asyncio.gather(feeder, return_exceptions=True)  # whoever leaves early does not want its error
        finally:
            await self._intake.cancels.settle()

    def __aiter__(self) -> AsyncIterator[Outcome[T]]:
        return self

    async def __anext__(self) -> Outcome[T]:
        if self._feeder is None:
            raise RuntimeError("a run is iterated inside its block: async with hub.as_completed(...) as outcomes")
        while not self._over:
            if self._outcomes:
                return self._give_out()
            if self._refusal is not None:
                self._over = True
                raise self._refusal
            if self._feeder.done() and not self._pending:
                self._over = True
                self._feeder.result()
                break
            await self._change()
        raise StopAsyncIteration

    def changed(self, wait: Wait, now: float) -> None:
        """Take in that one of the jobs is in another state."""
        self._intake.changed(wait, now)

    def ended(self, wait: Wait, error: Exception | None, waited: float) -> None:
        """Take in how the wait for one of the jobs ended."""
        self._pending -= 1
        running = None if wait.running_at is None else wait.running_at - wait.began
        outcome = Outcome(wait.subject, wait.last, error, polls=wait.polls, waited=waited, running=running)
        self._outcomes.append(outcome)
        self._changed.set()
        if isinstance(error, WaitTimeout):
            self._intake.abandon(wait.subject)

    def condemned(self, error: Exception) -> None:
        """End the run with *error*; this job, and those that are left, stay unfinished."""
        self._pending -= 1
        self._refusal = error
        self._changed.set()
        cast("asyncio.Task[None]", self._feeder).cancel()

    def _give_out(self) -> Outcome[T]:
        outcome = self._outcomes.popleft()
        self._changed.set()  # there is room for the next job
        if self._until != "all" and outcome.succeeded == (self._until == "first_success"):
            self._over = True
        return outcome

    async def _feed(self) -> None:
        if isinstance(self._jobs, AsyncIterable):
            await self._feed_as_they_come(self._jobs)
            return
        time = asyncio.get_running_loop().time
        now, breath = self._intake.engine.now(), time() + _LONG
        for number, job in enumerate(self._jobs, 1):
            self._enter(job, now)
            if self._is_full or number % _BREATH == 0 or time() > breath:
                await self._room()
                now, breath = self._intake.engine.now(), time() + _LONG

    async def _feed_as_they_come(self, arriving: AsyncIterable[Fetch[T]]) -> None:
        async with aclosing(every(arriving)) as jobs:
            async for job in jobs:
                self._enter(job, self._intake.engine.now())
                if self._is_full or self._intake.taken % _BREATH == 0:
                    await self._room()

    def _enter(self, job: Fetch[T], now: float) -> None:
        if self._over:
            raise asyncio.CancelledError  # of which the source has taken no notice
        self._intake.enter(job, self, now)
        self._pending += 1

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


async def every(jobs: Jobs[T]) -> AsyncGenerator[Fetch[T], None]:
    """Yield what is in *jobs*, whichever kind of iterable it is; an async generator is closed at the end."""
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
