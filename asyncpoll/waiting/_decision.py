"""What to do after a poll, decided in one place by an object that neither sleeps nor does I/O.

A driver tells a `Decision` what each poll saw and when, and asks it for the time of the next; it answers that the wait
is over, when to poll, or by raising the error that ends the wait. No driver holds any policy of its own.

Times are on the event loop's clock, durations in seconds.
"""

from __future__ import annotations

import math
from typing import Any

from attrs import define

from asyncpoll._errors import WaitTimeout
from asyncpoll._schedule import Learning, Progress
from asyncpoll._snapshot import Snapshot
from asyncpoll._state import State
from asyncpoll.waiting._misses import MissRow, is_miss
from asyncpoll.waiting._past import Past
from asyncpoll.waiting._policy import Policy
from asyncpoll.waiting._timeout import PhaseClocks

LONGEST_HINT = 86_400.0
"""A server that asks to stay away for more than a day is taken to mean a day."""

SHORTEST_HINT = 0.1
"""The least that a hint taken exactly can mean; a server must not make us spin."""

_TAIL = 0.5  # the last poll is made this long before the deadline, so that its answer can still arrive
_TAIL_SHARE = 0.1  # but for short limits only this share of them
_MOST_UNKNOWN = 5
_LONGEST_KEY = 200


@define
class _Rest:
    """What most waits never need, so that a million of them have no room for it."""

    clocks: PhaseClocks | None = None
    misses: MissRow | None = None
    unknown: tuple[str, ...] = ()
    agreeing: int = 0


_NOTHING = _Rest()  # shared, never written


