"""Tests of the replay of past jobs under another schedule."""

from __future__ import annotations

import math
from random import Random

import pytest

from asyncpoll._schedule import Exponential, Fixed
from asyncpoll.cli._replay import Replay, ReplayedJob, replay
from asyncpoll.waiting.learning._learned import Learned


def test_a_job_with_an_exact_duration_is_replayed() -> None:
    """A job of 12 s, polled every 5 s from the start, takes 4 polls and is seen 3 s late."""
    assert replay([("a", 12.0, 12.0)], Fixed(5.0)) == Replay((ReplayedJob("a", 4.0, 3.0),))


def test_a_poll_at_the_end_sees_it() -> None:
    """A job that ends just when it is polled is seen without delay, also by the first poll."""
    assert replay([("a", 10.0, 10.0)], Fixed(5.0)).jobs == (("a", 3.0, 0.0),)
    assert replay([("a", 0.0, 0.0)], Fixed(5.0)).jobs == (("a", 1.0, 0.0),)
    assert replay([("a", 2.0, 2.0)], Fixed(5.0), first_delay=8.0).jobs == (("a", 1.0, 6.0),)


def test_an_unknown_end_is_averaged() -> None:
    """A job that ended in (10, 20] s has the mean calls and delay of jobs with random ends there."""
    random = Random(1)
    schedule = Exponential(1.0, 8.0, jitter=None)
    drawn = [random.uniform(10.0, 20.0) for _ in range(20_000)]
    sampled = replay([("a", end, end) for end in drawn], schedule)
    (job,) = replay([("a", 10.0, 20.0)], schedule).jobs
    assert job.calls == pytest.approx(sampled.calls, rel=0.01)
    assert job.delay == pytest.approx(sampled.delay, rel=0.02)


def test_jobs_that_were_not_seen_to_end_are_left_out() -> None:
    """They are counted, and means are over the others; without any, they are 0."""
    result = replay([("a", 5.0, math.inf), ("b", 12.0, 12.0), ("b", 2.0, 2.0)], Fixed(5.0))
    assert (result.skipped, result.calls, result.delay) == (1, 3.0, 3.0)
    empty = replay([("a", 5.0, math.inf)], Fixed(5.0))
    assert (empty.skipped, empty.calls, empty.delay) == (1, 0.0, 0.0)


def test_a_learned_schedule_learns_from_job_to_job() -> None:
    """It starts without observations and improves from job to job; its own history stays as it was."""
    learned = Learned(random=Random(1).random)
    learned.observe(3.0, 3.0)
    before = dict(learned.history.tracks)
    jobs = [("a", 40.0, 40.0), ("b", 2.0, 2.0)] * 40
    result = replay(jobs, learned)
    first, last = result.jobs[:8], result.jobs[-8:]
    assert sum(job.calls for job in last) < 0.5 * sum(job.calls for job in first)
    assert sum(job.delay for job in last) < 0.5 * sum(job.delay for job in first)
    assert learned.history.tracks == before
    assert list(before) == [("", "processing")]


def test_an_abandoned_job_is_learned_from() -> None:
    """After jobs that ran for an hour at least, the next is polled less, though none was seen to end."""
    learned = Learned(random=Random(1).random)
    (job,) = replay([("a", 3600.0, math.inf)] * 20 + [("a", 4000.0, 4000.0)], learned).jobs
    (unprepared,) = replay([("a", 4000.0, 4000.0)], learned).jobs
    assert job.calls < 0.8 * unprepared.calls


@pytest.mark.parametrize("ages", [(5.0, 4.0), (-1.0, 4.0), (math.nan, 4.0), (1.0, math.nan)])
def test_ages_out_of_order_are_refused_in_a_replay(ages: tuple[float, float]) -> None:
    """A job does not end before it was last seen running."""
    with pytest.raises(ValueError, match=r"a job ends after the age it was last seen running at"):
        replay([("a", *ages)], Fixed(5.0))


class Broken:
    """A schedule with an invalid delay."""

    def __init__(self, delay: float) -> None:
        self._delay = delay

    def delay(self, _progress: object, /) -> float:
        """Return it."""
        return self._delay


@pytest.mark.parametrize("delay", [-1.0, math.nan, math.inf])
def test_a_schedule_with_an_invalid_delay_is_refused(delay: float) -> None:
    """A delay is finite and not negative, as in a real wait."""
    with pytest.raises(ValueError, match=f"gave a delay of {delay!r} s"):
        replay([("a", 5.0, 5.0)], Broken(delay))


def test_a_schedule_without_a_pause_is_refused() -> None:
    """It would poll for ever."""
    with pytest.raises(ValueError, match="polls a job more than 100000 times; make its intervals longer"):
        replay([("a", 5.0, 5.0)], Broken(0.0))
