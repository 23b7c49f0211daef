"""What is known about all the waits so far: plain counters, kept by an observer and looked at by whoever draws."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from typing import Any, Self

from attrs import define, field, frozen

from asyncpoll.endpoint import Job
from asyncpoll.waiting.events import Ended, Event, Missed, Polled, UnknownWord
from asyncpoll.waiting.state import State


@frozen
class End:
    """A wait that is over: what was told, and when on the event loop's clock."""

    told: Ended
    at: float

    @property
    def state(self) -> State:
        """The terminal state, or `UNKNOWN` when an error ended the wait."""
        return State.UNKNOWN if self.told.error or self.told.snapshot is None else self.told.snapshot.state


@define
class Tally:
    """Counters by endpoint, and the standing of every job by key.

    Attributes:
        jobs: The jobs by key.
        states: What each was last seen as; `PENDING` before its first poll.
        polls: Polls made, failed ones included.
        missed: Polls that failed and saw nothing.
        words: Status words seen that no vocabulary lists.
        ends: The waits that are over.
    """

    jobs: dict[str, Job[Any]]
    states: dict[str, State]
    polls: Counter[str] = field(factory=Counter)
    missed: Counter[str] = field(factory=Counter)
    words: set[str] = field(factory=set)
    ends: dict[str, End] = field(factory=dict)

    @classmethod
    def of(cls, jobs: Iterable[Job[Any]]) -> Self:
        """Return the tally of jobs that nobody has asked about yet."""
        by_key = {job.key: job for job in jobs}
        return cls(by_key, dict.fromkeys(by_key, State.PENDING))

    def __call__(self, event: Event) -> None:
        """Take in an event."""
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
            case Ended():
                self.ends[key] = End(event, asyncio.get_running_loop().time())
            case _:
                pass

    def endpoints(self) -> list[str]:
        """Return the names of the endpoints, in order."""
        return sorted({job.endpoint.name for job in self.jobs.values()})

    def states_at(self, endpoint: str) -> Counter[State]:
        """Return how many jobs of one endpoint stand where."""
        return Counter(state for key, state in self.states.items() if self.jobs[key].endpoint.name == endpoint)
