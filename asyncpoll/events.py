"""The events of waits: frozen values, made only for waits with `observe=`, or in a hub that has it.

Every event has these fields, which comparing two events leaves out:

- `wait`: a number that is unique in this process. The events of one wait have the same; in a hub a call has that of the
  oldest wait it was made for.
- `endpoint`: the name of the job's endpoint, or None when a bare coroutine function is awaited.

Each wait that is observed has a context (`contextvars`) of its own, a copy of its caller's. Its events are told in it,
and its polls run in copies of it. So a context variable that an observer sets is set in later events of this wait, and
in each fetch that is made for it, but not for the caller.

An observer that has an attribute `wants`, a set of types of events, is only called with those. Events that no observer
wants are not made, which saves most of the cost where `Polled` and `Called` are not wanted.

Times are in seconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, get_args

from attrs import field, frozen

from asyncpoll._errors import Draining, WaitTimeout
from asyncpoll._snapshot import Snapshot
from asyncpoll._state import State

__all__ = [
    "Began",
    "Called",
    "Ended",
    "Event",
    "Missed",
    "Observer",
    "Observers",
    "Polled",
    "StateChanged",
    "Throttled",
    "UnknownWord",
]


def outcome_of(snapshot: Snapshot[Any] | None, error: BaseException | None) -> str:
    """Return in one word how a wait ended, given what was last seen and the error, if any; see `Ended.outcome`."""
    if isinstance(error, asyncio.CancelledError | GeneratorExit | Draining):
        return "left"
    if error is not None or snapshot is None:
        return "deadline" if isinstance(error, WaitTimeout) else "error"
    return snapshot.state.value


@frozen(kw_only=True)
class _Event:
    wait: int = field(default=0, eq=False)
    endpoint: str | None = field(default=None, eq=False)


@frozen
class Began(_Event):
    """A wait began. `resumed` is what an earlier process made of it, or None; `origin` is `Job.origin`."""

    key: str | None
    resumed: object = None
    origin: Any = field(default=None, eq=False, kw_only=True)


@frozen
class Called(_Event):
    """A call was made, about one job or several, and it took so many `seconds`; `error` is None if it was answered.

    `key` is that of the job of the wait that it is reported for.
    """

    key: str | None
    jobs: int
    seconds: float
    error: BaseException | None = None


@frozen
class Polled(_Event):
    """A poll saw the job. `waited` counts from the start of the wait."""

    key: str | None
    snapshot: Snapshot[Any]
    polls: int
    waited: float


@frozen
class StateChanged(_Event):
    """The job is in another state than at the poll before; `before` is None at the first one."""

    key: str | None
    before: State | None
    after: State


@frozen
class UnknownWord(_Event):
    """The API said a status word that its vocabulary does not list."""

    key: str | None
    word: str


@frozen
class Missed(_Event):
    """A poll failed and saw nothing; the wait goes on."""

    key: str | None
    error: Exception
    polls: int
    waited: float


@frozen
class Throttled(_Event):
    """The server asked for fewer requests; `retry_after` is how long, where it said so."""

    key: str | None
    retry_after: float | None


@frozen
class Ended(_Event):
    """The wait is over: with a terminal snapshot, or with the error that ended it.

    `running` is when the job was last seen unfinished, from the start of the wait; None when it never was.
    """

    key: str | None
    snapshot: Snapshot[Any] | None
    error: BaseException | None
    polls: int
    waited: float
    running: float | None = field(default=None, eq=False, kw_only=True)

    @property
    def outcome(self) -> str:
        """Return how it ended, in one word.

        "success", "failed", "timeout" and "cancelled" are the state of the job; "deadline" is a limit of the wait,
        "left" that it was cancelled or that its hub is drained, "error" any other error.
        """
        return outcome_of(self.snapshot, self.error)


Event = Began | Called | Polled | StateChanged | UnknownWord | Missed | Throttled | Ended
EVENTS = frozenset(get_args(Event))
"""The types of all events."""

Observer = Callable[[Event], object]
Observers = Observer | Sequence[Observer] | None
"""What `observe=` takes: a plain function, several, or None."""
