"""What is known about all the waits so far: plain counters, told by the hub and looked at by whoever draws."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from typing import Any, Self

from attrs import define, field, frozen

from asyncpoll._endpoint import Job
from asyncpoll._state import State
from asyncpoll.events import Event, Missed, Polled, UnknownWord
from asyncpoll.waiting._run import Outcome


@frozen
class End:
    """A wait that is over: its outcome, and when it was told on the event loop's clock."""

    outcome: Outcome[Any]
    at: float

    @property
    def state(self) -> State:
        """The terminal state, or `UNKNOWN` when an error ended the wait."""
        snapshot = self.outcome.snapshot
        return State.UNKNOWN if self.outcome.error or snapshot is None else snapshot.state


@define
class Tally:
    """Counters by endpoint, and the standing of every job by key.

    Attributes:
        jobs: The jobs by key.
        states: What each was last seen as; `PENDING` before its first poll.
        polls: Polls that concerned a job, failed ones included; one about many jobs counts for each of them.
        missed: Those of them that failed and saw nothing.
        words: Status words seen that no vocabulary lists.
        ends: The waits that are over, in the order in which they ended.
    """

    jobs: dict[str, Job[Any]]
    states: dict[str, State]
    polls: Counter[str] = field(factory=Counter)
    missed: Counter[str] = field(factory=Counter)
    words: set[str] = field(factory=set)
    ends: list[End] = field(factory=list)

    @classmethod
    def of(cls, jobs: Iterable[Job[Any]]) -> Self:
        """Return the tally of jobs that nobody has asked about yet."""
        by_key = {job.key: job for job in jobs}
        return cls(by_key, dict.fromkeys(by_key, State.PENDING))

    def __call__(self, event: Event) -> None:
        """Take in an event: a tally is an observer."""
        key = event.key or ""
        endpoint = self.jobs[key].endpoint.name
        match event:
            case Polled(snapshot=snapshot):
                self.polls[endpoint] += 1
                self.states[key] = snapshot.state
            case Missed():
                self.polls[endpoint] += 1
                self.missed[endpoint] += 1
            case UnknownWord(word=word):
                self.words.add(word)
            case _:
                pass

    def end(self, outcome: Outcome[Any]) -> None:
        """Take in how a wait ended."""
        self.ends.append(End(outcome, asyncio.get_running_loop().time()))

    def endpoints(self) -> list[str]:
        """Return the names of the endpoints, in order."""
        return sorted({job.endpoint.name for job in self.jobs.values()})

    def states_at(self, endpoint: str) -> Counter[State]:
        """Return how many jobs of one endpoint stand where."""
        return Counter(state for key, state in self.states.items() if self.jobs[key].endpoint.name == endpoint)
