"""The one place that decides what to do after a poll: an object that neither sleeps nor does I/O.

A driver polls, and gives the result (a snapshot, or the error that came instead) to `Decision.apply`. The `Verdict`
that it returns says that the wait goes on and when to poll next, or that it is over and how. A driver holds no policy
of its own: there are two, the loop of a single wait and the scheduler of a hub, and both go through `apply`.

Times are on the event loop's clock, durations in seconds.
"""

from __future__ import annotations

import json
import logging
import math
from typing import Any, NamedTuple

from attrs import asdict, field, frozen

from asyncpoll._checks import by_field, delay, whole
from asyncpoll._errors import LONGEST_HINT, WaitTimeout
from asyncpoll._schedule import Progress
from asyncpoll._snapshot import Snapshot
from asyncpoll._state import State
from asyncpoll._structure import from_json
from asyncpoll.waiting._course import LASTING, NONE, Course, exact_end
from asyncpoll.waiting._job_calls import PollMemory, Result, as_outcome
from asyncpoll.waiting._misses import SHORTEST_THROTTLE, MissRow, is_miss
from asyncpoll.waiting._policy import Policy, tail_of

NEVER = math.inf
"""A time that does not come."""

SHORTEST_HINT = 0.1
"""The least that a hint taken exactly can mean; a server must not make us spin."""

OVERSLEPT = 0.5
"""A poll that is later than this was held up: the process was stopped, the machine slept, the loop was blocked."""

_MOST_UNKNOWN = 5
_SPREAD = 0.2  # of the time since a job was seen, over which polls are spread that are late by a new plan
_EAGER = 0.5  # the share of an interval after which a poll may be made early
_log = logging.getLogger(__name__)


