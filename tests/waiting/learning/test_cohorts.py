"""Jobs that run at the same time: a schedule learns from all of them together."""

from __future__ import annotations

import math
import statistics
from random import Random

import pytest

from asyncpoll._schedule import Progress
from asyncpoll.waiting.learning._learned import MOST_KEYS, Learned


def learned() -> Learned:
    """Return a schedule with a seeded random source."""
    return Learned(random=Random(1).random)


def cohort(schedule: Learned, began: float, *durations: float) -> None:
    """Observe jobs that begin together and are seen twice, the shortest first."""
    for duration in sorted(durations):
        schedule.look(0.0, duration - 1)
        schedule.observe(duration - 1, duration, during=(began, began + duration))


def test_jobs_of_a_cohort_are_recorded_together() -> None:
    """They are recorded once a job that began after the first of them had ended has ended too, or by `settle`."""
    schedule = learned()
    cohort(schedule, 0.0, *range(10, 30))
    assert not schedule.history.track("", "processing").records
    schedule.observe(4.0, 5.0, during=(9.0, 14.0))
    assert not schedule.history.track("", "processing").records
    schedule.observe(4.0, 5.0, during=(20.0, 25.0))
    assert len(schedule.history.track("", "processing").records) == 21
    schedule.settle()
    schedule.settle()
    assert len(schedule.history.track("", "processing").records) == 22


def test_the_order_within_a_cohort_is_not_taken_for_a_change() -> None:
    """Large cohorts of the same kind, one after the other, leave a history of all durations."""
    schedule, random = learned(), Random(5)
    for number in range(10):
        cohort(schedule, number * 1e4, *(random.uniform(2.0, 15.0) for _ in range(500)))
    ends = [record.hi for record in schedule.history.track("", "processing").records]
    assert len(ends) == 64
    assert statistics.fmean(ends) == pytest.approx(8.5, abs=1.5)
    assert statistics.pstdev(ends) == pytest.approx(13 / math.sqrt(12), rel=0.3)


def test_survival_curves_can_be_read_by_key_and_state() -> None:
    """Of a key without observations the curve is the prior."""
    schedule = learned()
    for _ in range(20):
        schedule.observe(30.0, 30.0, key="a")
    schedule.observe(4.0, 4.0, key="a", state="pending")
    assert schedule.survival(key="a").age_at(0.5) == pytest.approx(30.0, rel=0.05)
    assert schedule.survival(key="a", state="pending").longest == pytest.approx(4.0, rel=0.05)
    assert schedule.survival().typical == pytest.approx(10.0)


def test_the_cohort_of_a_dropped_key_is_recorded_first() -> None:
    """Its observations are in the history, from which its model is made again."""
    schedule = learned()
    schedule.observe(4.0, 5.0, key="first", during=(0.0, 5.0))
    for number in range(MOST_KEYS):
        schedule.delay(Progress(1, 0.0), key=f"{number}")
    assert len(schedule.history.track("first", "processing").records) == 1
