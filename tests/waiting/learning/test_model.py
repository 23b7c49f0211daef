"""Tests of the detector of changes."""

from __future__ import annotations

from random import Random

from asyncpoll.waiting.learning._model import KEPT, ChangeDetector


def test_jobs_that_follow_the_curve_do_not_raise_an_alarm() -> None:
    """Over 300 jobs that are distributed as the curve, a change is not reported."""
    detector, random = ChangeDetector(), Random(4)
    assert not any(detector.update(ended_by=p, ran_longer=1 - p) for p in (random.random() for _ in range(300)))


def test_a_few_jobs_that_are_too_fast_are_enough() -> None:
    """The second job in a row at a p-value of 0.001 raises the alarm, which resets the evidence."""
    detector = ChangeDetector()
    assert [detector.update(ended_by=0.001, ran_longer=0.999) for _ in range(3)] == [None, KEPT, None]


def test_a_few_jobs_that_are_too_slow_are_enough() -> None:
    """The second impossible job raises the alarm: a single one is not enough."""
    detector = ChangeDetector()
    assert [detector.update(ended_by=1.0, ran_longer=0.0) for _ in range(2)] == [None, KEPT]


def test_a_slow_change_says_how_many_jobs_show_it() -> None:
    """Weak evidence adds up, and all the jobs that it rests on are kept."""
    detector = ChangeDetector()
    answers = [detector.update(ended_by=0.9, ran_longer=0.15) for _ in range(20)]
    assert next(answer for answer in answers if answer) == answers.index(16) + 1 == 16


def test_contrary_observations_reset_the_evidence() -> None:
    """Three usual jobs after an unusual one, and it takes as many unusual ones as ever to raise the alarm."""
    detector = ChangeDetector()
    assert detector.update(ended_by=0.001, ran_longer=0.999) is None
    assert not any(detector.update(ended_by=0.9, ran_longer=0.9) for _ in range(20))
    assert [detector.update(ended_by=0.001, ran_longer=0.999) for _ in range(2)] == [None, KEPT]