@frozen(kw_only=True)
class WaitCheckpoint:
    """The progress of a wait, for another process to go on with.

    Attributes:
        waited: Seconds since it began; they count towards the limits.
        polls: Polls made so far.
        state: The state last seen, or None.
        in_state: Seconds since the job came into it.
    """

    waited: float = field(default=0.0, validator=by_field(delay))
    polls: int = field(default=0, validator=by_field(whole(0)))
    state: State | None = None
    in_state: float = field(default=0.0, validator=by_field(delay))

    def to_json(self) -> str:
        """Return it as JSON text that `from_json` reads."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> WaitCheckpoint:
        """Return the progress in *text*, which `to_json` wrote.

        Raises:
            ValueError: The text is not such progress.
        """
        return from_json(text, cls)


class Verdict(NamedTuple):
    """The consequences of one poll for one wait.

    Attributes:
        due: When the wait wants the next poll; `NEVER` when it is over.
        over: Whether it is over.
        error: The error that ended it, or None: it goes on, or its last snapshot is terminal.
        before: What the poll before had seen.
        interval: The seconds that the schedule wanted, before hints and deadlines; 0 when the wait is over.
    """

    due: float
    over: bool
    error: BaseException | None
    before: Snapshot[Any] | None
    interval: float = 0.0


class Decision(Course):
    """The course of one wait under a policy, and what follows from it."""

    __slots__ = ()

    def __init__(
        self, policy: Policy, now: float, *, subject: object = None, checkpoint: WaitCheckpoint | None = None
    ) -> None:
        super().__init__(policy, now, subject)
        if checkpoint is not None:
            self._restore(checkpoint, now)

    @property
    def deadline(self) -> float:
        """When the wait must end if nothing changes; `math.inf` when it need not."""
        return self.began + self.policy.total if self._rare.clocks is None else self._limit()[0]

    @property
    def memory(self) -> PollMemory | None:
        """What the job keeps between the polls of this wait; None while that is nothing."""
        return self._rare.memory

    def own_memory(self) -> PollMemory:
        """Return what the job keeps between the polls of this wait, for writing."""
        rare = self._own_rare()
        if rare.memory is None:
            rare.memory = PollMemory()
        return rare.memory

    def seconds_left(self, now: float) -> float | None:
        """Return the seconds until the deadline; None if there is none."""
        return None if self.deadline == math.inf else max(0.0, self.deadline - now)

    def first_poll(self, now: float, extra: float = 0.0) -> float:
        """Return when to poll first: as the caller, the schedule and the server want, whichever is latest.

        It is *extra* seconds later, but not past the deadline.
        """
        wanted = self.policy.first_delay, self.planned_first_delay(), self.submit_hint()
        return self._by_deadline(now, max(wanted) + extra)

    def earliest_poll(self, due: float) -> float:
        """Return when the poll that is due at *due* may be made at the earliest, if there are calls to spare."""
        policy = self.policy
        if policy.learning is None or self._rare.misses is not None or self._hint() or self.submit_hint():
            return due
        seen, apart = (
            (self.began, policy.first_delay) if self.running_at is None else (self.running_at, policy.at_least)
        )
        return min(due, seen + max(apart, (due - seen) * _EAGER))

    def planned_anew(self, learned: object, now: float) -> float:
        """Return when the next poll would be due if it was planned only *now*, or `NEVER` where nothing is planned.

        Polls whose time would have come are spread a little: the more, the longer ago the job was seen.

        Args:
            learned: The schedule that has learned something.
            now: The time.
        """
        policy, seen, last = self.policy, self.running_at, self.last
        if policy.planning is not learned or self._rare.misses is not None or self._hint() or self.submit_hint():
            return NEVER
        try:
            if seen is not None and last is not None and not last.state.is_terminal:
                due = self._next_poll(seen, self._delay(seen))
            elif not self.polls and self.planned_first_delay():
                due = self.first_poll(self.began)
            else:
                return NEVER
            since = self.began if seen is None else seen
            return max(due, now + _SPREAD * (now - since) * policy.random())
        except BaseException:  # noqa: BLE001  a deadline is near, or the schedule failed: the former plan stands
            return NEVER

    def joining_poll(self, now: float) -> float:
        """Return when to poll at the latest for a wait that joins others: an interval after the poll they just had."""
        interval = max(self._interval(Progress(1, 0.0)), self.policy.at_least)
        return self._by_deadline(now, max(interval, self.policy.first_delay))

    def late_poll(self, now: float, interval: float) -> float:
        """Return when to make a poll that was held up: waits that were held up together must not poll together.

        Args:
            now: The time.
            interval: The seconds that had been planned from the poll before to this one.
        """
        return self._by_deadline(now, interval * self.policy.random())

    def apply(self, result: Result, now: float, *, delay: float | None = None, teaches: bool = True) -> Verdict:
        """Apply the result of a poll, and return what follows. It never raises.

        Args:
            result: A snapshot, or the error that the poll raised; see `as_result`.
            now: When it came.
            delay: The `Verdict.interval` on which waits that share a schedule have settled, if any.
            teaches: Whether a schedule that learns is told how long the job was in its state.
        """
        before = self.last
        try:
            if isinstance(result, BaseException):
                over = self._missed(result, now)
            else:
                over = self._saw(result, now, teaches=teaches)
            if over:
                return Verdict(NEVER, True, None, before)
            if self.policy.max_polls is not None and self.polls >= self.policy.max_polls:
                return Verdict(NEVER, True, self.timed_out(now, "polls"), before)
            interval = self._delay(now) if delay is None else delay
            return Verdict(self._next_poll(now, interval), False, None, before, interval)
        except BaseException as error:  # noqa: BLE001  a schedule may raise anything; it must end this wait only
            return Verdict(NEVER, True, as_outcome(error), before)

    def cut(self, now: float) -> WaitTimeout:
        """Count the poll in flight, and return the error that ends the wait because its deadline has passed."""
        self.polls += 1
        return self.timed_out(now)

    def timed_out(self, now: float, limit: str | None = None, kind: type[WaitTimeout] = WaitTimeout) -> WaitTimeout:
        """Return the error that ends the wait because of *limit*, by default the clock that ran out."""
        deadline, _, clock = self._limit()
        error = kind(
            self.last,
            waited=now - self.began,
            polls=self.polls,
            limit=limit or clock,
            key=self.key,
            unknown=self._rare.unknown,
            seconds_left=0.0 if limit else max(0.0, deadline - now),
        )
        misses = self._rare.misses
        error.__cause__ = None if misses is None else misses.last
        if self.last is not None and self.last.state in LASTING and self.running_at is not None:
            self.teach(self.last.state, self.running_at - self.state_since, math.inf, now)
        return error

    def checkpoint(self, now: float) -> WaitCheckpoint:
        """Return what another process must know to go on with this wait."""
        waited, last = now - self.began, self.last
        if last is None:
            return WaitCheckpoint(waited=waited, polls=self.polls)
        return WaitCheckpoint(waited=waited, polls=self.polls, state=last.state, in_state=now - self.state_since)

    def _restore(self, checkpoint: WaitCheckpoint, now: float) -> None:
        self.began = now - checkpoint.waited
        if self.age is not None:
            self.age = max(0.0, self.age - checkpoint.waited)
        self.polls = checkpoint.polls
        since = now - checkpoint.in_state
        if checkpoint.state is not None:
            self.last = Snapshot(checkpoint.state)
            self.running_at = max(self.began, since)  # it was seen by a poll of this wait
            if since > self.began:
                self._own_rare().state_changed_at = since
        if self._rare.clocks is not None:
            self._rare.clocks.since = self.began
            if checkpoint.state is State.PROCESSING:
                self._rare.clocks.turn(State.PROCESSING, since)

    # the result of a poll

    def _saw(self, snapshot: Snapshot[Any], now: float, *, teaches: bool) -> bool:
        """Record what a poll saw; return whether the wait is over."""
        self.polls += 1
        if self._rare is not NONE:
            self._end_misses()
        before, self.last = self.last, snapshot
        state = snapshot.state
        if before is not None and before.state is not state:
            self._state_changed(before.state, snapshot, now, teaches=teaches)
        elif self.policy.planning is not None and teaches:
            self.learn_look(before, snapshot, now)
        if state not in LASTING and state.is_terminal:
            return self.policy.stable_for == 1 or self._agrees(before, snapshot)
        self.running_at = now
        rare = self._rare
        if state is State.UNKNOWN:
            self._note_unknown(snapshot.status)
        elif rare.clocks is not None and state is not rare.clocks.phase:
            rare.clocks.turn(state, now)
        return False

    def _missed(self, error: BaseException, now: float) -> bool:
        """Record that a poll failed and saw nothing; return False: the wait goes on.

        Raises:
            BaseException: *error* itself, when it is not a miss or when there were too many in a row.
        """
        policy = self.policy
        self.polls += 1
        elapsed = now - self.began
        if not is_miss(error, elapsed=elapsed, not_found_grace=policy.not_found_grace, miss_on=policy.miss_on):
            raise error
        _log.debug("%s: poll %d was missed, after %.3g s: %s", self.key, self.polls, elapsed, error)
        rare = self._own_rare()
        misses = rare.misses = rare.misses or MissRow(error)
        too_many = misses.add(error, now)
        if policy.max_misses is not None:  # the caller's own limit replaces those by kind
            too_many = misses.total > policy.max_misses
        if too_many:
            raise error
        return False

    def _state_changed(self, before: State, snapshot: Snapshot[Any], now: float, *, teaches: bool) -> None:
        after, running_at = snapshot.state, self.running_at
        if teaches and before in LASTING and after is not State.UNKNOWN and running_at is not None:
            # A job that was never seen unfinished says nothing: it is unknown when it began.
            lo, hi = running_at - self.state_since, now - self.state_since
            self.teach(before, *exact_end(snapshot, lo, hi), now)
        if after.is_terminal and self.policy.stable_for == 1:
            return
        rare = self._own_rare()
        rare.state_changed_at = now if running_at is None else (running_at + now) / 2
        if after is State.PROCESSING and before is State.PENDING and self.policy.replans:
            rare.replan_base = self.polls - 1
        if teaches:
            self.learn_change(snapshot, now)

    def _agrees(self, before: Snapshot[Any] | None, snapshot: Snapshot[Any]) -> bool:
        """Count a terminal answer; return whether there were enough equal ones in a row."""
        rare = self._own_rare()
        rare.agreeing = rare.agreeing + 1 if before is not None and _answer(before) == _answer(snapshot) else 1
        return rare.agreeing >= self.policy.stable_for

    # the next poll

    def _next_poll(self, now: float, interval: float) -> float:
        """Return when to poll next, given that the last answer came at *now* and what the schedule wants.

        Raises:
            WaitTimeout: The deadline has come, or the server told us to stay away until after it.
        """
        policy, misses = self.policy, self._rare.misses
        hint = self._hint()
        due = now + (max(hint, SHORTEST_HINT) if hint and policy.hints == "exactly" else max(interval, hint))
        if self._rare.clocks is None:
            deadline, tail = self.began + policy.total, policy.tail
        else:
            deadline, limit, _ = self._limit()
            tail = tail_of(limit)
        last_call = deadline - tail
        stay_away = 0.0
        if misses is not None:  # it told us to; a hint about a job that merely runs gives way to the last poll
            stay_away = hint or (SHORTEST_THROTTLE if misses.throttles else 0.0)
            due = due if hint else max(due, now + misses.throttle(policy.random))
        if stay_away or policy.at_least:
            apart = max(stay_away, policy.at_least)
            if now + apart >= deadline:
                if policy.parks:
                    return deadline
                raise self.timed_out(now, "throttled" if stay_away and now + stay_away >= deadline else None)
            last_call, due = max(last_call, now + apart), max(due, now + apart)
        if due <= last_call:
            return due
        if last_call - now > tail / 5:  # else the poll just made was the last one, or as good as that
            return last_call
        raise self.timed_out(now)

    def _hint(self) -> float:
        """Return for how many seconds the server asked to stay away; 0 if it did not, or is not to be believed."""
        misses = self._rare.misses
        hint: object = self.last.retry_after if misses is None and self.last is not None else None
        if misses is not None:
            hint = getattr(misses.last, "retry_after", None)  # an attribute of a foreign error may be anything
        if hint is None or self.policy.hints == "ignore":
            return 0.0
        return min(hint, LONGEST_HINT) if isinstance(hint, int | float) and hint > 0 else 0.0

    def _delay(self, now: float) -> float:
        """Return the seconds to the next poll that the schedule wants."""
        policy, last, rare = self.policy, self.last, self._rare
        if last is None:
            state = done = in_state = None
        else:
            since = rare.state_changed_at  # as `state_since`, which every poll would have to enter
            in_state = now - (self.began - (self.age or 0.0) if since is None else since)
            state, done = last.state, last.progress
        missed = 0 if rare.misses is None else rare.misses.total
        polls = self.polls - rare.replan_base
        delay = self._interval(Progress(polls, now - self.began, missed, state, self._hint() or None, done, in_state))
        return delay if self.polls != 1 or policy.scatter is None else delay * (1 - policy.scatter() / 4)

    def _interval(self, progress: Progress) -> float:
        """Return the schedule's delay.

        Raises:
            ValueError: It is not a finite number, 0 or more.
        """
        policy, learning = self.policy, self.policy.learning
        delay = policy.schedule.delay(progress) if learning is None else learning.delay(progress, key=self.pacing_key)
        if not 0 <= delay < math.inf:
            raise ValueError(f"the schedule {policy.schedule!r} returned a delay of {delay!r} s")
        return delay

    def _by_deadline(self, now: float, delay: float) -> float:
        """Return when a poll is to be made that should be in *delay* seconds, but not past the deadline."""
        deadline, limit, _ = self._limit()
        return max(now, min(now + delay, deadline - tail_of(limit)))

    def _limit(self) -> tuple[float, float, str]:
        """Return when the wait runs out, how long it may take in all, and the name of the limit that says so."""
        total = self.policy.total
        limit = (self.began + total, total, "total")
        clocks = self._rare.clocks
        if clocks is None:
            return limit
        phase = clocks.limit(self.policy.timeout)
        return limit if phase is None or phase[0] >= limit[0] else (*phase, clocks.phase.value)

    # the rare part

    def _end_misses(self) -> None:
        rare = self._rare
        if rare.misses is not None:
            rare.misses = None
            if rare == NONE:
                self._rare = NONE

    def _note_unknown(self, word: str) -> None:
        known = self._rare.unknown
        if word not in known and len(known) < _MOST_UNKNOWN:
            self._own_rare().unknown = (*known, word)


def _answer(snapshot: Snapshot[Any]) -> tuple[State, str, Any]:
    return snapshot.state, snapshot.status, snapshot.value
