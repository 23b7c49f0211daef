"""Draw the durations and the outcome of a job from a seed and the job's id.

A life is a pure function of (seed, endpoint, id): neither the order of the requests nor the process matters. All times
are seconds.
"""

from __future__ import annotations

import hashlib
import json
import math
from bisect import bisect_right
from collections.abc import Mapping
from random import Random
from typing import Protocol

from attrs import field, frozen, validators

NOT_NEGATIVE = validators.and_(validators.ge(0.0), validators.lt(math.inf))
POSITIVE = validators.and_(validators.gt(0.0), validators.lt(math.inf))
SHARE = validators.and_(validators.ge(0.0), validators.le(1.0))
_DISPATCH = 0.1  # the share of the processing time in which a job is dispatched and does not run yet


def fingerprint(seed: int, *names: str) -> bytes:
    """Return 16 bytes that depend only on the seed and the names, in every process and on every machine."""
    # JSON keeps ("a", "bc") and ("ab", "c") apart, and can encode lone surrogates, which UTF-8 cannot.
    return hashlib.blake2b(json.dumps([seed, *names]).encode(), digest_size=16).digest()


def random_for(seed: int, *names: str) -> Random:
    """Return a random generator of its own for these names."""
    return Random(int.from_bytes(fingerprint(seed, *names)))


class Duration(Protocol):
    """A distribution of durations."""

    def draw(self, random: Random, /) -> float:
        """Return a duration in seconds, finite and not negative."""
        ...


@frozen
class Constant:
    """Always the same number of seconds."""

    seconds: float = field(validator=NOT_NEGATIVE)

    def draw(self, _random: Random, /) -> float:
        """Return the constant."""
        return self.seconds


@frozen
class Uniform:
    """Any duration from *low* to *high* seconds, all equally likely."""

    low: float = field(validator=NOT_NEGATIVE)
    high: float = field(validator=NOT_NEGATIVE)

    def __attrs_post_init__(self) -> None:
        if self.high < self.low:
            raise ValueError(f"high ({self.high:g} s) must not be below low ({self.low:g} s)")

    def draw(self, random: Random, /) -> float:
        """Return a duration."""
        return random.uniform(self.low, self.high)


@frozen
class Exponential:
    """Durations without memory, *mean* seconds on average, such as the time in a queue."""

    mean: float = field(validator=POSITIVE)

    def draw(self, random: Random, /) -> float:
        """Return a duration."""
        return random.expovariate(1 / self.mean)


@frozen
class LogNormal:
    """Half of the durations are below *median* seconds; *sigma* is their spread (0.5 is narrow, 1.5 wide)."""

    median: float = field(validator=POSITIVE)
    sigma: float = field(validator=NOT_NEGATIVE)

    def draw(self, random: Random, /) -> float:
        """Return a duration."""
        return random.lognormvariate(math.log(self.median), self.sigma)


@frozen
class Pareto:
    """A heavy tail above *minimum* seconds; with *shape* 1 or less the mean is infinite."""

    minimum: float = field(validator=POSITIVE)
    shape: float = field(validator=POSITIVE)

    def draw(self, random: Random, /) -> float:
        """Return a duration."""
        return self.minimum * random.paretovariate(self.shape)


@frozen
class Bimodal:
    """Durations from *usual*, but a *share* of them (0 to 1) from *other*."""

    usual: Duration
    other: Duration
    share: float = field(validator=SHARE)

    def draw(self, random: Random, /) -> float:
        """Return a duration."""
        return (self.other if random.random() < self.share else self.usual).draw(random)


@frozen(kw_only=True)
class Life:
    """One job from its submission to its end.

    Attributes:
        pending: Seconds in the queue.
        processing: Seconds from then to the end.
        outcome: The terminal word, spelled as the API spells it.
    """

    pending: float = field(default=0.0, validator=NOT_NEGATIVE)
    processing: float = field(default=0.0, validator=NOT_NEGATIVE)
    outcome: str

    @property
    def length(self) -> float:
        """Seconds from submission to the end."""
        return self.pending + self.processing

    def phase(self, age: float) -> int:
        """Return 0 while queued, 1 while dispatched, 2 while running and 3 from the end on, *age* seconds in."""
        return bisect_right((self.pending, self.pending + _DISPATCH * self.processing, self.length), age)


@frozen
class LifeGenerator:
    """Draws lives.

    Attributes:
        seed: The seed of all lives.
        pending: The distribution of the seconds in the queue.
        processing: The distribution of the seconds of work.
    """

    seed: int
    pending: Duration
    processing: Duration

    def draw(self, weights: Mapping[str, float], *names: str) -> Life:
        """Return the life of the job with these *names* (an endpoint and an id), its outcome weighted by *weights*."""
        random = random_for(self.seed, *names)
        pending, processing = self.pending.draw(random), self.processing.draw(random)
        [outcome] = random.choices(tuple(weights), tuple(weights.values()))
        return Life(pending=pending, processing=processing, outcome=outcome)
