"""What happens to the remote job when its wait is given up: nothing, or one bounded attempt to cancel it."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Literal

OnAbandon = Literal["leave", "cancel"]

CANCEL_PATIENCE = 5.0
"""Seconds that a remote cancel may take."""

UNWINDING = 0.5
"""Seconds that one cut short may take to come to its end."""

_log = logging.getLogger(__name__)


def remote_cancel_of(fetch: object, on_abandon: OnAbandon) -> Callable[[], Awaitable[object]] | None:
    """Return what cancels the remote job when a wait on *fetch* is given up, or None to leave the job alone.

    Raises:
        ValueError: The job is to be cancelled, but there is no way to.
    """
    if on_abandon == "leave":
        return None
    if on_abandon != "cancel":  # pyright: ignore[reportUnnecessaryComparison]  what an unchecked caller may pass
        raise ValueError(f"on_abandon must be 'leave' or 'cancel', not {on_abandon!r}")
    cancel: Callable[[], Awaitable[object]] | None = getattr(fetch, "cancel", None)
    if cancel is None or not getattr(fetch, "can_cancel", True):
        raise ValueError("on_abandon='cancel' needs a job whose API can cancel; wait with on_abandon='leave'")
    return cancel


async def cancel_remotely(cancel: Callable[[], Awaitable[object]]) -> None:
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


async def _try(cancel: Callable[[], Awaitable[object]]) -> None:
    try:
        await cancel()
    except Exception as error:  # noqa: BLE001  whatever it is, the reason why the wait ended goes before it
        _log.warning("the remote cancel failed: %s", error)


class RemoteCancels:
    """The remote cancels of many jobs, so many at a time.

    Args:
        most: The most at a time.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._waiting: deque[Callable[[], Awaitable[object]]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, cancel: Callable[[], Awaitable[object]]) -> None:
        """Have *cancel* tried once, soon."""
        self._waiting.append(cancel)
        if len(self._tasks) < self._most:
            task = asyncio.create_task(self._work())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def settle(self) -> None:
        """Wait until all have been tried, but no longer than one may take; the rest is given up."""
        tasks = set(self._tasks)
        if not tasks:
            return
        try:
            await asyncio.wait(tasks, timeout=CANCEL_PATIENCE + UNWINDING)
        finally:
            if self._waiting:
                _log.warning("%d jobs were not cancelled remotely: there was no time left", len(self._waiting))
            self._waiting.clear()
            for task in tasks:
                task.cancel()
        await asyncio.wait(tasks)

    async def _work(self) -> None:
        while self._waiting:
            await cancel_remotely(self._waiting.popleft())
