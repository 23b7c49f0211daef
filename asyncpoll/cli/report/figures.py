"""All figures of a report, from one pass over the outcomes of a run."""

from __future__ import annotations

import heapq
import math
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Self, TypeVar

from attrs import define, evolve, field, frozen

from asyncpoll.cli.pacing import Sample as Paced
from asyncpoll.cli.report.failures import Failures
from asyncpoll.cli.report.timeline import Timeline, moment
from asyncpoll.cli.report.verdict import Verdict, verdict_of
from asyncpoll.waiting.learning._history import History

if TYPE_CHECKING:
    from asyncpoll.ledger.records import Record

SLOWEST = 20
MOST_WORDS = 1_000
_LONGEST_WORD = 100

Number = TypeVar("Number", bound=float)


@define
class Sample:
    """The jobs of one endpoint that came out one way: 16 bytes a job, so that quantiles are exact.

    Attributes:
        waited: Seconds that each took until its outcome was known.
        delays: Seconds from when each was last seen unfinished until then: the detection delay is at most that. Only
            of jobs that ended by themselves and had been seen unfinished.
        polls: How many jobs took how many polls.
    """

    waited: array[float] = field(factory=lambda: array("d"))
    delays: array[float] = field(factory=lambda: array("d"))
    polls: Counter[int] = field(factory=Counter)

    @property
    def jobs(self) -> int:
        """How many there are."""
        return len(self.waited)


@frozen(order=True)
class Slow:
    """A job among the slowest; it is less than one that took longer, or as long and was recorded before it."""

    waited: float
    late: int
    key: str = field(order=False)
    verdict: Verdict = field(order=False)
    polls: int = field(order=False)


@define
class Figures:
    """What the outcomes of a run add up to. Memory grows by 16 bytes a job, and is bounded otherwise.

    Attributes:
        unfinished: Jobs without an outcome, by endpoint and the state last seen.
        history: How long jobs have taken, as the ledger keeps it.
        samples: The outcomes by endpoint and verdict.
        timeline: The outcomes over time.
        failures: Those that are no success, by kind.
        words: Status words that no vocabulary lists and that jobs were left with, by endpoint; the first 1,000.
        paced: A sample of the jobs that say something about polling.
        first: When the first job was taken in, in seconds of Unix time; infinite when there is no outcome.
        last: When the last outcome was recorded, likewise; minus infinite when there is none.
    """

    unfinished: Mapping[tuple[str, str], int]
    history: History = field(factory=History)
    samples: dict[tuple[str, Verdict], Sample] = field(factory=dict)
    timeline: Timeline = field(factory=Timeline)
    failures: Failures = field(factory=Failures)
    words: Counter[tuple[str, str]] = field(factory=Counter)
    paced: Paced = field(factory=Paced)
    first: float = math.inf
    last: float = -math.inf
    _slowest: list[Slow] = field(factory=list)

    @classmethod
    def of(
        cls, records: Iterable[Record], unfinished: Mapping[tuple[str, str], int], history: History | None = None
    ) -> Self:
        """Return the figures of *records*, in any order, and of jobs without an outcome by endpoint and state."""
        figures = cls(unfinished, history or History())
        for record in records:
            figures.add(record)
        return figures

    def add(self, record: Record) -> None:
        """Take in an outcome."""
        verdict = verdict_of(record)
        self._measure(record, self.samples.setdefault((record.endpoint, verdict), Sample()))
        self.timeline.add(record.ended_at, verdict)
        self.first = min(self.first, moment(record.began_at))
        self.last = max(self.last, moment(record.ended_at))
        self._keep_slowest(Slow(record.waited, -record.seq, record.key, verdict, record.polls))
        # A reference of another form than usual has no member on which durations may depend.
        self.paced.add(record if isinstance(record.ref, dict) else evolve(record, ref={}))
        if verdict is not Verdict.SUCCEEDED:
            self.failures.add(record)
        if record.state == "unknown" and record.status:
            self._note_word(record.endpoint, record.status[:_LONGEST_WORD])

    def slowest(self) -> list[Slow]:
        """Return the 20 jobs that took longest, the slowest first."""
        return sorted(self._slowest, reverse=True)

    def counts(self, endpoint: str | None = None) -> Counter[Verdict]:
        """Return how many jobs came out how, of one endpoint or of all; unfinished ones too."""
        counts: Counter[Verdict] = Counter()
        for (name, verdict), sample in self.samples.items():
            counts[verdict] += sample.jobs if endpoint in {None, name} else 0
        waiting = (jobs for (name, _), jobs in self.unfinished.items() if endpoint in {None, name})
        counts[Verdict.UNFINISHED] = sum(waiting)
        return +counts

    def endpoints(self) -> list[str]:
        """Return the names of the endpoints that have jobs, those with the most first."""
        jobs = {name: self.counts(name).total() for name, _ in (*self.samples, *self.unfinished)}
        return sorted(filter(jobs.get, jobs), key=lambda name: (-jobs[name], name))

    def waited(self, endpoint: str | None = None, verdict: Verdict | None = None) -> array[float]:
        """Return how long each job took, in seconds; of one endpoint or verdict, or of all."""
        return _merged(sample.waited for sample in self._samples(endpoint, verdict))

    def delays(self, endpoint: str | None = None, verdict: Verdict | None = None) -> array[float]:
        """Return the most that each end was noticed late, in seconds, likewise."""
        return _merged(sample.delays for sample in self._samples(endpoint, verdict))

    def polls(self, endpoint: str | None = None, verdict: Verdict | None = None) -> Counter[int]:
        """Return how many jobs took how many polls, likewise."""
        polls: Counter[int] = Counter()
        for sample in self._samples(endpoint, verdict):
            polls.update(sample.polls)
        return polls

    def _samples(self, endpoint: str | None, verdict: Verdict | None) -> Iterator[Sample]:
        for (name, result), sample in self.samples.items():
            if endpoint in {None, name} and verdict in {None, result}:
                yield sample

    def _measure(self, record: Record, sample: Sample) -> None:
        sample.waited.append(record.waited)
        sample.polls[record.polls] += 1
        if record.error is None and record.running is not None:
            sample.delays.append(max(0.0, record.waited - record.running))

    def _keep_slowest(self, job: Slow) -> None:
        if len(self._slowest) < SLOWEST:
            heapq.heappush(self._slowest, job)
        else:
            heapq.heappushpop(self._slowest, job)

    def _note_word(self, endpoint: str, word: str) -> None:
        if (endpoint, word) in self.words or len(self.words) < MOST_WORDS:
            self.words[endpoint, word] += 1


def quantile(ordered: Sequence[Number], share: float) -> Number:
    """Return the smallest of the ordered values, at least one, that *share* of them (0 to 1) do not exceed."""
    return ordered[max(0, math.ceil(len(ordered) * share) - 1)]


def _merged(samples: Iterable[array[float]]) -> array[float]:
    merged = array("d")
    for sample in samples:
        merged.extend(sample)
    return merged
