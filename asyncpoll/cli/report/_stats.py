"""Count and measure the outcomes of a run in one pass: outcomes, durations, a timeline, kinds of failures."""

from __future__ import annotations

import heapq
import math
import re
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Self, TypeVar

from attrs import define, evolve, field, frozen

from asyncpoll.cli._pacing import Sample
from asyncpoll.cli.report._words import moment
from asyncpoll.waiting.learning._history import History

if TYPE_CHECKING:
    from asyncpoll.ledger import Record

SLOWEST = 20
MOST_BINS = 160
MOST_WORDS = 1_000
MOST_KINDS = 10_000
_LONGEST_WORD = 100  # characters
_LONGEST_COMPARED = 300  # characters of a reason
_SHORTEST_ID = 4  # shorter ones are found in words that have nothing to do with them

_VARYING = re.compile(
    r"\b\d[\d.,]*(?=\s?(?:s|ms|polls?|seconds?|bytes?)\b)"  # a measure
    r"|\b(?=[\da-f-]{8})(?=[a-f-]*\d)[\da-f]{4,}(?:-[\da-f]{4,})*\b"  # an id
    r"|(?<=\w-)\d{3,}\b"  # the number in a name, but not the version of a model
    r"|(?<![\w.-])(?<!http.)(?<!code.)(?<!status.)(?<!error.)\d+(?:\.\d+)?\b",  # a number, but not a status or a code
    re.IGNORECASE,
)
_TENTHS = (1, 2, 10, 20, 100, 300, 600, 3_000, 6_000, 18_000, 36_000, 72_000, 216_000, 432_000, 864_000)

Number = TypeVar("Number", bound=float)
_KindKey = tuple[str, "RunVerdict", str | None, str | None, str | None]


