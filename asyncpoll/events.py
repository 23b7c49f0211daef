"""The events of waits: frozen values, made only for waits with `observe=`, or in a hub that has it.

Every event has a `key`: that of the job, or None when a bare coroutine function is awaited.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import frozen

from asyncpoll._snapshot import Snapshot
from asyncpoll._state import State

__all__ = ["Ended", "Event", "Missed", "Observer", "Polled", "StateChanged", "Throttled", "UnknownWord"]


@frozen
class Polled:
    """A poll saw the job. `waited` is in seconds from the start of the wait."""

    key: str | None
    snapshot: Snapshot[Any]
    polls: int
    waited: float


@frozen
class StateChanged:
    """The job is in another state than at the poll before; `before` is None at the first one."""

    key: str | None
    before: State | None
    after: State


@frozen
class UnknownWord:
    """The API said a status word that its vocabulary does not list."""

    key: str | None
    word: str


@frozen
class Missed:
    """A poll failed and saw nothing; the wait goes on."""

    key: str | None
    error: Exception
    polls: int
    waited: float


@frozen
class Throttled:
    """The server asked for fewer requests; `retry_after` is in seconds, where it said how long."""

    key: str | None
    retry_after: float | None


@frozen
class Ended:
    """The wait is over: with a terminal snapshot, or with the error that ended it."""

    key: str | None
    snapshot: Snapshot[Any] | None
    error: BaseException | None
    polls: int
    waited: float


Event = Polled | StateChanged | UnknownWord | Missed | Throttled | Ended
Observer = Callable[[Event], object]
