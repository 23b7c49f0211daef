"""Tests of the survival curve and its estimate."""

from __future__ import annotations

import math
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncpoll.waiting.learning._survival import HORIZON, SurvivalCurve, estimate_survival, log_candidates

CANDIDATES = log_candidates(0.1)


@settings(max_examples=200, derandomize=True, database=None, deadline=None)
@given(
    durations=st.lists(st.floats(0.0, allow_nan=False, allow_infinity=False), max_size=64),
    hint=st.none() | st.floats(1e-9, 1e12),
    shortest=st.floats(1e-3, 1e5),
)
def test_survival_falls_from_one_to_nought(durations: list[float], hint: float | None, shortest: float) -> None:
    """For any durations the knots ascend from 0 and the probability to be still running falls from 1 to 0."""
    curve = estimate_survival(durations, log_candidates(shortest), hint=hint)
    assert curve.ages[0] == 0 < curve.ages[1] <= shortest
    assert list(curve.ages) == sorted(set(curve.ages))
    assert curve.ages[-1] >= 0.99 * HORIZON
    assert list(curve.survival) == sorted(curve.survival, reverse=True)
    assert (curve.survival[0], curve.survival[-1]) == (1.0, 0.0)
    assert 0 < curve.typical < math.inf
    assert 0 < curve.longest < math.inf


def test_the_typical_duration_is_the_geometric_mean() -> None:
    """Of 2 s and 50 s that is 10 s; the longest is kept too."""
    curve = estimate_survival([50.0, 2.0], CANDIDATES)
    assert curve.typical == pytest.approx(10.0)
    assert curve.longest == pytest.approx(50.0)


def test_many_equal_durations_leave_the_prior_little_weight() -> None:
    """After 60 jobs of 20 s the curve falls from almost 1 to almost 0 there, and the prior keeps a small part."""
    curve = estimate_survival([20.0] * 60, CANDIDATES)
    assert curve.running_at(19.0) > 0.97
    assert 0.001 < curve.running_at(21.0) < 0.03


def test_two_clusters_stay_two() -> None:
    """Between durations of 2 s and of 60 s the curve is flat."""
    curve = estimate_survival([1.9, 2.0, 2.1, 58.0, 60.0, 62.0] * 5, CANDIDATES)
    assert curve.running_at(4.0) - curve.running_at(40.0) < 0.05
    assert curve.running_at(10.0) == pytest.approx(0.5, abs=0.05)


def test_a_hint_counts_until_there_are_durations() -> None:
    """Without durations the hint is the median; with many it does not count."""
    assert estimate_survival((), CANDIDATES, hint=90.0).running_at(90.0) == pytest.approx(0.5, abs=0.01)
    assert estimate_survival([5.0] * 30, CANDIDATES, hint=90.0).running_at(30.0) < 0.05


def test_a_curve_is_read_by_age_and_by_probability() -> None:
    """The curve has a value at the age at which it has fallen to it, and beyond the last knot it is 0."""
    curve = estimate_survival([3.0, 8.0, 20.0, 21.0, 60.0], CANDIDATES)
    for survival in (0.999, 0.9, 0.5, 0.1):
        assert curve.running_at(curve.age_at(survival)) == pytest.approx(survival)
    assert curve.age_at(1.0) == 0.0
    assert curve.age_at(0.0) <= curve.ages[-1]
    assert curve.running_at(2 * curve.ages[-1]) == 0.0


def test_where_a_curve_is_flat_the_middle_is_taken() -> None:
    """Between two knots of the same probability each age is as good as another."""
    flat = SurvivalCurve([0.0, 1.0, 3.0, 4.0], [1.0, 1.0, 1.0, 0.0], 1.0, 1.0)
    assert flat.age_at(1.0) == 0.5


def test_the_middle_of_an_interval_follows_the_curve() -> None:
    """It is the median of the jobs that end there, also where the interval has no end; an exact duration is itself."""
    curve = estimate_survival([20.0] * 60, CANDIDATES)
    assert curve.middle(5.0, 30.0) == pytest.approx(20.0, rel=0.02)
    assert curve.middle(5.0, math.inf) == pytest.approx(20.0, rel=0.02)
    assert curve.middle(7.25, 7.25) == pytest.approx(7.25)
    assert 30.0 <= curve.middle(30.0, math.inf) < 1000.0


def test_ends_at_the_ticks_of_a_clock_are_told_apart() -> None:
    """Where jobs end every 5 s, hardly any is expected to end between two ticks; elsewhere the curve stays smooth."""
    random = Random(4)
    ticks = estimate_survival([5.0 * random.choice((2, 3, 4, 5)) for _ in range(60)], CANDIDATES)
    assert ticks.running_at(15.6) - ticks.running_at(19.4) < 0.02
    assert ticks.running_at(19.4) - ticks.running_at(20.6) > 0.15
    smooth = estimate_survival([random.uniform(10.0, 25.0) for _ in range(60)], CANDIDATES)
    assert smooth.running_at(15.6) - smooth.running_at(19.4) > 0.15
