"""What benchmarks of single polls have in common; it imports nothing that has to be installed."""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

KEY = "key.secret"
POLLS_PER_JOB = 5
CPU_PER_POLL = "CPU per poll in us"

SeeThrough = Callable[[Sequence[str]], Awaitable[object]]
"""Sees the tasks of these names through."""
Work = Callable[[str, int], AbstractAsyncContextManager[SeeThrough]]
"""Opened for the server with this base address, gives what sees tasks through, so many at a time."""


def path_of(name: str) -> str:
    """Return where a task of this name is asked about."""
    return f"/paas/v4/files/parser/result/{name}/text"


async def in_flight(count: int, names: Iterable[str], one: Callable[[str], Awaitable[object]]) -> None:
    """Run *one* for every name, *count* at a time."""
    left = iter(names)

    async def work() -> None:
        for name in left:
            await one(name)

    await asyncio.gather(*(work() for _ in range(count)))


@asynccontextmanager
async def cpu_slices(
    opened: AbstractAsyncContextManager[SeeThrough], jobs: int
) -> AsyncGenerator[Callable[[], Awaitable[dict[str, float]]], None]:
    """Give what sees so many new jobs through, and returns the CPU time of this process (all threads) per poll."""
    slices = itertools.count()
    async with opened as see_through:

        async def measure() -> dict[str, float]:
            prefix = f"task-{os.getpid()}-{next(slices)}"
            names = [f"{prefix}-{number}" for number in range(jobs)]
            before = time.process_time()
            await see_through(names)
            return {CPU_PER_POLL: (time.process_time() - before) / (jobs * POLLS_PER_JOB) * 1e6}

        yield measure


class AtOnce:
    """The schedule of a benchmark: no delay at all."""

    def delay(self, _progress: object, /) -> float:
        """Return nought."""
        return 0.0
