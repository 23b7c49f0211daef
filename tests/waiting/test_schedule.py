"""When to ask next."""

from __future__ import annotations

import math
import random
from functools import partial
from typing import Any

import backoff
import pytest
from attrs.exceptions import FrozenInstanceError

from asyncpoll import Exponential, Fixed, Progress, Schedule
from asyncpoll._schedule import full_jitter


def delays(schedule: Schedule, polls: int) -> list[float]:
    """Return the delays after the first so many polls."""
    return [schedule.delay(Progress(poll, 0.0)) for poll in range(1, polls + 1)]


def test_fixed_gives_the_interval_every_time() -> None:
    """A fixed schedule gives its interval after every poll."""
    assert delays(Fixed(2.5), 4) == [2.5, 2.5, 2.5, 2.5]


def test_fixed_applies_its_jitter_to_the_interval() -> None:
    """The jitter of a fixed schedule is given the interval, and its answer is the delay."""
    assert delays(Fixed(8.0, jitter=lambda interval: interval / 2), 2) == [4.0, 4.0]


@pytest.mark.parametrize("jittered", [0.0, -1.0, math.nan])
def test_fixed_keeps_a_tenth_of_the_interval(jittered: float) -> None:
    """Whatever the jitter gives, a tenth of the interval remains, so that no server is hammered by chance."""
    assert Fixed(5.0, jitter=lambda _: jittered).delay(Progress(1, 0.0)) == 0.5


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (Exponential(jitter=None), [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]),
        (Exponential(0.5, 3.0, 3.0, jitter=None), [0.5, 1.5, 3.0, 3.0]),
        (Exponential(2.0, 9.0, 1.0, jitter=None), [2.0, 2.0, 2.0]),
        (Exponential(4.0, 4.0, jitter=None), [4.0, 4.0, 4.0]),
        (Exponential(1.0, 8.0, jitter=lambda room: room / 2), [1.0, 1.5, 2.5, 4.5, 4.5]),
    ],
)
def test_exponential_follows_its_formula(schedule: Exponential, expected: list[float]) -> None:
    """After poll n the delay is initial + jitter(cap - initial), with cap = min(maximum, initial * factor**(n - 1))."""
    assert delays(schedule, len(expected)) == expected


def test_exponential_stays_at_its_maximum_for_ever() -> None:
    """After a million polls the delay is the maximum, without overflow."""
    assert Exponential(jitter=None).delay(Progress(1_000_000, 9e9)) == 30.0


@pytest.mark.parametrize(("jittered", "expected"), [(-5.0, 2.0), (math.nan, 2.0), (math.inf, 20.0), (1e9, 20.0)])
def test_exponential_keeps_its_bounds_whatever_the_jitter_gives(jittered: float, expected: float) -> None:
    """A jitter function that goes astray is held between initial and maximum."""
    assert Exponential(2.0, 20.0, jitter=lambda _: jittered).delay(Progress(3, 0.0)) == expected


def test_exponential_takes_a_seeded_jitter() -> None:
    """Chance is an argument: two schedules with equally seeded jitter give the same delays."""
    one, other = (Exponential(jitter=partial(random.Random(7).uniform, 0.0)) for _ in range(2))
    assert delays(one, 20) == delays(other, 20)


def test_the_default_jitter_is_that_of_backoff() -> None:
    """Jitter functions are those of backoff, and any of them will do."""
    assert Exponential().jitter is full_jitter is backoff.full_jitter
    assert Exponential(1.0, 2.0, jitter=backoff.random_jitter).delay(Progress(1, 0.0)) >= 1.0


def test_a_schedule_is_a_frozen_value() -> None:
    """Schedules compare by value, can be shared, and cannot be changed."""
    assert Exponential(2.0) == Exponential(2.0)
    assert hash(Fixed(1.0)) == hash(Fixed(1.0))
    with pytest.raises(FrozenInstanceError):
        Fixed(1.0).interval = 0.0  # type: ignore[misc]  # that is what must fail


@pytest.mark.parametrize("seconds", [0.0, -1.0, math.nan, math.inf])
@pytest.mark.parametrize("make", [Fixed, Exponential, lambda seconds: Exponential(0.1, seconds)])
def test_intervals_must_be_above_nought_and_finite(make: Any, seconds: float) -> None:
    """No schedule takes an interval that is nought, negative, NaN or endless."""
    with pytest.raises(ValueError, match=r"interval|initial|maximum"):
        make(seconds)


@pytest.mark.parametrize("factor", [0.5, -1.0, math.nan, math.inf])
def test_the_factor_must_be_at_least_one(factor: float) -> None:
    """Intervals never shrink, and the factor is finite."""
    with pytest.raises(ValueError, match="factor"):
        Exponential(factor=factor)


def test_the_maximum_must_not_be_below_the_initial_interval() -> None:
    """A maximum below the initial interval is refused, with both named."""
    with pytest.raises(ValueError, match=r"maximum \(1 s\) must not be below initial \(2 s\)"):
        Exponential(2.0, 1.0)
