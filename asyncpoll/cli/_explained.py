"""Explain for one job of a ledger when it is polled, and why.

What was known when the job was polled is not kept. So its polls are planned once more by what is known now: from the
history that the ledger keeps, or from its jobs. All ages are seconds.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from attrs import frozen

from asyncpoll._checks import is_number
from asyncpoll._marks import pacing_key
from asyncpoll._schedule import Exponential, Progress
from asyncpoll._state import State
from asyncpoll.cli._output import Grid, counted, duration
from asyncpoll.cli._pacing import Sample, history_of
from asyncpoll.http._secrets import masked, printable
from asyncpoll.ledger import Entry, Reader, Record, WaitCheckpoint
from asyncpoll.waiting.learning._history import LONGEST_KEY
from asyncpoll.waiting.learning._learned import ENOUGH_JOBS, Explanation, Learned, since_submit
from asyncpoll.waiting.learning._model import SUBMITTED
from asyncpoll.waiting.learning._plan import RandomSource

_MOST_NAMED = 3  # jobs, if several match
_MOST_POLLS = 100_000
_FIRST, _LAST = 20, 10  # the polls that are shown of many
_LONGEST_KEY = 200


@frozen
class Story:
    """What a ledger knows of a job.

    Attributes:
        entry: The job.
        age: The seconds from its submit, if that is known, to the begin of the wait.
        record: Its end, if it has one.
        checkpoint: How far the wait for it had come when that was noted last, if it was.
    """

    entry: Entry
    age: float
    record: Record | None
    checkpoint: WaitCheckpoint | None

    @property
    def key(self) -> str:
        """The key under which such jobs are learned, whether or not their age is known."""
        return pacing_key(self.entry.endpoint, self.entry.pacing)[:LONGEST_KEY]

    @property
    def until(self) -> float:
        """The age to which the wait has come."""
        seen = self.record or self.checkpoint
        return self.age + (0.0 if seen is None else seen.waited)

    def lines(self) -> Iterator[str]:
        """Yield what is known of the job."""
        yield f"job {self.entry.number}: {_shown(self.entry.key)}"
        if self.entry.submitted_at is not None:
            yield f"submitted {duration(self.age)} before the wait for it began; ages count from the submit"
        record, noted = self.record, self.checkpoint
        if record is not None:
            seen = "not seen unfinished"
            if record.running is not None:
                seen = f"last seen unfinished at the age of {duration(self.age + record.running)}"
            how = f"its end ({printable(record.state, _LONGEST_KEY)}) was known"
            if record.error is not None:
                how = f"the wait ended with {printable(record.error, _LONGEST_KEY)}"
            yield f"polled {counted(record.polls, 'time')}: {seen}, and {how} at the age of {duration(self.until)}"
        elif noted is not None:
            state = "not seen" if noted.state is None else f"{noted.state} for {duration(noted.in_state)}"
            polled = f"polled {counted(noted.polls, 'time')} up to the age of {duration(self.until)}"
            yield f"{polled}: {state}, and not ended yet"
        else:
            yield "not ended yet, and not known to be polled"


def explained(reader: Reader, job: str, *, price: float | None, random: RandomSource) -> Iterator[str]:
    """Yield what is known of a job, and when it is polled up to its end, and why.

    Args:
        reader: The ledger.
        job: The key or the number of the job, or a field of its reference.
        price: The share of a job's duration that a poll is worth; None for that of the run.
        random: The source of jitter.

    Raises:
        ValueError: Not exactly one job matches.
    """
    entry, sample, record = _found(reader, job), Sample(), None
    for one in reader.records():
        sample.add(one)
        if one.number == entry.number:
            record = one
    began_at, checkpoint = reader.progress(entry.key)
    age = 0.0 if entry.submitted_at is None else max(0.0, began_at - entry.submitted_at)
    story = Story(entry, age, record, checkpoint)
    yield from story.lines()
    options = reader.options
    if price is None and (interval := _positive(options, "interval")) is not None:
        yield f"the run polls each job every {duration(interval)}; pass --price to see when it would pay"
        return
    yield ""
    yield from _Polls.of(story, _learned(story, options, sample, price, random)).lines()


def _found(reader: Reader, job: str) -> Entry:
    """Return the job that is meant; a key is always clear."""
    matching: list[Entry] = []
    for entry in reader.entries():
        if entry.key == job:
            return entry
        if job == str(entry.number) or job in _words(entry.ref):
            matching.append(entry)
    if not matching:
        raise ValueError(
            f"{reader.path} has no job '{_shown(job)}'; pass its key, its number, or a field of its reference"
        )
    if len(matching) > 1:
        some = ", ".join(_shown(entry.key) for entry in matching[:_MOST_NAMED])
        raise ValueError(
            f"{len(matching):,} jobs of {reader.path} match '{_shown(job)}'; pass the key of one, such as {some}"
        )
    return matching[0]


def _words(ref: Any) -> Iterator[str]:
    """Yield the fields of a reference."""
    for field in ref.values() if isinstance(ref, Mapping) else (ref,):
        if isinstance(field, str) or is_number(field):
            yield str(field)


def _learned(
    story: Story, options: Mapping[str, Any], sample: Sample, price: float | None, random: RandomSource
) -> Learned:
    """Return the schedule of the run: with the history that it kept, or else taught by its jobs."""
    key, history = story.key, history_of(options)
    cold = Exponential(jitter=lambda seconds: seconds * random())
    price = _positive(options, "price") if price is None else price
    learned = Learned(price=price, cold=cold, history=history, random=random)
    if not (history.knows(key) or history.knows(since_submit(key))):
        for job in sample.jobs:
            if job.key[:LONGEST_KEY] == key:
                learned.observe(job.lo, job.hi, key=key)
    return learned


def _positive(options: Mapping[str, Any], name: str) -> float | None:
    value: Any = options.get(name)
    return float(value) if is_number(value) and 0 < value < math.inf else None


def _shown(text: str) -> str:
    return printable(masked(text), _LONGEST_KEY)


# when it is polled


@frozen
class _Polls:
    """The polls of a job by what is known now.

    Attributes:
        story: The job.
        learned: What is known.
        key: The key under which such jobs are learned.
        came: The age at which it comes from pending to processing.
    """

    story: Story
    learned: Learned
    key: str
    came: float

    @classmethod
    def of(cls, story: Story, learned: Learned) -> _Polls:
        """Return the polls of a job."""
        key = story.key if story.entry.submitted_at is None else since_submit(story.key)
        return cls(story, learned, key, _came(story, learned, key))

    def lines(self) -> Iterator[str]:
        """Yield a table of the polls up to the end of the job, and what it rests on."""
        rows = [(duration(age), ends, why) for age, ends, why in islice(self._each(), _MOST_POLLS)]
        left_out = len(rows) - _FIRST - _LAST
        if left_out > 1:
            rows[_FIRST:-_LAST] = [("...", "", f"{left_out:,} more polls")]
        yield from Grid(("age", "ended by then", "why it is polled then"), ">><", tuple(rows)).lines()
        yield ""
        told = self.learned.explain(Progress(1, 0.0), key=self.key)
        rests = f"{counted(told.jobs, 'such job')}, which took about {duration(told.typical)}"
        yield f"By what is known now, from {rests if told.jobs else 'no such job that ended'}. A call costs as much as"
        yield f"{duration(told.call_cost)} of delay. A rate, hints of the server, progress and misses move polls, too."

    def _each(self) -> Iterator[tuple[float, str, str]]:
        """Yield the age at each poll, the probability that the job has ended by then, and why it is made."""
        story, learned = self.story, self.learned
        told = learned.explain(Progress(0, 0.0, state=SUBMITTED, in_state=0.0), key=self.key)
        until = story.until if story.record is not None else max(story.until, told.typical)
        age, ends, why = story.age, "", "at once, since the age of the job is not known"
        if story.entry.submitted_at is not None:
            why = "at once, since too few such jobs were seen to end"
            if told.jobs >= ENOUGH_JOBS:
                age, ends, why = max(age, told.delay), _ends(told), told.why
        polls = 1
        yield age, ends, why
        while age < until:
            state, since = (State.PENDING, 0.0) if age < self.came else (State.PROCESSING, self.came)
            told = learned.explain(Progress(polls, age - story.age, state=state, in_state=age - since), key=self.key)
            age, polls = age + told.delay, polls + 1
            yield age, _ends(told), told.why


def _came(story: Story, learned: Learned, key: str) -> float:
    """Return the age at which a job comes from pending to processing: as it was noted, or else as is usual."""
    noted = story.checkpoint if story.record is None else None
    if noted is not None and noted.state is State.PENDING:
        return math.inf
    if noted is not None and noted.state is State.PROCESSING:
        return story.until - noted.in_state if noted.in_state < noted.waited else 0.0
    tracks = (learned.history.track(name, "pending") for name in (story.key, since_submit(story.key)))
    return learned.survival(state="pending", key=key).age_at(0.5) if any(track.records for track in tracks) else 0.0


def _ends(told: Explanation) -> str:
    """Return the probability that the job has ended by the poll; nothing where that is a mere guess."""
    return "" if told.is_guess or told.reason == "cold" else f"{told.ends:.0%}"
