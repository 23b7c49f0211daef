"""A run over many jobs: what is taken in, what comes out, and when it stops."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from types import TracebackType
from typing import Any, Generic, Literal, Self, TypeVar

from attrs import field, frozen

from asyncpoll.errors import WaitTimeout
from asyncpoll.waiting.abandon import OnAbandon, cancel_remotely, remote_cancel_of
from asyncpoll.waiting.decision import Policy
from asyncpoll.waiting.engine import Engine
from asyncpoll.waiting.snapshot import Snapshot
from asyncpoll.waiting.state import State
from asyncpoll.waiting.topics import Wait

T = TypeVar("T")

Jobs = Iterable[Any] | AsyncIterable[Any]
Until = Literal["all", "first_success", "first_failure"]

_BREATH = 256  # jobs taken in between two looks at the event loop


@frozen(eq=False)
class Outcome(Generic[T]):
    """How the wait for one job ended.

    Attributes:
        job: The job, the very object that was given.
        snapshot: What was last seen; terminal unless there is an error or the wait was stopped.
        error: Why there is no terminal snapshot, such as a `WaitTimeout`, or None.
        polls: How many polls were made for it.
        waited: Seconds from the start of its wait.
    """

    job: Any
    snapshot: Snapshot[T] | None
    error: Exception | None = None
    polls: int = field(default=0, kw_only=True)
    waited: float = field(default=0.0, kw_only=True)

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


@frozen
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
    """

    engine: Engine
    policy: Policy
    on_abandon: OnAbandon
    first_delay: float
    at_once: int
    spread: float
    chance: Callable[[], float]
    _cancels: set[asyncio.Task[None]] = field(factory=set, init=False)

    def enter(self, job: Any, run: Run[Any], number: int) -> None:
        """Begin to wait for *job*, the *number*-th of its run, counted from 0."""
        remote_cancel_of(job, self.on_abandon)
        aside = 0.0 if number < self.at_once else self.spread * self.chance()
        self.engine.enter(job, self.policy, run, first=self.first_delay + aside)

    def abandon(self, job: Any) -> None:
        """Cancel the remote job, if that was asked for; `leave` waits for it."""
        cancel = remote_cancel_of(job, self.on_abandon)
        if cancel is not None:
            task = asyncio.create_task(cancel_remotely(cancel))
            self._cancels.add(task)
            task.add_done_callback(self._cancels.discard)

    async def leave(self, run: Run[Any]) -> None:
        """End every wait of *run* that is left."""
        for wait in [wait for wait in self.engine.waits() if wait.sink is run]:
            self.engine.leave(wait)
            self.abandon(wait.subject)
        if self._cancels:
            await asyncio.wait(set(self._cancels))


class Run(Generic[T]):
    """Outcomes in the order in which they come: an async context manager that is an async iterator, too.

    Leaving the block ends the waits that are left, and leaves their jobs alone unless it was said otherwise. While
    iterating it raises what the iterable of jobs raised, once all that was taken in before has come out, and the
    `Rejected` of a credential that is refused, at once: the jobs that have no outcome then stay unfinished.
    """

    def __init__(self, intake: Intake, jobs: Jobs, *, until: Until, max_pending: int | None) -> None:
        if until not in ("all", "first_success", "first_failure"):
            raise ValueError(f"until must be 'all', 'first_success' or 'first_failure', not {until!r}")
        if max_pending is not None and max_pending < 1:
            raise ValueError(f"max_pending must be at least 1, or None for any number, not {max_pending}")
        if isinstance(jobs, list | tuple) and len({id(job) for job in jobs}) < len(jobs):
            raise ValueError("the same job object is in the list twice; make another one to wait for it twice")
        self._intake = intake
        self._jobs = jobs
        self._until = until
        self._most = max_pending
        self._held = 0  # taken in and not given out yet
        self._outcomes: deque[Outcome[T]] = deque()
        self._failure: Exception | None = None
        self._feeder: asyncio.Task[None]
        self._entered = False
        self._changed = asyncio.Event()
        self._over = False

    async def __aenter__(self) -> Self:
        if self._entered:
            raise RuntimeError("a run is entered once; make another one")
        self._entered = True
        self._feeder = asyncio.create_task(self._feed())
        self._feeder.add_done_callback(lambda _: self._changed.set())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over = True
        self._feeder.cancel()
        await asyncio.gather(self._feeder, return_exceptions=True)  # whoever leaves early does not want its error
        await self._intake.leave(self)

    def __aiter__(self) -> AsyncIterator[Outcome[T]]:
        return self

    async def __anext__(self) -> Outcome[T]:
        if not self._entered:
            raise RuntimeError("a run is iterated inside its block: async with hub.as_completed(...) as outcomes")
        while not self._over:
            if self._failure is not None:
                self._over = True
                raise self._failure
            if self._outcomes:
                return self._give_out()
            if self._feeder.done() and not self._held:
                self._over = True
                self._feeder.result()
                break
            self._changed.clear()
            await self._changed.wait()
        raise StopAsyncIteration

    def ended(self, wait: Wait, error: Exception | None, waited: float) -> None:
        """Take in how the wait for one of the jobs ended."""
        self._outcomes.append(Outcome(wait.subject, wait.last, error, polls=wait.polls, waited=waited))
        self._changed.set()
        if isinstance(error, WaitTimeout):
            self._intake.abandon(wait.subject)

    def condemned(self, error: Exception) -> None:
        """End the iteration with *error*; the jobs that are left stay unfinished."""
        self._failure = error
        self._changed.set()

    def _give_out(self) -> Outcome[T]:
        outcome = self._outcomes.popleft()
        self._held -= 1
        self._changed.set()  # there is room for the next job
        if self._until != "all" and outcome.succeeded == (self._until == "first_success"):
            self._over = True
        return outcome

    async def _feed(self) -> None:
        number = 0
        async for job in every(self._jobs):
            while self._most is not None and self._held >= self._most:
                self._changed.clear()
                await self._changed.wait()
            self._intake.enter(job, self, number)
            self._held += 1
            number += 1
            if number % _BREATH == 0:
                await asyncio.sleep(0)


async def every(jobs: Jobs) -> AsyncIterator[Any]:
    """Yield what is in *jobs*, whichever kind of iterable it is."""
    if isinstance(jobs, AsyncIterable):
        async for job in jobs:
            yield job
    else:
        for job in jobs:
            yield job