class Decision:
    """The course of one wait under a policy: tell it what a poll saw, then ask for the time of the next.

    Attributes:
        subject: What is waited for: a job, or a bare coroutine function.
        began: When the wait began.
        polls: Polls made so far, failed ones included.
        last: What the last successful poll saw.
        running_at: When the job was last seen unfinished; None before that.
        turned_at: When the job came into the state last seen: midway between the poll that first saw it and the one
            before. None while it is the first state seen.
    """

    __slots__ = (
        "_policy", "_rest", "_turned_after", "began", "last", "polls", "running_at", "subject", "turned_at",
    )  # fmt: skip

    def __init__(self, policy: Policy, now: float, *, subject: object = None, past: Past | None = None) -> None:
        self._policy = policy
        self._rest = _Rest(PhaseClocks(now)) if policy.timeout.has_phases else _NOTHING
        self._turned_after = 0
        self.subject = subject
        self.began = now
        self.polls = 0
        self.last: Snapshot[Any] | None = None
        self.running_at: float | None = None
        self.turned_at: float | None = None
        if past is not None:
            self._go_on(past, now)

    @property
    def key(self) -> str | None:
        """The key of the job, or None when a bare coroutine function is awaited."""
        key: str | None = getattr(self.subject, "key", None)
        return key

    @property
    def learning(self) -> Learning | None:
        """The schedule, when it is one that learns."""
        return self._policy.learning

    @property
    def pacing_key(self) -> str:
        """What jobs share that should take about as long; empty for a bare coroutine function."""
        key: str = getattr(self.subject, "pacing_key", "")
        return key[:_LONGEST_KEY]

    @property
    def state_since(self) -> float:
        """When the job came into the state last seen, as far as is known."""
        return self.began if self.turned_at is None else self.turned_at

    @property
    def deadline(self) -> float:
        """When the wait must end if nothing changes; `math.inf` when it need not."""
        return self._limit()[0]

    def first_poll(self, now: float, delay: float) -> float:
        """Return when to poll first, at *now* the earliest: after *delay*, but not past the deadline."""
        deadline, seconds, _ = self._limit()
        return max(now, min(now + delay, deadline - _tail(seconds)))

    def saw(self, snapshot: Snapshot[Any], now: float) -> bool:
        """Take in what a poll saw; return whether the wait is over.

        Raises:
            TypeError: It is not a `Snapshot`.
        """
        if not isinstance(snapshot, Snapshot):  # pyright: ignore[reportUnnecessaryIsInstance]  a user's fetch made it
            raise TypeError(f"fetch must return a Snapshot, not {type(snapshot).__name__}")
        self.polls += 1
        self._end_misses()
        before, self.last = self.last, snapshot
        state = snapshot.state
        if before is not None and before.state is not state:
            self.turned_at = now if self.running_at is None else (self.running_at + now) / 2
            if state is State.PROCESSING and before.state is State.PENDING and self._policy.replans:
                self._turned_after = self.polls - 1
        if state.is_terminal:
            return self._policy.stable_for == 1 or self._agrees(before, snapshot)
        self.running_at = now
        if state is State.UNKNOWN:
            self._note_unknown(snapshot.status)
        elif self._rest.clocks is not None and state is not self._rest.clocks.phase:
            self._rest.clocks.turn(state, now)
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
        rest = self._own_rest()
        misses = rest.misses = rest.misses or MissRow(error)
        too_many = misses.add(error, now)
        if policy.max_misses is not None:  # the caller's own limit stands in for those by class
            too_many = misses.total > policy.max_misses
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
        deadline, seconds, _ = self._limit()
        tail = _tail(seconds)
        last_call = deadline - tail
        if hint and self._rest.misses is not None:  # told to stay away; a hint about a job that merely runs gives way
            if now + hint >= deadline:
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
            self.last, waited=waited, polls=self.polls, limit=limit, key=self.key, unknown=self._rest.unknown
        )
        misses = self._rest.misses
        error.__cause__ = None if misses is None else misses.last
        return error

    def at_present(self, now: float) -> Past:
        """Return what another process must know to go on with this wait."""
        waited, last = now - self.began, self.last
        if last is None:
            return Past(waited=waited, polls=self.polls)
        return Past(waited=waited, polls=self.polls, state=last.state, in_state=now - self.state_since)

    def _go_on(self, past: Past, now: float) -> None:
        self.began = now - past.waited
        self.polls = past.polls
        if past.state is not None:
            self.last = Snapshot(past.state)
            self.turned_at = self.running_at = now - past.in_state
        if self._rest.clocks is not None:
            self._rest.clocks.since = self.began
            if past.state is State.PROCESSING:
                self._rest.clocks.turn(State.PROCESSING, now - past.in_state)

    def _believable_hint(self) -> float:
        misses = self._rest.misses
        source = self.last if misses is None else misses.last
        hint: object = getattr(source, "retry_after", None)  # what a foreign error calls so may be anything
        if not isinstance(hint, int | float) or not hint > 0 or self._policy.hints == "ignore":
            return 0.0
        return min(hint, LONGEST_HINT)

    def _delay(self, now: float, hint: float) -> float:
        policy, last, misses = self._policy, self.last, self._rest.misses
        if hint and policy.hints == "exactly":
            return max(hint, SHORTEST_HINT)
        progress = Progress(
            self.polls - self._turned_after,
            now - self.began,
            0 if misses is None else misses.total,
            None if last is None else last.state,
            hint or None,
            None if last is None else last.progress,
            None if last is None else now - self.state_since,
        )
        learning = policy.learning
        delay = policy.schedule.delay(progress) if learning is None else learning.delay(progress, key=self.pacing_key)
        if not 0 <= delay < math.inf:
            raise ValueError(f"the schedule {policy.schedule!r} gave a delay of {delay!r} s")
        if self.polls == 1 and policy.scatter is not None:
            delay *= 1 - policy.scatter() / 4
        return max(delay, hint)

    def _limit(self) -> tuple[float, float, str]:
        """Return when the wait runs out, how long it may take in all, and the name of the limit that says so."""
        total = self._policy.timeout.total
        limit = (math.inf, math.inf, "total") if total is None else (self.began + total, total, "total")
        clocks = self._rest.clocks
        if clocks is None:
            return limit
        phase = clocks.limit(self._policy.timeout)
        return limit if phase is None or phase[0] >= limit[0] else (*phase, clocks.phase.value)

    def _agrees(self, before: Snapshot[Any] | None, snapshot: Snapshot[Any]) -> bool:
        """Count a terminal answer; return whether there were enough of the same in a row."""
        rest = self._own_rest()
        rest.agreeing = rest.agreeing + 1 if before is not None and _answer(before) == _answer(snapshot) else 1
        return rest.agreeing >= self._policy.stable_for

    def _end_misses(self) -> None:
        if self._rest is not _NOTHING:
            self._rest.misses = None
            if self._rest == _NOTHING:
                self._rest = _NOTHING

    def _note_unknown(self, word: str) -> None:
        known = self._rest.unknown
        if word not in known and len(known) < _MOST_UNKNOWN:
            self._own_rest().unknown = (*known, word)

    def _own_rest(self) -> _Rest:
        if self._rest is _NOTHING:
            self._rest = _Rest()
        return self._rest


def _tail(seconds: float) -> float:
    """Return how long before its deadline a wait of so many seconds is polled for the last time."""
    return min(_TAIL, _TAIL_SHARE * seconds)


def _answer(snapshot: Snapshot[Any]) -> tuple[State, str, Any]:
    return snapshot.state, snapshot.status, snapshot.value
