"""Define `Script`, a fetch that replays a list of steps."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, Generic, TypeVar

from asyncpoll._snapshot import Snapshot
from asyncpoll._state import State

T = TypeVar("T")


class Script(Generic[T]):
    """An `async def () -> Snapshot` that replays one step per poll, and repeats the last one.

    Args:
        steps: Snapshots to return, states to return a snapshot of, or exceptions to raise. At least one.
        latency: The seconds that every poll takes.

    Attributes:
        polled_at: The times of all polls, by the clock of the event loop.
    """

    def __init__(self, steps: Iterable[Snapshot[T] | State | BaseException], *, latency: float = 0.0) -> None:
        self._steps = list(steps)
        self._latency = latency
        self.polled_at: list[float] = []
        if not self._steps:
            raise ValueError("a script needs at least one step; add a Snapshot, a State or an exception")

    @property
    def polls(self) -> int:
        """Return the number of polls so far."""
        return len(self.polled_at)

    async def __call__(self) -> Snapshot[T]:
        """Return the snapshot of the next step, or raise its exception."""
        step: Any = self._steps[min(self.polls, len(self._steps) - 1)]
        self.polled_at.append(asyncio.get_running_loop().time())
        if self._latency:
            await asyncio.sleep(self._latency)
        if isinstance(step, BaseException):
            raise step
        return Snapshot(step, status=step.value) if isinstance(step, State) else step
