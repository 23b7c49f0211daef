"""The events of a poll and of the end of a wait, made from its decision."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from asyncpoll._errors import Throttled as ThrottledError
from asyncpoll._snapshot import Snapshot
from asyncpoll._state import State
from asyncpoll.events import Ended, Event, Missed, Polled, StateChanged, Throttled, UnknownWord
from asyncpoll.waiting._decision import Decision


def after_poll(
    decision: Decision, before: Snapshot[Any] | None, snapshot: Snapshot[Any], now: float
) -> Iterator[Event]:
    """Yield the events of a poll that saw *snapshot*, after one that saw *before*."""
    yield Polled(decision.key, snapshot, decision.polls, now - decision.began)
    if before is None or before.state is not snapshot.state:
        yield StateChanged(decision.key, None if before is None else before.state, snapshot.state)
    if snapshot.state is State.UNKNOWN:
        yield UnknownWord(decision.key, snapshot.status)


def after_miss(decision: Decision, error: Exception, now: float) -> Iterator[Event]:
    """Yield the events of a poll that failed with *error*."""
    yield Missed(decision.key, error, decision.polls, now - decision.began)
    if isinstance(error, ThrottledError):
        yield Throttled(decision.key, error.retry_after)


def at_end(decision: Decision, error: BaseException | None, now: float) -> Iterator[Event]:
    """Yield the event of a wait that is over, with *error* unless its last snapshot was terminal."""
    yield Ended(decision.key, decision.last, error, decision.polls, now - decision.began)
