"""How far a run has come. It is looked at now and then, and costs the polls nothing."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Iterator

from attrs import define, field, frozen

from asyncpoll.cli.run.intake import Intake
from asyncpoll.cli.view import ENDINGS
from asyncpoll.ledger import Counts, Ledger
from asyncpoll.waiting._counters import Counters

_WINDOW = 30.0  # seconds that a rate is taken over
_MANY = 10.0  # polls a second, of which nobody wants to know the tenths
_MINUTE = 60.0
_HOUR = 3600.0


@frozen
class Progress:
    """A run at one moment.

    Attributes:
        counts: What the ledger holds.
        polls: Polls made by this process.
        missed: Those of them that saw nothing.
        throttled: Those of them at which the server asked for fewer.
        poll_rate: Polls a second, lately.
        left: Seconds until all jobs have ended at the pace of late, or None when nothing can be said.
    """

    counts: Counts
    polls: int
    missed: int
    throttled: int
    poll_rate: float
    left: float | None

    def line(self) -> str:
        """Return it as one line."""
        counts = self.counts
        ended = f"{counts.outcomes:,} of {counts.entries:,} ended: {endings(counts)}"
        return "; ".join((ended, *self.pace()))

    def pace(self) -> Iterator[str]:
        """Yield what is to be said about the polls."""
        yield f"{self.poll_rate:,.{0 if self.poll_rate >= _MANY else 1}f} polls/s"
        if self.missed:
            throttled = f", {self.throttled:,} throttled" if self.throttled else ""
            yield f"{self.missed:,} of {self.polls:,} polls missed{throttled}"
        if self.left is not None:
            yield f"about {duration(self.left)} left"


@define
class Gauge:
    """Looks at a run, and remembers what it saw lately.

    Attributes:
        ledger: The ledger of the run.
        counters: What its hub counts.
        intake: Where its jobs come from.
    """

    ledger: Ledger
    counters: Counters
    intake: Intake
    _seen: deque[tuple[float, int, int]] = field(factory=deque, init=False)

    def look(self) -> Progress:
        """Return how far the run has come."""
        counts, counters = self.ledger.counts, self.counters
        now = asyncio.get_running_loop().time()
        self._seen.append((now, counters.polls, counts.outcomes))
        while now - self._seen[0][0] > _WINDOW:
            self._seen.popleft()
        then, polls, outcomes = self._seen[0]
        span = max(now - then, 1e-9)
        pace = (counts.outcomes - outcomes) / span
        return Progress(
            counts,
            counters.polls,
            counters.missed,
            counters.throttled,
            (counters.polls - polls) / span,
            counts.unfinished / pace if pace and self.intake.complete else None,
        )


def endings(counts: Counts) -> str:
    """Return how many jobs ended how, by state and by the name of the error."""
    states = Counter[str]()
    for (_, word), number in counts.by_state.items():
        states[word] += number
    return ", ".join((*(f"{states[word]:,} {word}" for word in ENDINGS if states[word]), *errors(counts))) or "none"


def errors(counts: Counts) -> Iterator[str]:
    """Yield how many waits ended with which error, the most frequent first."""
    kinds = Counter[str]()
    for (_, word), number in counts.by_error.items():
        kinds[word] += number
    yield from (f"{number:,} {word}" for word, number in kinds.most_common())


def duration(seconds: float) -> str:
    """Return a duration in the unit that suits it."""
    if seconds < _MINUTE:
        return f"{seconds:.0f} s"
    return f"{seconds / _MINUTE:.0f} min" if seconds < _HOUR else f"{seconds / _HOUR:.1f} h"
