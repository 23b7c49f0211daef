"""A fetch that replays what it was told to."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, Generic, TypeVar

from asyncpoll._snapshot import Snapshot
from asyncpoll._state import State

T = TypeVar("T")


class Script(Generic[T]):
    """An `async def () -> Snapshot` that gives one step after the other, and the last one for ever.

    Args:
        steps: Snapshots to return, exceptions to raise, or bare states that stand for a snapshot.
        latency: Seconds that every poll takes.

    Attributes:
        polled_at: When it was polled, on the event loop's clock.
    """

    def __init__(self, steps: Iterable[Snapshot[T] | State | BaseException], *, latency: float = 0.0) -> None:
        self._steps = list(steps)
        self._latency = latency
        self.polled_at: list[float] = []
        if not self._steps:
            raise ValueError("a script needs at least one step")

    @property
    def polls(self) -> int:
        """How often it was polled."""
        return len(self.polled_at)

    async def __call__(self) -> Snapshot[T]:
        """Return or raise the next step."""
        step: Any = self._steps[min(self.polls, len(self._steps) - 1)]
        self.polled_at.append(asyncio.get_running_loop().time())
        if self._latency:
            await asyncio.sleep(self._latency)
        if isinstance(step, BaseException):
            raise step
        return Snapshot(step, status=step.value) if isinstance(step, State) else step
