"""The progress that a server shows, and how a schedule explains itself."""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random
from statistics import fmean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncpoll import Exponential, Learned, Progress
from asyncpoll.waiting.learning._survival import when_worth_by_progress


def polled(learned: Learned, duration: float, shown: Callable[[float], float | None]) -> tuple[int, float]:
    """Poll one job to its end; return the calls, and the delay."""
    seen, calls, projected = 0.0, 0, None
    while True:
        done = shown(seen / duration) if seen else None
        age = seen + learned.delay(Progress(2, seen, state="processing", in_state=seen, done=done))
        calls += 1
        if age >= duration:
            learned.observe(seen, age, during=(0.0, age))
            if projected is not None:
                learned.compare_progress(projected, seen, age, state="processing")
            return calls, age - duration
        learned.look(seen, age)
        seen, done = age, shown(age / duration)
        if projected is None and done:
            projected = age / done


def cost(shown: Callable[[float], float | None], jobs: int = 120) -> float:
    """Return the mean cost of later jobs of very different durations, in seconds, where a call costs one."""
    learned, chance = Learned(call_cost=1.0, random=Random(1).random), Random(2)
    costs = [polled(learned, 60 * math.exp(chance.gauss(0, 1)), shown) for _ in range(jobs)]
    return fmean(calls + delay for calls, delay in costs[jobs // 3 :])


def test_progress_makes_polls_fewer_and_ends_known_sooner() -> None:
    """Of jobs whose durations differ much, and whose progress is even."""
    assert cost(lambda share: share) < 0.6 * cost(lambda _: None)
    rough = Random(3)
    assert cost(lambda share: min(1.0, share * rough.uniform(0.8, 1.2))) < 0.8 * cost(lambda _: None)


@pytest.mark.parametrize(
    "shown",
    [lambda _: 0.99, lambda _: 0.001, lambda share: share**6, lambda share: 1 - (1 - share) ** 8, lambda _: 1.0],
)
def test_progress_that_misleads_does_little_harm(shown: Callable[[float], float]) -> None:
    """It is compared with the ends of jobs, and not gone by any more."""
    assert cost(shown) < 1.15 * cost(lambda _: None)


@settings(max_examples=200, derandomize=True, database=None, deadline=None)
@given(
    age=st.floats(1e-3, 1e9), share=st.floats(0.01, 1.0), spread=st.floats(0.05, 3.0), seconds=st.floats(1e-9, 1e300)
)
def test_a_poll_by_progress_is_later_than_the_look(age: float, share: float, spread: float, seconds: float) -> None:
    """And the later, the more it must be worth."""
    due = when_worth_by_progress(age, age / share, spread, seconds)
    assert age <= due < math.inf
    assert due <= when_worth_by_progress(age, age / share, spread, 2 * seconds)


def test_progress_of_a_job_that_was_given_up_says_nothing() -> None:
    """Nor does one that is not a number of seconds; ages that are out of order are refused."""
    learned, other = (Learned(random=Random(1).random) for _ in range(2))
    for total, hi in ((1e-9, math.inf), (math.inf, 20.0), (0.0, 20.0)):
        learned.compare_progress(total, 10.0, hi, state="processing")
    shown = Progress(2, 10.0, state="processing", done=0.5)
    assert learned.explain(shown) == other.explain(shown)
    assert learned.explain(shown).reason == "progress"
    with pytest.raises(ValueError, match="a job ends after the age"):
        learned.compare_progress(20.0, 5.0, 4.0, state="processing")


# explanations


def taught(*durations: float, max_interval: float = 120.0) -> Learned:
    """Return a schedule that was told of jobs of these durations."""
    learned = Learned(random=Random(1).random, max_interval=max_interval)
    for seconds in durations:
        learned.observe(seconds, seconds)
    return learned


def test_a_plan_is_explained() -> None:
    """By what is known of such jobs, and by what is expected of the poll."""
    told = taught(*[20.0, 21.0, 22.0] * 10).explain(Progress(1, 0.0, state="processing", in_state=0.0))
    assert told.reason == "plan"
    assert told.jobs == 30
    assert told.typical == pytest.approx(21.0, rel=0.05)
    assert 18.0 < told.delay < 24.0
    assert 0.0 < told.ends < 1.0
    assert told.worth >= 0.0
    assert told.call_cost == pytest.approx(0.03 * told.typical)
    assert str(told).startswith(f"the next poll is in {told.delay:.3g} s, since that is the cheapest by what is known")
    assert "30 such jobs took about 20.9 s" in str(told)


def test_every_reason_is_explained() -> None:
    """In words of its own."""
    many = [20.0] * 30
    scarce = taught(*many, max_interval=1e6)
    scarce.set_scarcity(5.0, 30.0)
    turns = taught(*many, max_interval=1e6)
    turns.set_scarcity(500.0, 30.0)
    unsure = taught(*(5.0 * 1.3**number for number in range(20)))
    progresses = [
        (Learned(cold=Exponential()), Progress(1, 0.0), "cold"),
        (Learned(), Progress(1, 0.0), "backoff"),
        (Learned(), Progress(3, 5.0, misses=2), "miss"),
        (taught(*many), Progress(2, 40.0, state="processing"), "older"),
        (scarce, Progress(2, 3.0, state="processing"), "scarce"),
        (turns, Progress(2, 3.0, state="processing"), "longest"),
        (unsure, Progress(2, 30.0, state="processing", done=0.5), "progress"),
        (taught(*[900.0] * 30), Progress(1, 0.0), "longest"),
        (taught(*[0.01] * 30), Progress(1, 0.0), "shortest"),
    ]
    told = [schedule.explain(progress) for schedule, progress, _ in progresses]
    assert [one.reason for one in told] == [reason for _, _, reason in progresses]
    assert len({str(one).partition(":")[0].partition("since ")[2] for one in told}) == 8
    assert told[5].delay == 72.0


def test_what_cannot_run_any_more_has_ended() -> None:
    """Of a job that is older than any can be, nothing is known."""
    assert taught(*[20.0] * 30).explain(Progress(2, 1e9, state="processing")).ends == 1.0
