"""The calls that a wait makes of its job: a fetch, which may keep something until the next one, and a remote cancel.

A remote cancel is made when a wait is abandoned: at most one attempt, bounded in time.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection
from contextvars import Context
from inspect import isawaitable
from typing import Any

from attrs import define, field

from asyncpoll._errors import PollError
from asyncpoll._snapshot import Snapshot
from asyncpoll.waiting._policy import OnAbandon

Result = Snapshot[Any] | BaseException
"""The result of a poll: what it saw, or the error that came instead."""


@define
class PollMemory:
    """What a job keeps from one poll of a wait to the next, if it needs anything; see `asyncpoll._conditional`.

    Attributes:
        calls: The seconds that each call of the newest poll took, without the last one.
        reply: The last good reply.
        asked: The request that can be asked again as a conditional one, or None.
        etag: The version of its answer.
        seen: What the answer said.
    """

    calls: list[float] = field(factory=list)
    reply: Any = None
    asked: Any = None
    etag: str = ""
    seen: Snapshot[Any] | None = None


def begin_fetch(subject: Any, wait: object) -> Awaitable[Any]:
    """Call a fetch for a wait, and return what is to be awaited. A job is told for which wait it is polled.

    Raises:
        TypeError: The fetch is a plain function.
    """
    poll_for = getattr(type(subject), "poll_for", None)
    fetched = subject() if poll_for is None else poll_for(subject, wait)
    return fetched if hasattr(fetched, "__await__") else awaitable_of(fetched)


def awaitable_of(fetched: Any) -> Awaitable[Any]:
    """Return what the call of a fetch returned and has no `__await__`, if it can be awaited: an old-style coroutine.

    Raises:
        TypeError: It cannot.
    """
    if isawaitable(fetched):
        return fetched
    raise TypeError(f"fetch must be declared with `async def`; it is a plain function and returned {fetched!r:.50}")


def as_result(value: Any) -> Result:
    """Return what a fetch returned, or a `TypeError` in place of what is not a snapshot."""
    return (
        value if isinstance(value, Snapshot) else TypeError(f"fetch must return a Snapshot, not {type(value).__name__}")
    )


def as_outcome(error: BaseException) -> BaseException:
    """Return *error* in a form that can be given to a caller who awaits it.

    The exceptions that end iterators and generators cannot be raised out of an `await`, and a cancellation from within
    would look like the caller's.
    """
    if isinstance(error, StopIteration | StopAsyncIteration | GeneratorExit):
        stand_in: Exception = RuntimeError(f"a fetch or a schedule raised {type(error).__name__}")
    elif isinstance(error, asyncio.CancelledError):
        stand_in = PollError("the poll was cancelled from within: something that the fetch awaits was cancelled")
    else:
        return error
    stand_in.__cause__ = error
    return stand_in


CANCEL_PATIENCE = 5.0
"""Seconds that a remote cancel may take."""

UNWINDING = 0.5
"""Seconds that one cut short may take to come to its end."""

Cancel = Callable[[], Awaitable[object]]
_log = logging.getLogger(__name__)


def remote_cancel_of(fetch: object, on_abandon: OnAbandon) -> Cancel | None:
    """Return the function that cancels the remote job when its wait is abandoned, or None to leave the job alone.

    Raises:
        ValueError: The job is to be cancelled, but its API cannot.
    """
    if on_abandon == "leave":
        return None
    cancel: Cancel | None = getattr(fetch, "cancel", None)
    if cancel is None or not getattr(fetch, "can_cancel", True):
        raise ValueError("on_abandon='cancel' needs a job whose API can cancel; wait with on_abandon='leave'")
    return cancel


async def cancel_remotely(cancel: Cancel) -> None:
    """Try *cancel* once, for at most `CANCEL_PATIENCE` seconds; its failure is logged, never raised."""
    attempt = asyncio.create_task(_try(cancel))
    try:
        await asyncio.wait({attempt}, timeout=CANCEL_PATIENCE)
    finally:
        attempt.cancel()  # does nothing to one that is done
    if not attempt.done():
        await asyncio.wait({attempt}, timeout=UNWINDING)
    if not attempt.done() or attempt.cancelled():
        _log.warning("the remote cancel took more than %g s; the job may go on", CANCEL_PATIENCE)


async def _try(cancel: Cancel) -> None:
    try:
        await cancel()
    except Exception as error:  # noqa: BLE001  whatever it is, the reason why the wait ended goes before it
        _log.warning("the remote cancel failed: %s", error)


class RemoteCancels:
    """The remote cancels of the jobs of a hub, a limited number at a time.

    Args:
        most: The most at a time.
    """

    def __init__(self, most: int) -> None:
        self._slots = asyncio.Semaphore(most)
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, cancel: Cancel, context: Context) -> asyncio.Task[None]:
        """Try *cancel* once, in *context*, as soon as there is a slot; return the task."""
        task = asyncio.get_running_loop().create_task(self._attempt(cancel), context=context)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def settle(self, tasks: Collection[asyncio.Task[None]] | None = None) -> None:
        """Wait until *tasks*, by default all, have been tried, but no longer than one may take; give up the rest."""
        left = set(self._tasks if tasks is None else tasks)
        if not left:
            return
        try:
            _, left = await asyncio.wait(left, timeout=CANCEL_PATIENCE + UNWINDING)
        finally:
            for task in left:
                task.cancel()
        if left:
            _log.warning("%d jobs were not cancelled remotely: there was no time left", len(left))
            await asyncio.wait(left)

    async def _attempt(self, cancel: Cancel) -> None:
        async with self._slots:
            await cancel_remotely(cancel)
