"""Tests of what a schedule learns from single looks, and of the first polls that it plans."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from asyncpoll._schedule import Progress, Schedule
from asyncpoll.waiting.learning._history import History
from asyncpoll.waiting.learning._learned import SINCE_SUBMIT, Learned


def learned(*durations: float, seed: int = 1, **options: Any) -> Learned:
    """Return a schedule with a seeded random source that has observed these durations."""
    schedule = Learned(random=Random(seed).random, **options)
    for duration in durations:
        schedule.observe(duration, duration)
    return schedule


def ages(schedule: Schedule, until: float, state: str | None = "processing") -> list[float]:
    """Return the ages of the polls of one job, after the one at its start, up to the first at or after *until*."""
    polled = [0.0]
    while polled[-1] < until:
        polled.append(polled[-1] + schedule.delay(Progress(len(polled), polled[-1], state=state)))
    return polled[1:]


def test_running_jobs_are_evidence() -> None:
    """Jobs that are seen running move the plan before any of them has ended."""
    schedule = learned()
    for _ in range(20):
        schedule.look(0.0, 300.0)
    assert schedule.survival().running_at(250.0) > 0.8
    assert len(ages(schedule, 600.0)) < 0.7 * len(ages(learned(), 600.0))


@pytest.mark.parametrize(("lo", "hi"), [(2.0, 1.0), (-1.0, 1.0), (0.0, math.inf), (math.nan, 1.0), (0.0, math.nan)])
def test_an_invalid_look_is_refused(lo: float, hi: float) -> None:
    """A job is looked at again at a later age; the age at the first look is finite."""
    with pytest.raises(ValueError, match="a job is looked at again at a later age"):
        learned().look(lo, hi)
    if not 0 <= hi < math.inf:
        with pytest.raises(ValueError, match="the age of a job is finite and not below 0 s"):
            learned().first_look(hi)


def test_the_order_of_ends_does_not_matter_to_what_was_seen() -> None:
    """Jobs that began together end in the order of their durations; half of them are seen to be half."""
    random = Random(3)
    schedule = learned()
    jobs = sorted(random.uniform(10.0, 50.0) for _ in range(100))
    for number, duration in enumerate(jobs):
        for other in jobs[number:]:
            schedule.look(jobs[number - 1] if number else 0.0, min(other, duration))
        schedule.observe(duration - 0.5, duration, during=(0.0, duration))
        if number == 50:
            assert schedule.survival().running_at(duration) == pytest.approx(0.5, abs=0.08)


def polled_by(schedule: Learned, how: str, seed: int) -> None:
    """Show a schedule 300 jobs of a lognormal kind with a median of 5.3 s, polled in one of several ways."""
    random = Random(seed)
    polls: dict[str, Callable[[float], float]] = {
        "often": lambda at: at + 1,
        "by the plan": lambda at: at + schedule.delay(Progress(2, at, state="processing", in_state=at)),
        "at 2 s": lambda at: max(30.0, 2 * at) if at else 2.0,
    }
    for _ in range(300):
        duration = 5.3 * math.exp(0.6 * random.gauss(0, 1))
        seen = 0.0
        while True:
            at = polls[how](seen)
            if at >= duration:
                schedule.observe(seen, at, during=(0.0, at))
                break
            schedule.look(seen, at)
            seen = at


@pytest.mark.parametrize(("how", "within"), [("often", 0.15), ("by the plan", 0.15), ("at 2 s", 0.3)])
@pytest.mark.parametrize("resumed", [False, True])
def test_the_believed_median_does_not_depend_on_the_polls(how: str, within: float, resumed: bool) -> None:  # noqa: FBT001  a parameter of the test
    """It is that of the jobs, also in a process that has only the records of the former one."""
    medians = []
    for seed in range(5):
        schedule = learned()
        polled_by(schedule, how, seed)
        if resumed:
            schedule.settle()
            schedule = learned(history=History.from_json(schedule.history.to_json()))
        medians.append(schedule.survival().age_at(0.5))
    assert statistics.fmean(medians) == pytest.approx(5.3, rel=within)


# the first poll


def test_a_first_poll_is_planned_from_three_ends_on() -> None:
    """It comes when the first jobs end, less the age; a job of unknown age is polled at once."""
    schedule = learned(20.0, 20.0)
    assert schedule.first_delay(0.0) == 0.0
    for _ in range(28):
        schedule.observe(20.0, 20.0)
    assert schedule.first_delay(0.0) == pytest.approx(20.0, rel=0.05)
    assert schedule.first_delay(15.0) == pytest.approx(5.0, abs=1.0)
    assert schedule.first_delay(86_400.0) == schedule.first_delay(None) == 0.0


def test_a_first_poll_waits_for_the_queue() -> None:
    """Where jobs are pending first, the poll comes when both phases may have ended."""
    schedule = learned(*[30.0] * 30)
    for _ in range(30):
        schedule.observe(50.0, 50.0, state="pending")
    assert schedule.first_delay(0.0) == pytest.approx(79.0, rel=0.03)


def test_a_job_first_seen_in_processing_was_pending_before() -> None:
    """For as long as is usual, where such jobs are pending at all."""
    schedule = learned(*[30.0] * 30)
    assert schedule.first_look(60.0) == 0.0
    for _ in range(30):
        schedule.observe(50.0, 50.0, state="pending")
    assert schedule.first_look(60.0) == pytest.approx(50.0, rel=0.05)
    assert schedule.first_look(40.0, state="pending") == 0.0


def test_while_calls_are_scarce_all_first_polls_are_planned() -> None:
    """Also those of jobs of unknown age, once enough of them were seen from the start of a wait."""
    schedule = learned()
    schedule.scarcity = 2.0
    key = "a"
    assert schedule.first_delay(None, key=key) == 0.0
    for _ in range(30):
        schedule.observe(20.0, 20.0, key=key)
    assert schedule.first_delay(None, key=key) > 15.0


def test_a_poll_is_worth_what_it_may_find_out() -> None:
    """Nothing before any job ends, and the more the later it is; its call costs what the price says."""
    schedule = learned(*[20.0] * 30, price=0.1)
    assert learned(20.0).worth(0.0, 10.0) is None
    early, at, late = (schedule.worth(0.0, age) for age in (10.0, 20.5, 40.0))
    assert early is not None
    assert at is not None
    assert late is not None
    assert early[0] < 0.2 < at[0] < late[0] <= 40.0
    assert early[1] == late[1] == pytest.approx(2.0, rel=0.05)
    schedule.call_cost = 7.0
    assert schedule.worth(0.0, 10.0) == (early[0], 7.0)


def test_jobs_of_known_and_unknown_age_help_each_other() -> None:
    """Until there are enough of one sort, it is planned as the other; then each has a plan of its own."""
    schedule = learned(max_interval=1000.0)
    known, unknown = "a" + SINCE_SUBMIT, "a"
    for _ in range(30):
        schedule.observe(300.0, 300.0, key=known)
    assert schedule.delay(Progress(1, 0.0), key=unknown) == pytest.approx(300.0, rel=0.05)
    for _ in range(30):
        schedule.observe(100.0, 100.0, key=unknown)
    assert schedule.delay(Progress(1, 0.0), key=unknown) == pytest.approx(100.0, rel=0.05)
    assert schedule.delay(Progress(1, 0.0), key=known) == pytest.approx(300.0, rel=0.05)
    heir = learned(history=schedule.history)
    assert heir.survival(key="a").age_at(0.5) == pytest.approx(100.0, rel=0.05)
    few = learned()
    few.observe(30.0, 30.0, key=unknown)
    assert few.time_left(1.0, key=known) is None
    assert few.time_left(1.0, key=unknown) is None
