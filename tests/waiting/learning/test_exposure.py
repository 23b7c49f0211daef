"""Tests of the estimate from single looks, and of the worth of polls."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncpoll.waiting.learning._survival import Exposure, SurvivalCurve, estimate_survival, log_candidates

property_of = settings(max_examples=100, derandomize=True, database=None, deadline=None)

ages = st.floats(0.0, 1e6) | st.sampled_from([0.0, 5e-324, 0.05, 20.0, 1e300])
looks = st.lists(st.tuples(ages, ages, st.booleans()), max_size=40)
durations = st.lists(st.floats(0.0, 1e6), max_size=40)


def exposure_of(seen: list[tuple[float, float, bool]], shortest: float = 0.1) -> tuple[Exposure, SurvivalCurve]:
    """Return an estimate that was made anew after every look, and the last curve."""
    exposure = Exposure(shortest)
    curve = exposure.fill(())
    for lo, hi, has_ended in seen:
        (exposure.ended if has_ended else exposure.passed)(min(lo, hi), max(lo, hi))
        curve = exposure.estimate()
    return exposure, curve


@property_of
@given(seen=looks, shortest=st.floats(1e-3, 1e5))
def test_the_curve_falls_from_one_to_nought(seen: list[tuple[float, float, bool]], shortest: float) -> None:
    """Whatever looks come, in any order, and however often they come again."""
    _, curve = exposure_of(seen * 5, shortest)
    assert curve.survival[0] == 1.0
    assert curve.survival[-1] == 0.0
    assert list(curve.survival) == sorted(curve.survival, reverse=True)
    assert list(curve.ages) == sorted(set(curve.ages))
    assert len(curve.ages) == len(curve.survival)
    assert 0 < curve.typical < math.inf
    assert 0 < curve.longest < math.inf


def test_ends_on_both_sides_of_a_look_are_kept_apart() -> None:
    """Half of the jobs end before an age that all are looked at, however often; the curve does not move to one side."""
    exposure = Exposure(0.1)
    curve = exposure.fill(())
    for _ in range(200):
        exposure.ended(0.0, 19.92)
        exposure.passed(0.0, 19.92)
        exposure.ended(19.92, 21.55)
        curve = exposure.estimate()
    assert curve.running_at(19.92) == pytest.approx(0.5, abs=0.1)
    assert curve.running_at(21.55) < 0.1


@property_of
@given(known=durations, lo=ages, one=ages, other=ages)
def test_a_poll_is_worth_more_the_later_it_is(known: list[float], lo: float, one: float, other: float) -> None:
    """By any curve, from nothing at the look before, and by no more than the time that has passed."""
    for curve in (estimate_survival(known, log_candidates(0.1)), Exposure(0.1).fill((each, each) for each in known)):
        passed = sorted((one, other))
        values = [curve.worth(lo, lo + seconds) for seconds in passed]
        slack = 1e-4 * (1 + lo + passed[1])  # of sums of many areas
        assert -slack <= values[0] <= values[1] + slack
        assert values[1] <= passed[1] + slack


@property_of
@given(known=durations, lo=st.floats(0.0, 1e4), worth=st.floats(1e-3, 1e4))
def test_a_poll_is_due_when_it_is_worth_the_price(known: list[float], lo: float, worth: float) -> None:
    """By any curve."""
    for curve in (estimate_survival(known, log_candidates(0.1)), Exposure(0.1).fill((each, each) for each in known)):
        due = curve.when_worth(lo, worth)
        assert due >= lo
        if due < curve.ages[-1]:
            assert curve.worth(lo, due) == pytest.approx(worth, rel=0.02, abs=1e-4 * (1 + lo))


def test_of_a_job_older_than_all_others_nothing_is_known() -> None:
    """It may have ended at once: a poll is worth all of the time since the look before."""
    curve = SurvivalCurve([0.0, 10.0, 20.0], [1.0, 1.0, 0.0], 15.0, 20.0)
    assert curve.worth(25.0, 40.0) == 15.0
    assert curve.when_worth(25.0, 7.0) == 32.0
    assert curve.worth(0.0, 10.0) == 0.0
    assert curve.worth(0.0, 20.0) == curve.worth(0.0, 30.0) - 10 == 5.0
    assert curve.when_worth(0.0, 5.0) == 20.0
    assert curve.when_worth(0.0, 1.25) == 15.0


def test_an_end_is_shared_out_by_what_is_known() -> None:
    """Jobs that end in a wide interval are taken to have ended where others were seen to."""
    exposure = Exposure(0.1)
    for _ in range(30):
        exposure.passed(0.0, 20.0)
        exposure.ended(20.0, 20.5)
    exposure.estimate()
    for _ in range(30):
        exposure.ended(0.0, 40.0)
    curve = exposure.estimate()
    assert exposure.ends == 60
    assert curve.running_at(18.0) - curve.running_at(23.0) > 0.8


def test_where_jobs_are_taken_never_to_end_an_end_is_spread() -> None:
    """Each cell of the interval gets the same."""
    exposure = Exposure(0.1, hint=1e18)
    for _ in range(30):
        exposure.ended(1.0, 2.0)
    assert exposure.ends == 30
    assert exposure.estimate().age_at(0.5) == pytest.approx(1.5, abs=0.3)


def test_what_was_long_ago_is_forgotten() -> None:
    """Each cell remembers 128 jobs: after some hundred others the former ones do not count."""
    exposure = Exposure(0.1)
    for seconds in (60.0, 6.0):
        for _ in range(600):
            exposure.passed(0.0, seconds)
            exposure.ended(seconds, seconds)
            exposure.estimate()
    assert exposure.estimate().age_at(0.5) == pytest.approx(6.0, rel=0.1)


def test_records_begin_anew() -> None:
    """What was observed before counts no more; a job that was given up has passed all ages before."""
    exposure, _ = exposure_of([(0.0, 3.0, True)] * 20)
    curve = exposure.fill([(100.0, 110.0)] * 10 + [(500.0, math.inf)] * 10)
    assert exposure.ends == 10
    assert curve.running_at(50.0) > 0.8
    assert curve.running_at(300.0) == pytest.approx(0.5, abs=0.1)
