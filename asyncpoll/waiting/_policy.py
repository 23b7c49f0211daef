"""How a wait is to be done: one frozen value for any number of waits."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

from attrs import Factory, field, frozen, validators

from asyncpoll._schedule import Exponential, Learning, Schedule
from asyncpoll.waiting._timeout import UNLIMITED, Timeout

Hints = Literal["at_least", "exactly", "ignore"]

NOT_NEGATIVE = validators.and_(validators.ge(0.0), validators.lt(math.inf))


def _can_delay(_policy: object, _field: object, schedule: object) -> None:
    if isinstance(schedule, type) or not callable(getattr(schedule, "delay", None)):
        raise TypeError(f"schedule must have a method delay(progress), as Exponential() has, not {schedule!r}")


def _learning(policy: Policy) -> Learning | None:
    return policy.schedule if isinstance(policy.schedule, Learning) else None


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
        scatter: Gives the share, from 0 up to 1, of a quarter of the first interval by which that is shorter, so that
            what is polled together first does not stay together.
        learning: The schedule, when it is one that learns.
    """

    schedule: Schedule = field(default=Exponential(), validator=_can_delay)
    timeout: Timeout = UNLIMITED
    max_polls: int | None = field(default=None, validator=validators.optional(validators.ge(1)))
    max_misses: int | None = field(default=None, validator=validators.optional(validators.ge(0)))
    not_found_grace: float = field(default=0.0, validator=NOT_NEGATIVE)
    stable_for: int = field(default=1, validator=validators.ge(1))
    hints: Hints = field(default="at_least", validator=validators.in_(("at_least", "exactly", "ignore")))
    replans: bool = False
    parks: bool = False
    scatter: Callable[[], float] | None = None
    learning: Learning | None = field(init=False, eq=False, repr=False, default=Factory(_learning, takes_self=True))
