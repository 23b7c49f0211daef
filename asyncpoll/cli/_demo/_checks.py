"""Whether the outcomes of the demo are true, which only the simulator knows; and the report about it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from statistics import fmean
from types import MappingProxyType
from typing import Any, Self

from attrs import define, field, frozen

from asyncpoll._endpoint import Job
from asyncpoll._state import State
from asyncpoll.cli._output import ENDINGS, Grid, columns_of_terminal
from asyncpoll.cli._progress import ProgressView, Row
from asyncpoll.events import Event, Missed, Polled, UnknownWord
from asyncpoll.simulator import Truth
from asyncpoll.waiting._run import Outcome

TruthOf = Callable[[str, tuple[str, ...]], Truth]
"""From the name of an endpoint and the id of a job to the true outcome."""

IDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "bigmodel.agents": ("async_id",),
        "bigmodel.file_parser": ("task_id",),
        "molizhishu.subtasks": ("task_id", "sub_task_id"),
        "molizhishu.tasks": ("task_id",),
    }
)
"""The fields of a reference that are the id of the job; a result has the last of them, too."""

MEANS: Mapping[str, State] = MappingProxyType(
    {
        "success": State.SUCCESS,
        "succeeded": State.SUCCESS,
        "completed": State.SUCCESS,
        "partial_completed": State.SUCCESS,
        "failed": State.FAILED,
        "error": State.FAILED,
        "timeout": State.TIMEOUT,
        "stopped": State.CANCELLED,
    }
)
"""The state that each outcome of the simulator must be seen as; written down here again, so that it can disagree."""

_MOST_SHOWN = 20


@frozen
class End:
    """A wait that is over: its outcome, and when it came, by the clock of the event loop."""

    outcome: Outcome[Any]
    at: float

    @property
    def state(self) -> State:
        """The terminal state, or `UNKNOWN` when an error ended the wait."""
        snapshot = self.outcome.snapshot
        return State.UNKNOWN if self.outcome.error or snapshot is None else snapshot.state


@define
class Tally:
    """An observer that counts by endpoint, and keeps the last state of every job by key.

    Attributes:
        jobs: The jobs by key.
        states: The state that each was last seen in; `PENDING` before its first poll.
        polls: Polls that concerned a job, failed ones included; one about many jobs counts for each of them.
        missed: Those of them that failed and saw nothing.
        words: Status words that no vocabulary lists.
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
        """Return the tally of jobs that have not been polled yet."""
        by_key = {job.key: job for job in jobs}
        return cls(by_key, dict.fromkeys(by_key, State.PENDING))

    def __call__(self, event: Event) -> None:
        """Count an event."""
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
        """Record how a wait ended."""
        self.ends.append(End(outcome, asyncio.get_running_loop().time()))

    def endpoints(self) -> list[str]:
        """Return the names of the endpoints, in order."""
        return sorted({job.endpoint.name for job in self.jobs.values()})

    def look(self) -> ProgressView:
        """Return how far the waits have come."""
        states = Counter(end.state for end in self.ends)
        ended = ", ".join(f"{states[state]} {state}" for state in ENDINGS if states[state]) or "none"
        rows = tuple(map(self._row, self.endpoints()))
        return ProgressView(
            f"{len(self.ends)} of {len(self.jobs)} ended: {ended}", (f"{self.polls.total()} polls",), rows
        )

    def _row(self, endpoint: str) -> Row:
        states = Counter(state for key, state in self.states.items() if self.jobs[key].endpoint.name == endpoint)
        ended = tuple(states[state] for state in ENDINGS)
        return Row(endpoint, states.total(), ended, polls=self.polls[endpoint])


@frozen
class CheckedJob:
    """One job: how the wait for it ended, and its true outcome.

    Attributes:
        end: The end of the wait.
        truth: The true outcome.
    """

    end: End
    truth: Truth

    @property
    def job(self) -> Job[Any]:
        """The job."""
        job: Job[Any] = self.end.outcome.job
        return job

    @property
    def delay(self) -> float:
        """Seconds from the end of the job until it was known."""
        return self.end.at - self.truth.finished_at

    def mismatch(self) -> str | None:
        """Return what is wrong with the outcome, or None when it is true."""
        expected, error = MEANS[self.truth.outcome], self.end.outcome.error
        if error is not None:
            return f"{self.job.key}: {expected} in truth, but the wait ended with: {error}"
        if self.end.state is not expected:
            return f"{self.job.key}: {expected} in truth, but seen as {self.end.state}"
        if expected is State.SUCCESS and not self._has_its_result():
            return f"{self.job.key}: succeeded, but the result is not its own"
        return None

    def _has_its_result(self) -> bool:
        seen, own_id = self.end.outcome.snapshot, ident(self.job)[-1]
        return seen is not None and getattr(seen.value, IDS[self.job.endpoint.name][-1], None) == own_id


