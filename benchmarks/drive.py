"""What the contestants of a benchmark over HTTP have in common; it imports nothing that has to be installed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence

KEY = "key.secret"

Work = Callable[[str, Sequence[str], int], Awaitable[None]]
"""Sees the tasks of these names through at the server with this base address, so many at a time."""


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
