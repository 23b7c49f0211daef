"""The limits of a wait in time: one number, or three clocks."""

from __future__ import annotations

import math

from attrs import define, field, frozen, validators

from asyncpoll._checks import is_number
from asyncpoll._schedule import DURATION
from asyncpoll._state import State


@frozen
class Timeout:
    """Three limits, in seconds: time in the server's queue does not spend the budget for processing.

    Attributes:
        total: From the start of the wait, or None for no such limit.
        pending: Spent waiting for the job to start, over all times it was seen pending.
        processing: Spent while the job was seen processing.
    """

    total: float | None = field(default=None, validator=validators.optional(DURATION))
    pending: float | None = field(default=None, validator=validators.optional(DURATION))
    processing: float | None = field(default=None, validator=validators.optional(DURATION))

    @property
    def has_phases(self) -> bool:
        """Whether time in one phase is limited apart from the total."""
        return self.pending is not None or self.processing is not None


UNLIMITED = Timeout()


@define
class PhaseClocks:
    """Two of the three clocks: how long a job has been seen pending, and processing.

    A job counts as pending until it is seen processing. When it goes back, the first clock goes on where it stopped.

    Attributes:
        since: When the present phase began, on the event loop's clock.
        phase: The phase whose clock is running.
        spent: Seconds that the phases before it took, by phase.
    """

    since: float
    phase: State = State.PENDING
    spent: dict[State, float] = field(factory=dict)

    def turn(self, phase: State, now: float) -> None:
        """Stop the clock that is running, and start that of *phase*."""
        self.spent[self.phase] = self.spent.get(self.phase, 0.0) + now - self.since
        self.phase, self.since = phase, now

    def limit(self, timeout: Timeout) -> tuple[float, float] | None:
        """Return when the present phase runs out and the seconds it has in all, or None when it is not limited."""
        budget = timeout.pending if self.phase is State.PENDING else timeout.processing
        return None if budget is None else (self.since + budget - self.spent.get(self.phase, 0.0), budget)


def as_timeout(timeout: float | Timeout | None) -> Timeout:
    """Return *timeout* as a `Timeout`; a number is the total, None is no limit at all.

    Raises:
        ValueError: It is not a finite number above 0.
    """
    if timeout is None:
        return UNLIMITED
    if isinstance(timeout, Timeout):
        return timeout
    if not is_number(timeout) or not 0 < timeout < math.inf:
        raise ValueError(f"timeout must be a number of seconds above 0, or None for no limit, not {timeout!r}")
    return Timeout(timeout)
