"""What a hub polls: one job for all who wait for it, or a group of jobs that can be asked about together."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Protocol

from asyncpoll.waiting.agenda import NEVER
from asyncpoll.waiting.decision import Decision, Policy


class Sink(Protocol):
    """Whom the end of a wait is told to."""

    def ended(self, wait: Wait, error: Exception | None, waited: float) -> None:
        """Take in that *wait* is over after *waited* seconds: with `wait.last` being terminal, or with *error*."""
        ...

    def condemned(self, error: Exception) -> None:
        """Take in that a wait is over because no job of its client can be asked about any more."""
        ...


class Wait(Decision):
    """One wait in a hub, and, as the first for its job, the topic that is polled for all of them.

    Attributes:
        due: When the job is to be polled next.
        queued: Whether it is due and has not started.
        sink: The `Sink` that is told how it ended; None once that is done.
        others: Further waits for the same job.
    """

    __slots__ = ("due", "others", "queued", "sink")

    subject: Any

    def __init__(self, policy: Policy, now: float, job: Any, sink: Sink) -> None:
        super().__init__(policy, now, subject=job)
        self.due = NEVER
        self.queued = False
        self.sink: Any = sink
        self.others: list[Wait] | None = None

    @property
    def lane(self) -> Hashable:
        """What it shares a lane with: its transport; all bare coroutine functions share one."""
        return id(getattr(self.subject, "transport", None))

    @property
    def waits(self) -> tuple[Wait, ...]:
        """Every wait for this job that is not over."""
        return tuple(wait for wait in (self, *(self.others or ())) if wait.sink is not None)

    @property
    def expires_at(self) -> float:
        """When the first of the waits runs out."""
        return self.deadline if self.others is None else min((wait.deadline for wait in self.waits), default=NEVER)


class Together:
    """Jobs that one call tells the state of. It keeps one rhythm for all of them.

    Attributes:
        due: When the call is to be made next.
        queued: Whether it is due and has not started.
        members: The first wait of each job, in the order in which they came.
        failures: Calls in a row that failed.
    """

    __slots__ = ("_lane", "due", "failures", "members", "queued")

    def __init__(self, lane: Hashable) -> None:
        self._lane = lane
        self.due = NEVER
        self.queued = False
        self.members: dict[Wait, None] = {}
        self.failures = 0

    @property
    def lane(self) -> Hashable:
        """What it shares a lane with."""
        return self._lane

    @property
    def expires_at(self) -> float:
        """When the first of all waits runs out."""
        return min((member.expires_at for member in self.members), default=NEVER)


Topic = Wait | Together
