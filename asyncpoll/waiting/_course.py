"""The course of a wait so far, what it says about how long its job takes, and what a schedule is told of that.

Times are on the event loop's clock, durations in seconds.
"""

from __future__ import annotations

import logging
import math
from contextvars import Context
from datetime import UTC, datetime
from typing import Any

from attrs import define

from asyncpoll._errors import LONGEST_HINT
from asyncpoll._snapshot import Snapshot
from asyncpoll._state import State
from asyncpoll._timeout import PhaseClocks
from asyncpoll.waiting._job_calls import PollMemory
from asyncpoll.waiting._misses import MissRow
from asyncpoll.waiting._policy import Policy
from asyncpoll.waiting.learning._history import LONGEST_KEY
from asyncpoll.waiting.learning._learned import since_submit

LASTING = (State.PENDING, State.PROCESSING)  # a tuple: looking one up compares identities first

_AT_ONCE = 1.0  # a job that had ended when it was first looked at so soon had ended before; what it took is not known
_log = logging.getLogger(__name__)


@define
class Rare:
    """The part of a decision that most waits never need: a million of them share one empty instance.

    Attributes:
        clocks: Which phase has taken how long, if phases are limited.
        misses: The misses in a row, if the last poll was one.
        unknown: Status words seen that no vocabulary lists.
        agreeing: Equal terminal answers in a row.
        state_changed_at: When the job came into the state last seen: midway between the poll that first saw it and
            the one before. None while it is the first state seen.
        replan_base: The polls made before the schedule began anew.
        context: The context of its own in which a wait in a hub is observed.
        memory: What its job keeps between polls.
        projected: How long the job should be in its state by the first progress that it showed there, in seconds.
    """

    clocks: PhaseClocks | None = None
    misses: MissRow | None = None
    unknown: tuple[str, ...] = ()
    agreeing: int = 0
    state_changed_at: float | None = None
    replan_base: int = 0
    context: Context | None = None
    memory: PollMemory | None = None
    projected: float | None = None


NONE = Rare()
"""The empty instance that all share; it is never written."""


