"""Scripts and snapshots that the tests of a single wait share."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from asyncpoll._errors import WaitTimeout
from asyncpoll._schedule import Fixed
from asyncpoll._snapshot import Snapshot
from asyncpoll._state import State
from asyncpoll.testing import Script, run_virtual

PENDING: Snapshot[Any] = Snapshot(State.PENDING, "pending")
PROCESSING: Snapshot[Any] = Snapshot(State.PROCESSING, "processing")
DONE: Snapshot[Any] = Snapshot(State.SUCCESS, "done", value=42)
EVERY_SECOND = Fixed(1.0)


def play(*steps: Snapshot[Any] | State | BaseException, latency: float = 0.0) -> Script[Any]:
    """Return a script of these steps."""
    return Script(steps, latency=latency)


def failed(main: Coroutine[Any, Any, Any]) -> tuple[WaitTimeout, float]:
    """Run a wait that runs out of time; return its error, and when it came."""

    async def timed() -> tuple[WaitTimeout, float]:
        with pytest.raises(WaitTimeout) as caught:
            await main
        return caught.value, asyncio.get_running_loop().time()

    return run_virtual(timed())


def running(retry_after: float) -> Snapshot[Any]:
    """Return what a poll sees of a job that runs and gives a hint."""
    return Snapshot(State.PROCESSING, retry_after=retry_after)
