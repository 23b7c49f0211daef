"""What to do after a poll, decided in one place by an object that neither sleeps nor does I/O.

A driver tells a `Decision` what each poll saw and when, and asks it for the time of the next; it answers that the wait
is over, when to poll, or by raising the error that ends the wait. No driver holds any policy of its own.

Times are on the event loop's clock, durations in seconds.
"""

from __future__ import annotations

import math
from typing import Any, Literal

from attrs import field, frozen, validators

from asyncpoll.errors import WaitTimeout
from asyncpoll.schedule import Exponential, Progress, Schedule
from asyncpoll.waiting.misses import MissRow, is_miss
from asyncpoll.waiting.snapshot import Snapshot
from asyncpoll.waiting.state import State
from asyncpoll.waiting.timeout import UNLIMITED, PhaseClocks, Timeout

Hints = Literal["at_least", "exactly", "ignore"]

LONGEST_HINT = 86_400.0
"""A server that asks to stay away for more than a day is taken to mean a day."""

SHORTEST_HINT = 0.1
"""The least that a hint taken exactly can mean; a server must not make us spin."""

_TAIL = 0.5  # the last poll is made this long before the deadline, so that its answer can still arrive
_TAIL_SHARE = 0.1  # but for short limits only this share of them
_MOST_UNKNOWN = 5
_NOT_NEGATIVE = validators.and_(validators.ge(0.0), validators.lt(math.inf))


def _can_delay(_policy: object, _field: object, schedule: object) -> None:
    if isinstance(schedule, type) or not callable(getattr(schedule, "delay", None)):
        raise TypeError(f"schedule must have a method delay(progress), as Exponential() has, not {schedule!r}")


@frozen(kw_only=True)
class Policy:
    """How a wait is to be done; one value serves any number of waits.

    Attributes:
        schedule: When to ask next.
        timeout: The clocks that limit the wait.
        max_polls: Give up after so many polls, or None.
        max_misses: Tolerate so many misses in a row, or None for the limits by class.
        not_found_grace: Seconds from the start in which a 404 is a miss: the job may not be visible yet.
        stable_for: How many identical terminal answers in a row it takes to believe one.
        hints: Whether a server's hint makes the next poll no earlier, sets it, or is ignored.
        replans: Whether the schedule begins anew when a job that was pending is seen processing.
        parks: Whether a wait that is told to stay away until after its deadline goes on until then, unpolled. Where
            many wait, one that gives up at once gains nothing; where one waits, its caller learns sooner.
    """

    schedule: Schedule = field(default=Exponential(), validator=_can_delay)
    timeout: Timeout = UNLIMITED
    max_polls: int | None = field(default=None, validator=validators.optional(validators.ge(1)))
    max_misses: int | None = field(default=None, validator=validators.optional(validators.ge(0)))
    not_found_grace: float = field(default=0.0, validator=_NOT_NEGATIVE)
    stable_for: int = field(default=1, validator=validators.ge(1))
    hints: Hints = field(default="at_least", validator=validators.in_(("at_least", "exactly", "ignore")))
    replans: bool = False
    parks: bool = False


