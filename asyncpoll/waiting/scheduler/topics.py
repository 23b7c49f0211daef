"""What a hub polls: one job for all who wait for it, or a group of jobs that can be asked about together."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Protocol

from attrs import frozen

from asyncpoll._errors import Throttled
from asyncpoll.waiting._decision import Decision
from asyncpoll.waiting._misses import is_miss
from asyncpoll.waiting._past import Past
from asyncpoll.waiting._policy import Policy
from asyncpoll.waiting.scheduler.agenda import NEVER


class Sink(Protocol):
    """Whom the course of a wait is told to."""

    def changed(self, wait: Wait, now: float) -> None:
        """Take in that *wait*, which goes on, has seen its job in another state than before."""
        ...

    def ended(self, wait: Wait, error: Exception | None, waited: float) -> None:
        """Take in that *wait* is over after *waited* seconds: with `wait.last` being terminal, or with *error*."""
        ...

    def condemned(self, error: Exception) -> None:
        """Take in that a wait is over because no job of its client can be asked about any more."""
        ...


@frozen(eq=False)
class Place:
    """The very transport, whatever it takes to be equal, as a key that keeps its identity from being used again.

    Attributes:
        transport: The transport, or None: all bare coroutine functions share one place.
    """

    transport: object

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Place) and self.transport is other.transport

    def __hash__(self) -> int:
        return id(self.transport)


class Wait(Decision):
    """One wait in a hub, and, as the first for its job, the topic that is polled for all of them.

    Attributes:
        due: When the job is to be polled next.
        queued: Whether it is due and has not started.
        sink: Whom to tell how it ended; None once that is done.
        others: Further waits for the same job that are not over, by their claims; None while there were none.
    """

    __slots__ = ("due", "others", "queued", "sink")

    subject: Any

    def __init__(self, policy: Policy, now: float, job: Any, sink: Sink, past: Past | None = None) -> None:
        super().__init__(policy, now, subject=job, past=past)
        self.due = NEVER
        self.queued = False
        self.sink: Sink | None = sink
        self.others: dict[tuple[int, int], Wait] | None = None

    @property
    def lane(self) -> Place:
        """What it shares a lane with: its transport."""
        return Place(getattr(self.subject, "transport", None))

    @property
    def claim(self) -> tuple[int, int]:
        """What no two waits may have: this very object, awaited for this sink."""
        return id(self.subject), id(self.sink)

    @property
    def waits(self) -> tuple[Wait, ...]:
        """Every wait for this job that is not over."""
        first = () if self.sink is None else (self,)
        return first if self.others is None else (*first, *self.others.values())

    @property
    def awaited(self) -> bool:
        """Whether any wait for this job is not over."""
        return self.sink is not None or bool(self.others)

    @property
    def leads(self) -> tuple[Wait, ...]:
        """The first wait of each job that a poll asks about: this one."""
        return (self,)

    @property
    def expires_at(self) -> float:
        """When the first of the waits runs out."""
        return self.deadline if self.others is None else min((wait.deadline for wait in self.waits), default=NEVER)

    async def ask(self) -> Any:
        """Ask about the job; return what its fetch returns."""
        return await self.subject()


class Together:
    """Jobs that one call tells the state of. It keeps one rhythm for all of them.

    Attributes:
        key: What its jobs share.
        lane: What it shares a lane with.
        due: When the call is to be made next.
        queued: Whether it is due and has not started.
        late: While the call is being made, who has come too late for it, and when they are due; otherwise None.
        members: The first wait of each job, in the order in which they came.
        apart: Those that are being asked about on their own, and will come back.
        failures: Calls in a row that failed.
        alone: Whether there was but one to ask about last time.
    """

    __slots__ = ("alone", "apart", "due", "failures", "key", "lane", "late", "members", "queued")

    def __init__(self, key: Hashable, lane: Place) -> None:
        self.key = key
        self.lane = lane
        self.due = NEVER
        self.queued = False
        self.late: dict[Wait, float] | None = None
        self.members: dict[Wait, None] = {}
        self.apart: set[Wait] = set()
        self.failures = 0
        self.alone = False

    @property
    def size(self) -> int:
        """How many jobs it has, those apart included."""
        return len(self.members) + len(self.apart)

    @property
    def awaited(self) -> bool:
        """Whether there are jobs to ask about."""
        return bool(self.members)

    @property
    def leads(self) -> tuple[Wait, ...]:
        """The first wait of each job that a poll asks about."""
        return tuple(self.members)

    @property
    def expires_at(self) -> float:
        """When the first of all waits runs out."""
        return min((member.expires_at for member in self.members), default=NEVER)

    async def ask(self) -> dict[Any, Any]:
        """Ask about all the jobs; return what was seen of each, as far as the answer tells."""
        self.late = {}
        jobs = [member.subject for member in self.members]
        self.alone = len(jobs) == 1
        if self.alone:  # its own call may bring the result, too
            return {jobs[0]: await jobs[0]()}
        seen: dict[Any, Any] = await jobs[0].fetch_together(jobs)
        return seen

    def landed(self) -> dict[Wait, float]:
        """Take in that the call has been made; return who came too late for it, and when they are due."""
        late, self.late = self.late or {}, None
        return late

    def fell_back(self, seen: object) -> bool:
        """Take in what the call saw; return whether the jobs are now better asked about one by one."""
        if not isinstance(seen, Exception):
            self.failures = 0
            return False
        if self.alone or isinstance(seen, Throttled):  # more calls are not the cure
            return False
        self.failures += 1
        return self.failures > 1 or not is_miss(seen, elapsed=0.0, not_found_grace=0.0)


Topic = Wait | Together


def run_out(topic: Topic, now: float) -> list[Wait]:
    """Return the waits for *topic* whose deadline has come."""
    return [wait for lead in topic.leads for wait in lead.waits if wait.deadline <= now]
