"""The driver for one wait: a loop in the caller's own task that sleeps and polls; `Decision` decides."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator, Mapping
from contextlib import aclosing
from contextvars import Context, copy_context
from functools import partial
from types import coroutine
from typing import Any, Generic, TypeVar, Unpack

from asyncpoll._errors import WaitTimeout
from asyncpoll._snapshot import Snapshot
from asyncpoll._timeout import Timeout
from asyncpoll.waiting._decision import OVERSLEPT, Decision
from asyncpoll.waiting._emission import WaitEvents, observers_of, often_wanted
from asyncpoll.waiting._job_calls import (
    Result,
    as_outcome,
    as_result,
    awaitable_of,
    begin_fetch,
    cancel_remotely,
    remote_cancel_of,
)
from asyncpoll.waiting._policy import WaitOptions, check_options, policy_of

T = TypeVar("T")
Fetch = Callable[[], Awaitable[Snapshot[T]]]
"""Any `async def () -> Snapshot[T]`; a `Job` is one too."""

_ABANDONED = (asyncio.CancelledError, GeneratorExit, WaitTimeout)


async def wait_until_terminal(
    fetch: Fetch[T], *, timeout: float | Timeout | None, **options: Unpack[WaitOptions]
) -> Snapshot[T]:
    """Poll until the job is terminal, and return the terminal snapshot, of whatever kind it is.

    The first poll is made at once, the last one just before the deadline; a poll in flight is cut at the deadline.
    A poll that fails in passing is a miss: it saw nothing, and the next scheduled poll is its retry.

    Args:
        fetch: Any `async def () -> Snapshot`, or a `Job`.
        timeout: Seconds, three clocks as a `Timeout`, or None for no limit at all.
        **options: Any of these:

            - schedule: When to poll next; by default `Exponential()`.
            - first_delay: Seconds before the first poll.
            - max_polls: Give up after so many polls.
            - max_misses: Tolerate so many misses in a row and raise the next; None, the default, leaves it to the
              limits of each kind.
            - miss_on: Further errors that are misses: exception types, or a predicate. Misses in any case are passing
              `TransportError`s, `OSError`s, and the errors by which aiohttp, httpx and requests say that there was no
              answer.
            - not_found_grace: Seconds from the start in which a 404 is a miss, for jobs that are not visible at once.
            - stable_for: Believe a terminal answer once it has come so many times in a row.
            - hints: The effect of a server's hint on the next poll: "at_least" (the default) makes it no earlier,
              "exactly" sets it, "ignore" does nothing.
            - on_abandon: "cancel" also cancels the remote job, once, for at most 5 seconds, when the wait is cancelled
              or times out; "leave", the default, does not.
            - observe: A plain function, or several, called with every event of `asyncpoll.events`.

    Raises:
        WaitTimeout: A limit passed; `.last` is what was last seen, `__cause__` the last miss if the last poll was one.
        TransportError: A poll failed in a way that asking again does not mend, or too often.
        UnknownStatus: A strict vocabulary met a word it does not list.
        TypeError: An argument has a wrong type or an unknown name; nothing was requested. Or *fetch* returned
            something that is not a `Snapshot`.
        ValueError: An argument is out of range; nothing was requested.
    """
    return await single_wait("wait_until_terminal", fetch, timeout, options)


def watch(
    fetch: Fetch[T], *, changes_only: bool = False, **options: Unpack[WaitOptions]
) -> AsyncGenerator[Snapshot[T], None]:
    """Yield the snapshot of every poll, up to and including the terminal one.

    There is no deadline: put the loop inside `asyncio.timeout`. To leave early, close the generator
    (`contextlib.aclosing`) or cancel the task.

    Args:
        fetch: Any `async def () -> Snapshot`, or a `Job`.
        changes_only: Yield only what differs from the snapshot before in state, kind, status or progress.
        **options: Those of `wait_until_terminal`.

    Raises:
        TypeError: An argument has a wrong type or an unknown name; nothing was requested.
        ValueError: An argument is out of range; nothing was requested. While iterating: as `wait_until_terminal`.
    """
    return single_watch("watch", fetch, options, changes_only=changes_only)


async def single_wait(
    caller: str, fetch: Fetch[T], timeout: float | Timeout | None, options: Mapping[str, Any]
) -> Snapshot[T]:
    """Do what `wait_until_terminal` does, for the public function *caller*."""
    return await _SingleWait(caller, fetch, timeout, options).run()


def single_watch(
    caller: str, fetch: Fetch[T], options: Mapping[str, Any], *, changes_only: bool
) -> AsyncGenerator[Snapshot[T], None]:
    """Do what `watch` does, for the public function *caller*."""
    snapshots = _SingleWait(caller, fetch, None, options).snapshots()
    return changes_of(snapshots) if changes_only else snapshots


async def changes_of(snapshots: AsyncGenerator[Snapshot[T], None]) -> AsyncGenerator[Snapshot[T], None]:
    """Yield only what differs from the snapshot before in state, kind, status or progress."""
    seen: Any = None
    async with aclosing(snapshots):
        async for snapshot in snapshots:
            before, seen = seen, (snapshot.state, snapshot.kind, snapshot.status, snapshot.progress)
            if seen != before:
                yield snapshot


def check_fetch(caller: str, fetch: object) -> None:
    """Check that *fetch* can be polled.

    Raises:
        TypeError: It is neither a job nor a function.
    """
    if not callable(fetch):
        kind = type(fetch).__name__
        raise TypeError(f"{caller}(): fetch must be an async function or a Job, not {kind}; pass it uncalled")
    getattr(fetch, "key", None)  # a job whose key cannot be made must not be polled first and fail at its end


class _SingleWait(Generic[T]):
    """One wait: `run` to its end, or iterate over its `snapshots`."""

    def __init__(
        self, caller: str, fetch: Fetch[T], timeout: float | Timeout | None, options: Mapping[str, Any]
    ) -> None:
        check_options(caller, options, WaitOptions)
        check_fetch(caller, fetch)
        options = dict(options)
        self._observers = observers_of(caller, options.pop("observe", None))
        self._fetch = fetch
        self._poll_for = getattr(type(fetch), "poll_for", None)
        self._policy = policy_of(caller, timeout, options, job=fetch)
        self._events: WaitEvents | None = None
        self._remote_cancel = remote_cancel_of(fetch, self._policy.on_abandon)
        self._in_flight = False
        self._over = False

    async def run(self) -> Snapshot[T]:
        """Poll until the wait is over, and return the terminal snapshot."""
        decision = self._begin()
        limit = asyncio.timeout_at(_when(decision.deadline))
        try:
            async with limit:
                while not self._over:
                    await self._step()
                    if self._policy.timeout.has_phases:
                        limit.reschedule(_when(decision.deadline))
        except BaseException as error:
            if not (limit.expired() and type(error) is TimeoutError):
                await self._abandoned(error)
                raise
            now = self._now()
            timeout = decision.cut(now) if self._in_flight else decision.timed_out(now)
            await self._abandoned(timeout)
            raise timeout from timeout.__cause__
        self._end(None)
        return decision.last  # type: ignore[return-value]  # it ended without an error, so with a terminal snapshot

    async def snapshots(self) -> AsyncGenerator[Snapshot[T], None]:
        """Yield the snapshot of each poll until the wait is over."""
        self._begin()
        try:
            while not self._over:
                snapshot = await self._step()
                if snapshot is not None:
                    yield snapshot
        except BaseException as error:
            await self._abandoned(error)
            raise
        self._end(None)

    def _begin(self) -> Decision:
        self._now = asyncio.get_running_loop().time
        self._decision = decision = Decision(self._policy, self._now(), subject=self._fetch)
        self._polled_at = decision.began
        self._due = decision.first_poll(decision.began)
        if self._observers:
            self._events = WaitEvents(decision, self._observers, often_wanted(self._observers), copy_context())
            self._events.tell_beginning()
        return decision

    async def _step(self) -> Snapshot[T] | None:
        """Sleep until the next poll is due, and make it; return what it saw, or None for a miss."""
        await self._sleep()
        result: Result
        task: asyncio.Task[Any] = asyncio.current_task()  # type: ignore[assignment]  # this coroutine runs in a task
        cancelling, called_at = task.cancelling(), self._now()
        self._in_flight = True
        try:
            if self._events is None:
                poll_for = self._poll_for  # as in `begin_fetch`, which every poll would have to enter
                fetched: Any = self._fetch() if poll_for is None else poll_for(self._fetch, self._decision)
                awaitable = fetched if poll_for or hasattr(fetched, "__await__") else awaitable_of(fetched)
                result = as_result(await awaitable)
            else:
                result = as_result(await _call_in(self._events.context.copy(), self._fetch, self._decision))
        except BaseException as error:
            if isinstance(error, asyncio.CancelledError | GeneratorExit):
                raise
            if task.cancelling() > cancelling:  # whatever the fetch has made of that
                raise asyncio.CancelledError from error
            result = as_outcome(error)
        self._in_flight = False
        decision, now = self._decision, self._now()
        if self._events is not None and not getattr(self._fetch, "submitted", None):  # else there was no request
            failure = result if isinstance(result, BaseException) else None
            self._events.tell_calls(1, now - called_at, failure, decision.memory)
        verdict = decision.apply(result, now)
        self._polled_at, self._due = now, verdict.due
        if self._events is not None:
            self._events.tell_poll(result, verdict, now)
        if verdict.error is not None:
            raise verdict.error
        self._over = verdict.over
        return result if isinstance(result, Snapshot) else None

    async def _sleep(self) -> None:
        remaining = self._due - self._now()
        await asyncio.sleep(max(0.0, remaining))
        now = self._now()
        if now - self._due > OVERSLEPT and remaining > 0:  # as other waits have, perhaps: they must not poll together
            again = self._decision.late_poll(now, self._due - self._polled_at)
            await asyncio.sleep(again - now)

    async def _abandoned(self, error: BaseException) -> None:
        """Record that *error* ended the wait; cancel the remote job if that was asked for."""
        self._end(None if self._over else error)  # once over, it is the consumer of the last snapshot that raised
        if self._remote_cancel and not self._over and isinstance(error, _ABANDONED):
            await cancel_remotely(self._remote_cancel)

    def _end(self, error: BaseException | None) -> None:
        if self._events is not None:
            self._events.tell_end(error, self._now())


async def _call_in(context: Context, fetch: Fetch[T], wait: Decision) -> Snapshot[T]:
    """Call *fetch* with the variables of *context*, as in a task of its own, but in this one."""
    return await _in_steps(context, _awaited(context.run(begin_fetch, fetch, wait)))


async def _awaited(fetched: Awaitable[T]) -> T:
    return await fetched


@coroutine
def _in_steps(context: Context, awaited: Coroutine[Any, Any, T]) -> Generator[Any, Any, T]:
    """Run every step of a coroutine, from one suspension to the next, in *context*."""
    step = partial(awaited.send, None)
    while True:
        try:
            suspended = context.run(step)
        except StopIteration as end:
            result: T = end.value
            return result
        try:
            yield suspended
        except BaseException as error:  # noqa: BLE001  a cancellation, or the end of the caller: the fetch's business
            step = partial(awaited.throw, error)
        else:
            step = partial(awaited.send, None)


def _when(deadline: float) -> float | None:
    return None if deadline == math.inf else deadline
