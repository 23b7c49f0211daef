"""The driver for one wait: a loop that sleeps in the caller's own task and leaves every decision to `Decision`."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import aclosing
from typing import Any, Generic, TypedDict, TypeVar, Unpack

from attrs import frozen

from asyncpoll import events
from asyncpoll._errors import WaitTimeout
from asyncpoll._schedule import Exponential, Schedule
from asyncpoll._snapshot import Snapshot
from asyncpoll.waiting import _emission
from asyncpoll.waiting._decision import Decision
from asyncpoll.waiting._policy import Hints, Policy
from asyncpoll.waiting._remote_cancel import OnAbandon, cancel_remotely, remote_cancel_of
from asyncpoll.waiting._timeout import Timeout, as_timeout
from asyncpoll.waiting.learning.lesson import learn_from, learn_of_end

T = TypeVar("T")
Fetch = Callable[[], Awaitable[Snapshot[T]]]
"""Any `async def () -> Snapshot[T]`; a `Job` is one too."""


class PollOptions(TypedDict, total=False):
    """The options that every wait takes, alone or in a hub; `wait_until_terminal` explains them."""

    schedule: Schedule
    first_delay: float
    max_polls: int | None
    max_misses: int | None
    not_found_grace: float
    stable_for: int
    hints: Hints


class WaitOptions(PollOptions, total=False):
    """The options that a wait of its own takes, too."""

    on_abandon: OnAbandon
    observe: events.Observer | None


async def wait_until_terminal(
    fetch: Fetch[T],
    *,
    timeout: float | Timeout | None,
    schedule: Schedule = Exponential(),
    first_delay: float = 0.0,
    max_polls: int | None = None,
    max_misses: int | None = None,
    not_found_grace: float = 0.0,
    stable_for: int = 1,
    hints: Hints = "at_least",
    on_abandon: OnAbandon = "leave",
    observe: events.Observer | None = None,
) -> Snapshot[T]:
    """Poll until the job is terminal, and return the terminal snapshot, of whatever kind it is.

    The first poll is made at once, the last one just before the deadline; a poll in flight is cut at the deadline.
    A poll that fails in passing is a miss: it saw nothing, and the next scheduled poll is its retry.

    Args:
        fetch: Any `async def () -> Snapshot`, or a `Job`.
        timeout: Seconds, three clocks as a `Timeout`, or None for no limit at all.
        schedule: When to ask next.
        first_delay: Seconds before the first poll.
        max_polls: Give up after so many polls.
        max_misses: Tolerate so many misses in a row and raise the next; None leaves it to the limits of each class.
        not_found_grace: Seconds from the start in which a 404 is a miss, for jobs that are not visible at once.
        stable_for: Believe a terminal answer once it has come so many times in a row.
        hints: What a server's hint does to the next poll: makes it no earlier, sets it, or nothing.
        on_abandon: Whether a local cancel or deadline also cancels the remote job, once, for at most 5 seconds.
        observe: Called with every event of `asyncpoll.events`.

    Raises:
        WaitTimeout: A limit passed; `.last` is what was last seen, `__cause__` the last miss if the last poll was one.
        TransportError: A poll failed in a way that asking again does not mend, or too often.
        UnknownStatus: A strict vocabulary met a word it does not list.
        ValueError: An argument is out of range; nothing was requested.
    """
    polls = _polls(
        fetch,
        timeout,
        schedule=schedule,
        first_delay=first_delay,
        max_polls=max_polls,
        max_misses=max_misses,
        not_found_grace=not_found_grace,
        stable_for=stable_for,
        hints=hints,
        on_abandon=on_abandon,
        observe=observe,
    )
    async with aclosing(polls):
        last = await anext(polls)
        async for snapshot in polls:  # it ends with a terminal snapshot, or by raising
            last = snapshot
    return last


def watch(
    fetch: Fetch[T], *, changes_only: bool = False, **options: Unpack[WaitOptions]
) -> AsyncGenerator[Snapshot[T], None]:
    """Yield what every poll sees, up to and including the terminal snapshot.

    There is no deadline: put the loop inside `asyncio.timeout`. To leave early, close the generator
    (`contextlib.aclosing`) or cancel the task.

    Args:
        fetch: Any `async def () -> Snapshot`, or a `Job`.
        changes_only: Yield only what differs from the snapshot before in state, status or progress.
        **options: Those of `wait_until_terminal`.

    Raises:
        ValueError: An argument is out of range; nothing was requested. While iterating: as `wait_until_terminal`.
    """
    polls = _polls(fetch, None, **options)
    return _changes(polls) if changes_only else polls


async def _changes(polls: AsyncGenerator[Snapshot[T], None]) -> AsyncGenerator[Snapshot[T], None]:
    seen: Any = None
    async with aclosing(polls):
        async for snapshot in polls:
            before, seen = seen, (snapshot.state, snapshot.status, snapshot.progress)
            if seen != before:
                yield snapshot


def _polls(
    fetch: Fetch[T],
    timeout: float | Timeout | None,
    *,
    first_delay: float = 0.0,
    on_abandon: OnAbandon = "leave",
    observe: events.Observer | None = None,
    **policy: Any,
) -> AsyncGenerator[Snapshot[T], None]:
    if not callable(fetch):
        raise TypeError(f"fetch must be an async function or a Job, not {type(fetch).__name__}; pass it uncalled")
    getattr(fetch, "key", None)  # a job that cannot be named must not be polled first and fail at its end
    if not 0 <= first_delay < math.inf:
        raise ValueError(f"first_delay must be a number of seconds, 0 or more, not {first_delay!r}")
    wait = _Wait(
        fetch, Policy(timeout=as_timeout(timeout), **policy), first_delay, remote_cancel_of(fetch, on_abandon), observe
    )
    return wait.polls()


_ABANDONED = (asyncio.CancelledError, GeneratorExit, WaitTimeout)


@frozen
class _Wait(Generic[T]):
    fetch: Fetch[T]
    policy: Policy
    first_delay: float
    remote_cancel: Callable[[], Awaitable[object]] | None
    observe: events.Observer | None

    async def polls(self) -> AsyncGenerator[Snapshot[T], None]:
        """Poll, decide, sleep: the loop."""
        now = asyncio.get_running_loop().time
        decision = Decision(self.policy, now(), subject=self.fetch)
        over = False
        try:
            due = decision.first_poll(decision.began, self.first_delay)
            while not over:
                await asyncio.sleep(max(0.0, due - now()))
                before, snapshot = decision.last, await self._poll(decision, now)
                seen_at = now()
                if snapshot is not None:
                    learn_from(decision, snapshot, seen_at)
                    over = decision.saw(snapshot, seen_at)
                    self._tell(_emission.after_poll(decision, before, snapshot, seen_at))
                    yield snapshot
                due = seen_at if over else decision.next_poll(seen_at)
        except BaseException as error:
            self._tell(_emission.at_end(decision, None if over else error, now()))
            if isinstance(error, WaitTimeout):
                learn_of_end(decision, now())
            if self.remote_cancel and not over and isinstance(error, _ABANDONED):
                await cancel_remotely(self.remote_cancel)
            raise
        self._tell(_emission.at_end(decision, None, now()))

    async def _poll(self, decision: Decision, now: Callable[[], float]) -> Snapshot[T] | None:
        """Return what one poll sees, or None for a miss; cut it at the deadline."""
        cut = asyncio.timeout_at(None if decision.deadline == math.inf else decision.deadline)
        try:
            async with cut:
                return await self.fetch()
        except Exception as error:  # noqa: BLE001  the decision raises it again unless it is a miss
            failure = error
        if cut.expired():
            raise decision.cut(now())
        decision.missed(failure, now())
        self._tell(_emission.after_miss(decision, failure, now()))
        return None

    def _tell(self, happened: Iterable[events.Event]) -> None:
        if self.observe is not None:
            for event in happened:
                events.tell(self.observe, event)
