"""Define schedules: frozen values that compute from a small `Progress` when to poll next.

A schedule stores nothing about a wait. It is told how far the wait has come and returns a delay, so one schedule
serves any number of waits at once, and another process can continue a stored wait. All times are in seconds.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple, Protocol, runtime_checkable

import backoff
from attrs import field, frozen

from asyncpoll._checks import by_field, duration, factor, refusal

Jitter = Callable[[float], float]
full_jitter: Jitter = backoff.full_jitter

DURATION = by_field(duration)
"""The validator of a field that holds a finite number of seconds above 0."""


def _check_jitter(name: str, value: object) -> None:
    if not (value is None or callable(value)):
        raise refusal(TypeError, name, "a function from seconds to seconds, or None", value)


class Progress(NamedTuple):
    """The progress of a wait: plain numbers, so that it can be stored as JSON.

    Attributes:
        polls: The number of polls so far. It is 1 when the first delay is computed.
        elapsed: The seconds since the wait began.
        misses: The number of failed polls since the last one that succeeded.
        state: The state that was last seen, as its lower-case word, or None if no poll has succeeded yet.
        hint: The seconds until the next poll that the server suggested in its last answer, or None.
        done: The share of the job that is done, from 0 to 1, or None if the server does not say.
        in_state: The seconds since the job came into that state, as far as is known, or None if *state* is None.
    """

    polls: int
    elapsed: float
    misses: int = 0
    state: str | None = None
    hint: float | None = None
    done: float | None = None
    in_state: float | None = None


class Schedule(Protocol):
    """An object that computes how long to wait before the next poll."""

    def delay(self, progress: Progress, /) -> float:
        """Return the seconds from the last answer to the next poll: finite and not negative."""
        ...


@runtime_checkable
class Learning(Schedule, Protocol):
    """A schedule that learns separately for each key, and computes for each key when to poll next."""

    def delay(self, progress: Progress, /, *, key: str = "") -> float:
        """Return the seconds to the next poll of a job with this key."""
        ...

    def observe(
        self,
        lo: float,
        hi: float,
        *,
        state: str = "processing",
        key: str = "",
        during: tuple[float, float] | None = None,
    ) -> None:
        """Learn that a job was in *state* for longer than *lo* seconds, and not longer than *hi*."""
        ...

    def settle(self) -> None:
        """Learn from all observations so far: the last of the jobs that were awaited together has ended."""
        ...


class Planning(Learning, Protocol):
    """A schedule that learns from every look at a job, and plans the first poll of a job whose age is known."""

    def look(self, lo: float, hi: float, *, state: str = "processing", key: str = "") -> None:
        """Learn that a job which was in *state* for *lo* seconds was still in it at *hi* seconds."""
        ...

    def first_look(self, age: float, *, state: str = "processing", key: str = "") -> float:
        """Learn that a job, unseen since its submit *age* seconds ago, is in *state*; return when it came there."""
        ...

    def first_delay(self, age: float | None, *, key: str = "") -> float:
        """Return the seconds to the first poll of a job of this age; None stands for an age that is not known."""
        ...


@frozen
class Fixed:
    """A schedule that waits for the same interval after every poll.

    Attributes:
        interval: The seconds between polls, above 0.
        jitter: A function from the interval to the delay, or None. The delay is at least a tenth of the interval,
            whatever the function returns.
    """

    interval: float = field(validator=DURATION)
    jitter: Jitter | None = field(default=None, kw_only=True, validator=by_field(_check_jitter))

    def delay(self, _progress: Progress, /) -> float:
        """Return the interval, or the delay that the jitter makes of it."""
        if self.jitter is None:
            return self.interval
        return max(self.interval / 10, self.jitter(self.interval))


@frozen
class Exponential:
    """A schedule whose intervals grow by a factor from *initial* to *maximum*, with random delays in between.

    After poll n the cap is `min(maximum, initial * factor**(n - 1))`, and the delay is
    `initial + jitter(cap - initial)`. A delay is never below *initial*: with full jitter down to 0, some polls would
    follow each other at once.

    Attributes:
        initial: The first and shortest interval, in seconds.
        maximum: The longest interval, in seconds.
        factor: The factor by which the cap grows from poll to poll, at least 1.
        jitter: A function from seconds to seconds, such as those of `backoff`. With None the delay is the cap.
    """

    initial: float = field(default=1.0, validator=DURATION)
    maximum: float = field(default=30.0, validator=DURATION)
    factor: float = field(default=2.0, validator=by_field(factor))
    jitter: Jitter | None = field(default=full_jitter, kw_only=True, validator=by_field(_check_jitter))

    def __attrs_post_init__(self) -> None:
        if self.maximum < self.initial:
            raise ValueError(f"maximum ({self.maximum:g} s) must not be below initial ({self.initial:g} s)")

    def delay(self, progress: Progress, /) -> float:
        """Return the delay after poll number `progress.polls`."""
        cap = self._cap(progress.polls)
        if self.jitter is None:
            return cap
        # If the jitter returns NaN, this order of the arguments returns initial.
        return min(max(self.initial, self.initial + self.jitter(cap - self.initial)), self.maximum)

    def _cap(self, polls: int) -> float:
        try:
            return min(self.maximum, self.initial * math.pow(self.factor, max(0, polls - 1)))
        except OverflowError:
            return self.maximum