class Course:
    """The course of one wait.

    Attributes:
        policy: How the wait is done.
        subject: The job, or a bare coroutine function.
        age: The seconds since the submit of the job when the wait began; None if they are not known.
        began: When the wait began.
        polls: Polls made so far, failed ones included.
        last: What the last successful poll saw.
        running_at: When the job was last seen unfinished; None before that.
    """

    __slots__ = ("_rare", "age", "began", "last", "policy", "polls", "running_at", "subject")

    def __init__(self, policy: Policy, now: float, subject: object) -> None:
        self.policy = policy
        self._rare = Rare(PhaseClocks(now)) if policy.timeout.has_phases else NONE
        self.subject = subject
        submitted_at: float | None = getattr(subject, "submitted_at", None)
        self.age: float | None = (
            None if submitted_at is None else max(0.0, datetime.now(UTC).timestamp() - submitted_at)
        )
        self.began = now
        self.polls = 0
        self.last: Snapshot[Any] | None = None
        self.running_at: float | None = None

    @property
    def key(self) -> str | None:
        """The key of the job, or None when a bare coroutine function is awaited."""
        key: str | None = getattr(self.subject, "key", None)
        return key

    @property
    def pacing_key(self) -> str:
        """A key that jobs share which should take about as long; empty for a bare coroutine function."""
        key: str = getattr(self.subject, "pacing_key", "")
        if not key or self.age is None or self.policy.planning is None:
            return key[:LONGEST_KEY]
        return since_submit(key)

    @property
    def state_since(self) -> float:
        """When the job came into the state last seen, as far as is known."""
        changed_at = self._rare.state_changed_at
        return self.began - (self.age or 0.0) if changed_at is None else changed_at

    @property
    def _has_ended_at_submit(self) -> bool:
        return getattr(self.subject, "submitted", None) is not None

    def planned_first_delay(self) -> float:
        """Return the seconds after which the schedule wants the first poll; 0 if it has no wish, or fails."""
        policy = self.policy
        if policy.planning is None or self.polls or "first_delay" in policy.given or self._has_ended_at_submit:
            return 0.0
        try:
            delay = policy.planning.first_delay(self.age, key=self.pacing_key)
            is_valid = 0 <= delay < math.inf
        except BaseException:  # noqa: BLE001  whatever it is, it is the schedule's own
            _log.exception("the schedule %r failed to plan a first poll", policy.planning)
            return 0.0
        return delay if is_valid else 0.0

    def submit_hint(self) -> float:
        """Return for how many seconds the server wants no poll, as it said in its reply to the submit."""
        not_before = getattr(self.subject, "not_before", None)
        if not_before is None or self.polls or self.policy.hints == "ignore":
            return 0.0
        left: float = not_before - datetime.now(UTC).timestamp()
        return min(max(0.0, left), LONGEST_HINT)

    def learn_look(self, before: Snapshot[Any] | None, snapshot: Snapshot[Any], now: float) -> None:
        """Tell the schedule of a look at the job that saw it in the state in which it was before, or was the first."""
        state, in_state = snapshot.state, now - self.state_since
        if before is None and state.is_terminal:
            is_late = self.age is not None or now - self.began >= self.policy.first_delay + _AT_ONCE
            if is_late and not self._has_ended_at_submit:
                self.teach(State.PROCESSING, *exact_end(snapshot, 0.0, in_state), now)
        elif before is None and self.age is not None and state in LASTING:
            self._learn_first_look(state, in_state, now)
        elif state in LASTING:
            self._look(state, 0.0 if self.running_at is None else self.running_at - self.state_since, in_state)
        self._project(snapshot, in_state)

    def learn_change(self, snapshot: Snapshot[Any], now: float) -> None:
        """Tell the schedule of a job that was seen in a new state."""
        if snapshot.state in LASTING and self.policy.planning is not None:
            in_state = now - self.state_since
            self._look(snapshot.state, 0.0, in_state)
            self._project(snapshot, in_state)

    def teach(self, state: State, lo: float, hi: float, now: float) -> None:
        """Tell a schedule that learns how long the job was in *state*; its failure is logged and breaks no wait."""
        learning = self.policy.learning
        if learning is None or hi <= 0:
            return
        seen = 0.0 if self.running_at is None else self.running_at - self.state_since
        if self.policy.planning is not None and seen < lo < math.inf:
            self._look(state, seen, lo)
        try:
            learning.observe(lo, hi, state=state.value, key=self.pacing_key, during=(self.state_since, now))
            total = self._rare.projected
            if total is not None:
                self._rare.projected = None
                if compare := getattr(learning, "compare_progress", None):  # a schedule of a user's own may lack it
                    compare(total, lo, hi, state=state.value, key=self.pacing_key)
        except BaseException:  # noqa: BLE001  whatever it is, it is the schedule's own
            _log.exception("the schedule %r failed to learn", learning)

    def _own_rare(self) -> Rare:
        """Return the rare part, for writing."""
        if self._rare is NONE:
            self._rare = Rare()
        return self._rare

    def _project(self, snapshot: Snapshot[Any], in_state: float) -> None:
        """Keep how long the job should be in its state by its first progress there, to be compared with its end."""
        if snapshot.progress and snapshot.state in LASTING and self._rare.projected is None and in_state > 0:
            self._own_rare().projected = in_state / snapshot.progress

    def _learn_first_look(self, state: State, age: float, now: float) -> None:
        planning: Any = self.policy.planning
        try:
            came = planning.first_look(age, state=state.value, key=self.pacing_key)
            was_pending = 0 < came <= age
        except BaseException:  # noqa: BLE001  whatever it is, it is the schedule's own
            _log.exception("the schedule %r failed to learn", planning)
        else:
            if was_pending:
                self.teach(State.PENDING, 0.0, age, now)
                self._own_rare().state_changed_at = self.state_since + came

    def _look(self, state: State, lo: float, hi: float) -> None:
        planning: Any = self.policy.planning
        try:
            planning.look(lo, hi, state=state.value, key=self.pacing_key)
        except BaseException:  # noqa: BLE001  whatever it is, it is the schedule's own
            _log.exception("the schedule %r failed to learn", planning)


def exact_end(snapshot: Snapshot[Any], lo: float, hi: float) -> tuple[float, float]:
    """Return between which ages a job has ended that ran at age *lo*, seen now at age *hi*.

    The server's own time of the end goes before the polls, unless it contradicts them: then its clock is not ours.
    """
    ended_at = snapshot.ended_at
    ended = math.nan if ended_at is None else hi - (datetime.now(UTC) - ended_at).total_seconds()
    return (ended, ended) if lo <= ended <= hi else (lo, hi)
