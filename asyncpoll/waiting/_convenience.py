"""One run over many jobs, with a hub of its own."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TypeVar, Unpack

from asyncpoll import events
from asyncpoll.waiting._hub import Hub
from asyncpoll.waiting._options import RunOptions
from asyncpoll.waiting._run import Jobs, Outcome, Run
from asyncpoll.waiting._timeout import Timeout

T = TypeVar("T")


@asynccontextmanager
async def as_completed(
    jobs: Jobs[T],
    *,
    timeout: float | Timeout | None,
    concurrency: int = 100,
    rate: float | None = None,
    observe: events.Observer | None = None,
    **options: Unpack[RunOptions],
) -> AsyncGenerator[Run[T], None]:
    """Open a hub for one run, and give its outcomes in the order in which they come.

        async with as_completed(jobs, timeout=600) as outcomes:
            async for outcome in outcomes:
                ...

    Args:
        jobs: A list, an iterable or an async iterable of jobs or async functions.
        timeout: For each wait, from when its job is taken in.
        concurrency: The most polls in flight.
        rate: The most polls a second.
        observe: Called with every event of `asyncpoll.events`.
        **options: Those of `Hub.as_completed`.
    """
    async with (
        _hub(concurrency, rate, observe, options) as hub,
        hub.as_completed(jobs, timeout=timeout, **options) as outcomes,
    ):
        yield outcomes


async def wait_all(
    jobs: Jobs[T],
    *,
    timeout: float | Timeout | None,
    concurrency: int = 100,
    rate: float | None = None,
    observe: events.Observer | None = None,
    **options: Unpack[RunOptions],
) -> list[Outcome[T]]:
    """Wait for all of *jobs* in a hub of their own, and return their outcomes in the order in which they were given.

    Args:
        jobs: A list, an iterable or an async iterable of jobs or async functions.
        timeout: For each wait, from when its job is taken in.
        concurrency: The most polls in flight.
        rate: The most polls a second.
        observe: Called with every event of `asyncpoll.events`.
        **options: Those of `Hub.wait_all`.
    """
    async with _hub(concurrency, rate, observe, options) as hub:
        return await hub.wait_all(jobs, timeout=timeout, **options)


def _hub(concurrency: int, rate: float | None, observe: events.Observer | None, options: RunOptions) -> Hub:
    schedule = options.get("schedule")  # the hub's lanes go by it, too
    return Hub(concurrency=concurrency, rate=rate, schedule=schedule, observe=observe)