class Decision:
    """The course of one wait under a policy: tell it what a poll saw, then ask for the time of the next.

    Attributes:
        subject: What is waited for: a job, or a bare coroutine function.
        began: When the wait began.
        deadline: When the wait must end if nothing changes; `math.inf` when it need not.
        polls: Polls made so far, failed ones included.
        last: What the last successful poll saw.
    """

    __slots__ = (
        "_agreeing", "_clocks", "_misses", "_policy", "_replanned_after", "_unknown",
        "began", "deadline", "last", "polls", "subject",
    )  # fmt: skip

    def __init__(self, policy: Policy, now: float, *, subject: object = None) -> None:
        self._policy = policy
        self._clocks = PhaseClocks(now) if policy.timeout.has_phases else None
        self._misses: MissRow | None = None
        self._unknown: tuple[str, ...] = ()
        self._agreeing = 0
        self._replanned_after = 0
        self.subject = subject
        self.began = now
        self.deadline = self._limit()[0]
        self.polls = 0
        self.last: Snapshot[Any] | None = None

    @property
    def key(self) -> str | None:
        """The key of the job, or None when a bare coroutine function is awaited."""
        key: str | None = getattr(self.subject, "key", None)
        return key

    def first_poll(self, delay: float) -> float:
        """Return when to poll first: after *delay*, but not past the deadline."""
        return max(self.began, min(self.began + delay, self.deadline - self._tail()))

    def saw(self, snapshot: Snapshot[Any], now: float) -> bool:
        """Take in what a poll saw; return whether the wait is over.

        Raises:
            TypeError: It is not a `Snapshot`.
        """
        if not isinstance(snapshot, Snapshot):  # pyright: ignore[reportUnnecessaryIsInstance]  a user's fetch made it
            raise TypeError(f"fetch must return a Snapshot, not {type(snapshot).__name__}")
        self.polls += 1
        self._misses = None
        before, self.last = self.last, snapshot
        state = snapshot.state
        if state is State.PROCESSING and before is not None and before.state is State.PENDING:
            self._replanned_after = self.polls - 1 if self._policy.replans else 0
        if state.is_terminal:
            self._agreeing = self._agreeing + 1 if before is not None and _answer(before) == _answer(snapshot) else 1
            return self._agreeing >= self._policy.stable_for
        if state is State.UNKNOWN:
            self._note_unknown(snapshot.status)
        elif self._clocks is not None and state is not self._clocks.phase:
            self._clocks.turn(state, now)
            self.deadline = self._limit()[0]
        return False

    def missed(self, error: Exception, now: float) -> None:
        """Take in that a poll failed and saw nothing.

        Raises:
            Exception: *error* itself, when it is no miss or when there were too many in a row.
        """
        policy = self._policy
        if not is_miss(error, elapsed=now - self.began, not_found_grace=policy.not_found_grace):
            raise error
        self.polls += 1
        self._misses = self._misses or MissRow(error)
        too_many = self._misses.add(error, now)
        if policy.max_misses is not None:  # the caller's own limit stands in for those by class
            too_many = self._misses.total > policy.max_misses
        if too_many:
            raise error

    def next_poll(self, now: float, delay: float | None = None) -> float:
        """Return when to poll next, given that the last answer came at *now*; `math.inf` for never.

        Args:
            now: When the last answer came.
            delay: Seconds to the next poll that others who wait for the same job have settled on, in place of what
                the schedule says.

        Raises:
            WaitTimeout: A limit has been passed, or the server told us to stay away until after the deadline.
        """
        policy = self._policy
        if policy.max_polls is not None and self.polls >= policy.max_polls:
            raise self.timed_out(now, "polls")
        hint = self._believable_hint()
        tail = self._tail()
        last_call = self.deadline - tail
        if hint and self._misses is not None:  # told to stay away; a hint about a job that merely runs gives way
            if now + hint >= self.deadline:
                if policy.parks:
                    return math.inf
                raise self.timed_out(now, "throttled")
            last_call = max(last_call, now + hint)
        due = now + (self._delay(now, hint) if delay is None else max(delay, hint))
        if due <= last_call:
            return due
        if last_call - now > tail / 5:  # else the poll just made was the last one, or as good as that
            return last_call
        raise self.timed_out(now)

    def cut(self, now: float) -> WaitTimeout:
        """Take in that the deadline has passed with a poll in flight; return the error that ends the wait."""
        self.polls += 1
        return self.timed_out(now)

    def timed_out(self, now: float, limit: str | None = None) -> WaitTimeout:
        """Return the error of a wait that ends at *now* because of *limit*, by default the clock that ran out."""
        waited, limit = now - self.began, limit or self._limit()[2]
        error = WaitTimeout(
            self.last, waited=waited, polls=self.polls, limit=limit, key=self.key, unknown=self._unknown
        )
        error.__cause__ = None if self._misses is None else self._misses.last
        return error

    def _believable_hint(self) -> float:
        source = self.last if self._misses is None else self._misses.last
        hint: object = getattr(source, "retry_after", None)  # what a foreign error calls so may be anything
        if not isinstance(hint, int | float) or not hint > 0 or self._policy.hints == "ignore":
            return 0.0
        return min(hint, LONGEST_HINT)

    def _delay(self, now: float, hint: float) -> float:
        policy, last = self._policy, self.last
        if hint and policy.hints == "exactly":
            return max(hint, SHORTEST_HINT)
        progress = Progress(
            self.polls - self._replanned_after,
            now - self.began,
            0 if self._misses is None else self._misses.total,
            None if last is None else last.state,
            hint or None,
            None if last is None else last.progress,
        )
        delay = policy.schedule.delay(progress)
        if not 0 <= delay < math.inf:
            raise ValueError(f"the schedule {policy.schedule!r} gave a delay of {delay!r} s")
        return max(delay, hint)

    def _limit(self) -> tuple[float, float, str]:
        """Return when the wait runs out, how long it may take in all, and the name of the limit that says so."""
        total = self._policy.timeout.total
        limit = (math.inf, math.inf, "total") if total is None else (self.began + total, total, "total")
        if self._clocks is None:
            return limit
        phase = self._clocks.limit(self._policy.timeout)
        return limit if phase is None or phase[0] >= limit[0] else (*phase, self._clocks.phase.value)

    def _tail(self) -> float:
        return min(_TAIL, _TAIL_SHARE * self._limit()[1])

    def _note_unknown(self, word: str) -> None:
        if word not in self._unknown and len(self._unknown) < _MOST_UNKNOWN:
            self._unknown = (*self._unknown, word)


def _answer(snapshot: Snapshot[Any]) -> tuple[State, str, Any]:
    return snapshot.state, snapshot.status, snapshot.value
