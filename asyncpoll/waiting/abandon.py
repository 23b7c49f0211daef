"""What happens to the remote job when its wait is given up: nothing, or one bounded attempt to cancel it."""

from __future__ import annotations

import asyncio
import logging
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
