"""What a schedule that learns is told: how long jobs were in the states that they have left."""

from __future__ import annotations

import logging
import math
from datetime import UTC, datetime
from typing import Any

from asyncpoll._schedule import Learning
from asyncpoll._snapshot import Snapshot
from asyncpoll._state import State
from asyncpoll.waiting._decision import Decision

_log = logging.getLogger(__name__)

_LASTING = frozenset({State.PENDING, State.PROCESSING})


def learn_from(wait: Decision, seen: object, now: float) -> None:
    """Tell the schedule of *wait* what a poll, which the wait has not taken in yet, says about durations.

    A job that was never seen unfinished says nothing: nobody knows when it began.
    """
    teacher, last = wait.learning, wait.last
    if teacher is None or last is None or not isinstance(seen, Snapshot) or seen.state is last.state:
        return
    if last.state in _LASTING and seen.state is not State.UNKNOWN and wait.running_at is not None:
        lo, hi = wait.running_at - wait.state_since, now - wait.state_since
        ended = hi - _seconds_ago(seen)
        if lo <= ended <= hi:  # else the server's clock is not ours
            lo = hi = ended
        _teach(teacher, wait, last.state, (lo, hi), now)


def learn_of_end(wait: Decision, now: float) -> None:
    """Tell the schedule that *wait* has been given up, with its job unfinished when it was last seen."""
    teacher, last = wait.learning, wait.last
    if teacher is not None and last is not None and last.state in _LASTING and wait.running_at is not None:
        _teach(teacher, wait, last.state, (wait.running_at - wait.state_since, math.inf), now)


def _teach(schedule: Learning, wait: Decision, state: State, ages: tuple[float, float], now: float) -> None:
    """Tell the schedule. What it raises is logged: failing to learn must not break the wait that is learned from."""
    try:
        schedule.observe(*ages, state=state.value, key=wait.pacing_key, during=(wait.state_since, now))
    except Exception:  # noqa: BLE001  whatever it is, it is the schedule's own
        _log.exception("the schedule %r failed to learn", schedule)


def _seconds_ago(seen: Snapshot[Any]) -> float:
    """Return how long ago the job ended; not a number where its server does not tell."""
    return math.nan if seen.ended_at is None else (datetime.now(UTC) - seen.ended_at).total_seconds()
