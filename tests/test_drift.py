"""Noticing that jobs have changed."""

from __future__ import annotations

import random

from asyncpoll.waiting.learning.drift import KEPT, Drift, Suspicion


def test_what_is_expected_raises_no_alarm() -> None:
    """Over 300 jobs that are just as believed, nothing is noticed."""
    drift, chance = Drift(), random.Random(4)
    assert not any(drift.weigh(ended_by=p, ran_longer=1 - p) for p in (chance.random() for _ in range(300)))


def test_a_few_jobs_that_are_too_fast_are_enough() -> None:
    """The third in a row that hardly one in a thousand is as fast as gives the alarm, and starts afresh."""
    drift = Drift()
    assert [drift.weigh(ended_by=0.001, ran_longer=0.999) for _ in range(3)] == [None, KEPT, None]


def test_a_few_jobs_that_are_too_slow_are_enough() -> None:
    """The same holds the other way; what a belief holds impossible is no proof on its own."""
    drift = Drift()
    assert [drift.weigh(ended_by=1.0, ran_longer=0.0) for _ in range(2)] == [None, KEPT]


def test_a_slow_change_says_how_many_jobs_show_it() -> None:
    """Weak evidence adds up, and all the jobs that it rests on are kept."""
    drift = Drift()
    answers = [drift.weigh(ended_by=0.9, ran_longer=0.15) for _ in range(20)]
    assert next(answer for answer in answers if answer) == answers.index(16) + 1 == 16


def test_what_speaks_against_it_ends_a_suspicion() -> None:
    """Evidence never falls below 1, and a streak that has come to nothing is forgotten."""
    suspicion = Suspicion()
    suspicion.weigh(0.01)
    assert (suspicion.evidence, suspicion.streak) == (5.0, 1)
    for _ in range(3):
        suspicion.weigh(1.0)
    assert (suspicion.evidence, suspicion.streak) == (1.0, 0)
