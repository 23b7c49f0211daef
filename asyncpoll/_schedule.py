"""When to ask next: frozen schedules, each a pure function of a small `Progress`.

A schedule keeps no cursor. Whoever waits says how far the wait has come, and the schedule answers with a delay; so
one schedule serves any number of waits at once, and a wait can be stored and taken up again by another process.
All times are seconds.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from functools import lru_cache
from typing import Protocol, runtime_checkable

import backoff
from attrs import field, frozen, validators

Jitter = Callable[[float], float]
full_jitter: Jitter = backoff.full_jitter

DURATION = validators.and_(validators.gt(0.0), validators.lt(math.inf))
_LONGEST_CURVE = 10_000


@frozen
class Progress:
    """How far a wait has come: plain numbers, so that it can be stored as JSON.

    Attributes:
        polls: Polls made so far; 1 when the first delay is asked for.
        elapsed: Seconds since the wait began.
        misses: Failed polls in a row, up to now.
        state: The state last seen, as its lower-case word, or None when no poll has seen anything.
        hint: Seconds to the next poll that the server suggested in its last answer, or None.
        done: The share of the job that is done, 0 to 1, or None when the server does not say.
        in_state: Seconds since the job came into that state, as far as is known, or None as before.
    """

    polls: int
    elapsed: float
    misses: int = 0
    state: str | None = None
    hint: float | None = None
    done: float | None = None
    in_state: float | None = None


class Schedule(Protocol):
    """Anything that can say how long to wait before the next poll."""

    def delay(self, progress: Progress, /) -> float:
        """Return the seconds from the last answer to the next poll: finite and not negative."""
        ...


@runtime_checkable
class Learning(Schedule, Protocol):
    """A schedule that keeps what it learns apart by a key, and says for each key when to ask next."""

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
        """Learn from what has been observed: of the jobs that were awaited together none is left."""
        ...


@frozen
class Fixed:
    """The same interval every time.

    Attributes:
        interval: Seconds between polls, above 0.
        jitter: Applied to the interval if given; a tenth of the interval is the least that it can leave.
    """

    interval: float = field(validator=DURATION)
    jitter: Jitter | None = field(default=None, kw_only=True)

    def delay(self, _progress: Progress, /) -> float:
        """Return the interval, jittered."""
        if self.jitter is None:
            return self.interval
        return max(self.interval / 10, self.jitter(self.interval))


@frozen
class Exponential:
    """Intervals that grow by a factor from *initial* to *maximum*, spread at random above *initial*.

    After poll n the cap is `min(maximum, initial * factor**(n - 1))` and the delay `initial + jitter(cap - initial)`.
    No delay is ever below *initial*: a backoff that is fully jittered down to nought now and then hammers the server.

    Attributes:
        initial: The shortest interval and the first, in seconds.
        maximum: The longest interval, in seconds.
        factor: What the cap grows by from poll to poll, at least 1.
        jitter: Any function from a value to a value, as in `backoff`; None takes the cap itself.
    """

    initial: float = field(default=1.0, validator=DURATION)
    maximum: float = field(default=30.0, validator=DURATION)
    factor: float = field(default=2.0, validator=validators.and_(validators.ge(1.0), validators.lt(math.inf)))
    jitter: Jitter | None = field(default=full_jitter, kw_only=True)

    def __attrs_post_init__(self) -> None:
        if self.maximum < self.initial:
            raise ValueError(f"maximum ({self.maximum:g} s) must not be below initial ({self.initial:g} s)")
        _curve(self.initial, self.maximum, self.factor)

    def delay(self, progress: Progress, /) -> float:
        """Return the delay after poll number `progress.polls`."""
        caps = _curve(self.initial, self.maximum, self.factor)
        cap = caps[min(progress.polls, len(caps)) - 1]
        if self.jitter is None:
            return cap
        # In this order NaN, which a jitter function of the user's own may give, becomes the floor.
        return min(max(self.initial, self.initial + self.jitter(cap - self.initial)), self.maximum)


@lru_cache(maxsize=256)
def _curve(initial: float, maximum: float, factor: float) -> tuple[float, ...]:
    """Cut backoff's exponential curve into the tuple of caps, up to the first that does not grow any more."""
    if factor == 1:
        return (initial,)
    curve = backoff.expo(base=factor, factor=initial, max_value=maximum)
    next(curve)  # its generators open with an empty yield
    caps = (*itertools.takewhile(lambda cap: cap < maximum, itertools.islice(curve, _LONGEST_CURVE)), maximum)
    if len(caps) > _LONGEST_CURVE:
        raise ValueError(f"factor {factor:g} grows too slowly; use 1, or at least 1.001")
    return caps