class RunVerdict(StrEnum):
    """How the wait for a job ended, as the report names it; in the order in which charts stack it."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed out at the server"
    CANCELLED = "cancelled"
    GAVE_UP = "given up by us"
    ERROR = "no answer"
    UNFINISHED = "unfinished"

    @property
    def slug(self) -> str:
        """The name in the style sheet."""
        return self.name.lower().replace("_", "-")


_OF_STATE = {
    "success": RunVerdict.SUCCEEDED,
    "failed": RunVerdict.FAILED,
    "timeout": RunVerdict.TIMED_OUT,
    "cancelled": RunVerdict.CANCELLED,
}


def verdict_of(record: Record) -> RunVerdict:
    """Return the verdict on a job that has an outcome."""
    if record.error is None:
        return _OF_STATE.get(record.state, RunVerdict.ERROR)
    return RunVerdict.GAVE_UP if record.error == "WaitTimeout" else RunVerdict.ERROR


@define
class Timeline:
    """Outcomes by time and verdict, in at most 160 bins however many there are and in whatever order.

    The width is a round number of tenths of a second. Each width is a multiple of the one before, so that bins are
    merged and never split: the counts are those that binning everything at the end would give.
    """

    _level: int = 0
    _bins: dict[int, Counter[RunVerdict]] = field(factory=dict)

    def add(self, at: float, verdict: RunVerdict) -> None:
        """Count an outcome at the Unix time *at*, in seconds."""
        place = math.floor(moment(at) * 10) // self._tenths
        is_new = place not in self._bins
        self._bins.setdefault(place, Counter())[verdict] += 1
        while is_new and max(self._bins) - min(self._bins) >= MOST_BINS:
            self._widen()

    @property
    def width(self) -> float:
        """The width of a bin, in seconds."""
        return self._tenths / 10

    def bins(self) -> Iterator[tuple[float, Counter[RunVerdict]]]:
        """Yield the Unix time at which each bin begins, in seconds, and its counts; empty bins between others too."""
        if self._bins:
            for place in range(min(self._bins), max(self._bins) + 1):
                yield place * self._tenths / 10, self._bins.get(place, Counter())

    @property
    def _tenths(self) -> int:
        beyond = max(0, self._level - len(_TENTHS) + 1)
        return _TENTHS[self._level - beyond] << beyond

    def _widen(self) -> None:
        narrow = self._tenths
        self._level += 1
        merged: dict[int, Counter[RunVerdict]] = {}
        for place, counts in self._bins.items():
            merged.setdefault(place * narrow // self._tenths, Counter()).update(counts)
        self._bins = merged


@define
class FailureKind:
    """Failures whose reasons differ at most in numbers and ids.

    Attributes:
        endpoint: The name of the endpoint.
        verdict: The verdict on the jobs.
        error: The name of the error's class, where the wait ended with one.
        code: The server's code.
        reason: The words of the first of them; None for those that came when there were too many kinds already.
        example: The key of the first of them.
        jobs: How many there are.
    """

    endpoint: str
    verdict: RunVerdict
    error: str | None
    code: str | None
    reason: str | None
    example: str
    jobs: int = 0


@define
class Failures:
    """Kinds of failures, at most *most*; further ones are counted by endpoint and verdict alone."""

    most: int = MOST_KINDS
    _kinds: dict[_KindKey, FailureKind] = field(factory=dict)

    def add(self, record: Record, verdict: RunVerdict) -> None:
        """Count a job that did not succeed."""
        kind = FailureKind(record.endpoint, verdict, record.error, record.code, record.reason or "", record.key)
        key: _KindKey = (kind.endpoint, verdict, kind.error, kind.code, _pattern(record))
        if key not in self._kinds and len(self._kinds) >= self.most:
            kind = evolve(kind, error=None, code=None, reason=None)
            key = (kind.endpoint, verdict, None, None, None)
        self._kinds.setdefault(key, kind).jobs += 1

    def most_frequent(self) -> list[FailureKind]:
        """Return the kinds, the most frequent first; of equally frequent ones, the one that came first."""
        return sorted(self._kinds.values(), key=lambda kind: -kind.jobs)


def _pattern(record: Record) -> str:
    """Return the reason without the parts that may differ from job to job."""
    reason = record.reason or ""
    members = record.ref.values() if isinstance(record.ref, dict) else [record.ref]
    ids = (text for text in members if isinstance(text, str) and len(text) >= _SHORTEST_ID)
    for name in (record.key, *ids):
        reason = reason.replace(name, "…")
    return _VARYING.sub("#", reason[:_LONGEST_COMPARED])


@define
class Measurements:
    """The jobs of one endpoint with one verdict: 16 bytes a job, so that quantiles are exact.

    Attributes:
        waited: Seconds that each took until its outcome was known.
        delays: Seconds from the last time that each was seen unfinished until then: the detection delay is at most
            that. Only of jobs that ended by themselves and had been seen unfinished.
        polls: How many jobs took how many polls.
    """

    waited: array[float] = field(factory=lambda: array("d"))
    delays: array[float] = field(factory=lambda: array("d"))
    polls: Counter[int] = field(factory=Counter)

    def add(self, record: Record) -> None:
        """Measure a job."""
        self.waited.append(record.waited)
        self.polls[record.polls] += 1
        if record.error is None and record.running is not None:
            self.delays.append(max(0.0, record.waited - record.running))


@frozen(order=True)
class SlowJob:
    """A job among the slowest; it is less than one that took longer, or as long and was recorded before it."""

    waited: float
    late: int
    key: str = field(order=False)
    verdict: RunVerdict = field(order=False)
    polls: int = field(order=False)


@define
class RunStats:
    """The statistics of a run. Memory grows by 16 bytes a job, and is bounded otherwise.

    Attributes:
        unfinished: Jobs without an outcome, by endpoint and the state last seen.
        history: How long jobs have taken, as the ledger keeps it.
        measured: The outcomes by endpoint and verdict.
        timeline: The outcomes over time.
        failures: The outcomes that are not a success, by kind.
        words: Status words that no vocabulary lists and that were the last ones seen, by endpoint; the first 1,000.
        sample: Jobs for which polling can be replayed.
        first: The Unix time at which the first job began, in seconds; infinite when there is no outcome.
        last: The Unix time at which the last outcome was recorded, in seconds; minus infinite when there is none.
    """

    unfinished: Mapping[tuple[str, str], int]
    history: History = field(factory=History)
    measured: dict[tuple[str, RunVerdict], Measurements] = field(factory=dict)
    timeline: Timeline = field(factory=Timeline)
    failures: Failures = field(factory=Failures)
    words: Counter[tuple[str, str]] = field(factory=Counter)
    sample: Sample = field(factory=Sample)
    first: float = math.inf
    last: float = -math.inf
    _slowest: list[SlowJob] = field(factory=list)

    @classmethod
    def of(
        cls, records: Iterable[Record], unfinished: Mapping[tuple[str, str], int], history: History | None = None
    ) -> Self:
        """Return the statistics of *records*, in any order, and of jobs without an outcome by endpoint and state."""
        stats = cls(unfinished, history or History())
        for record in records:
            stats.add(record)
        return stats

    def add(self, record: Record) -> None:
        """Count and measure an outcome."""
        verdict = verdict_of(record)
        self.measured.setdefault((record.endpoint, verdict), Measurements()).add(record)
        self.timeline.add(record.ended_at, verdict)
        self.first = min(self.first, moment(record.began_at))
        self.last = max(self.last, moment(record.ended_at))
        self._keep_slowest(SlowJob(record.waited, -record.seq, record.key, verdict, record.polls))
        # A reference of another form than usual has no member on which durations may depend.
        self.sample.add(record if isinstance(record.ref, dict) else evolve(record, ref={}))
        if verdict is not RunVerdict.SUCCEEDED:
            self.failures.add(record, verdict)
        if record.state == "unknown" and record.status:
            word = record.endpoint, record.status[:_LONGEST_WORD]
            if word in self.words or len(self.words) < MOST_WORDS:
                self.words[word] += 1

    def slowest(self) -> list[SlowJob]:
        """Return the 20 jobs that took longest, the slowest first."""
        return sorted(self._slowest, reverse=True)

    def counts(self, endpoint: str | None = None) -> Counter[RunVerdict]:
        """Return the jobs by verdict, unfinished ones included, of one endpoint or of all."""
        counts: Counter[RunVerdict] = Counter()
        for (name, verdict), measured in self.measured.items():
            counts[verdict] += len(measured.waited) if endpoint in {None, name} else 0
        waiting = (jobs for (name, _), jobs in self.unfinished.items() if endpoint in {None, name})
        counts[RunVerdict.UNFINISHED] = sum(waiting)
        return +counts

    def endpoints(self) -> list[str]:
        """Return the names of the endpoints that have jobs, those with the most first."""
        jobs = {name: self.counts(name).total() for name, _ in (*self.measured, *self.unfinished)}
        return sorted(filter(jobs.get, jobs), key=lambda name: (-jobs[name], name))

    def select(self, endpoint: str | None = None, verdict: RunVerdict | None = None) -> Measurements:
        """Return the measurements of one endpoint or verdict, or of all jobs."""
        selected = Measurements()
        for (name, result), measured in self.measured.items():
            if endpoint in {None, name} and verdict in {None, result}:
                selected.waited.extend(measured.waited)
                selected.delays.extend(measured.delays)
                selected.polls.update(measured.polls)
        return selected

    def _keep_slowest(self, job: SlowJob) -> None:
        if len(self._slowest) < SLOWEST:
            heapq.heappush(self._slowest, job)
        else:
            heapq.heappushpop(self._slowest, job)


def quantile(ordered: Sequence[Number], share: float) -> Number:
    """Return the smallest of the ordered values, at least one, that *share* of them (0 to 1) do not exceed."""
    return ordered[max(0, math.ceil(len(ordered) * share) - 1)]
