"""Many waits at once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from asyncpoll.endpoint import Job
from asyncpoll.errors import PollError
from asyncpoll.schedule import Schedule
from asyncpoll.waiting.events import Observer


async def run_all(jobs: Iterable[Job[Any]], *, timeout: float, schedule: Schedule, observe: Observer) -> None:
    """Wait for every job; how each wait goes, and how it ends, is told to the observer.

    Args:
        jobs: The jobs.
        timeout: Seconds that each of them has.
        schedule: When to poll.
        observe: Called with every event of every wait; the last one of each is its `Ended`.
    """

    async def wait(job: Job[Any]) -> None:
        with suppress(PollError):  # its `Ended` says so
            await job.wait(timeout=timeout, schedule=schedule, observe=observe)

    async with asyncio.TaskGroup() as group:
        for job in jobs:
            group.create_task(wait(job))
