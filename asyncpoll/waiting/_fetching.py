"""The call of a fetch: how it begins, what a job may keep until the next one, and what becomes of its result."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from inspect import isawaitable
from typing import Any

from attrs import define, field

from asyncpoll._errors import PollError
from asyncpoll._snapshot import Snapshot

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