def ident(job: Job[Any]) -> tuple[str, ...]:
    """Return the id by which the simulator knows a job."""
    return tuple(getattr(job.ref, name) for name in IDS[job.endpoint.name])


def findings(tally: Tally, truth_of: TruthOf) -> Iterator[CheckedJob]:
    """Yield a finding for every wait that is over, in the order in which they ended."""
    for end in tally.ends:
        job = end.outcome.job
        yield CheckedJob(end, truth_of(job.endpoint.name, ident(job)))


@frozen
class Report:
    """A demo that is over.

    Attributes:
        tally: The counters.
        findings: A finding for every job.
        sent: Requests that the clients counted.
        received: Requests that the simulator counted.
        seconds: The duration of the demo.
    """

    tally: Tally
    findings: Sequence[CheckedJob]
    sent: int
    received: int
    seconds: float

    def problems(self) -> list[str]:
        """Return everything that is wrong, one line each."""
        problems = [mismatch for finding in self.findings if (mismatch := finding.mismatch())]
        ended = {finding.job.key for finding in self.findings}
        problems += [f"{key}: its wait has no outcome" for key in self.tally.jobs if key not in ended]
        if self.sent != self.received:
            problems.append(f"the clients counted {self.sent} requests, the simulator {self.received}")
        return problems

    def lines(self) -> Iterator[str]:
        """Yield the report line by line; the tables are less than 80 columns wide, or as wide as the terminal."""
        width = columns_of_terminal()
        yield from self._outcomes().within(width).lines()
        yield ""
        yield from self._pace().within(width).lines()
        yield ""
        words = ", ".join(sorted(self.tally.words)) or "none"
        yield "A poll about many jobs at once is counted for each of them."
        yield "Delay and waited are mean seconds; delay is from the end of a job until we knew."
        yield f"Status words that no vocabulary lists: {words}."
        yield f"Requests: {self.sent} counted by the clients, {self.received} by the simulator."
        yield from self._verdict()

    def _outcomes(self) -> Grid:
        return Grid(("endpoint", "jobs", *ENDINGS), "<>>>>>", tuple(map(self._outcomes_of, self.tally.endpoints())))

    def _outcomes_of(self, endpoint: str) -> tuple[str, ...]:
        states = Counter(finding.end.state for finding in self._about(endpoint))
        return endpoint, str(states.total()), *(str(states[state]) for state in ENDINGS)

    def _pace(self) -> Grid:
        head = ("endpoint", "polls", "per job", "missed", "delay", "p95 delay", "waited")
        return Grid(head, "<>>>>>>", tuple(map(self._pace_of, self.tally.endpoints())))

    def _pace_of(self, endpoint: str) -> tuple[str, ...]:
        found, polls = self._about(endpoint), self.tally.polls[endpoint]
        delays = [finding.delay for finding in found]
        seconds = fmean(delays), p95(delays), fmean(finding.end.outcome.waited for finding in found)
        counts = str(polls), f"{polls / len(found):.1f}", str(self.tally.missed[endpoint])
        return endpoint, *counts, *(f"{each:.2f}" for each in seconds)

    def _about(self, endpoint: str) -> list[CheckedJob]:
        return [finding for finding in self.findings if finding.job.endpoint.name == endpoint]

    def _verdict(self) -> Iterator[str]:
        problems = self.problems()
        if not problems:
            yield f"All {len(self.findings)} outcomes are what the simulator knows to be true ({self.seconds:.1f} s)."
            return
        yield f"NOT as it should be: {len(problems)} of {len(self.findings)} outcomes or counts."
        yield from (f"  {problem}" for problem in problems[:_MOST_SHOWN])
        if len(problems) > _MOST_SHOWN:
            yield f"  and {len(problems) - _MOST_SHOWN} more"


def p95(values: Sequence[float]) -> float:
    """Return the smallest of the values that 95 % of them do not exceed."""
    return sorted(values)[-(-len(values) * 95 // 100) - 1]
