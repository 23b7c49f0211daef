"""Tests of the cheapest ages at which to poll."""

from __future__ import annotations

import math
from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncpoll.waiting.learning._plan import Plan, cheapest_plan

falls = st.lists(st.tuples(st.floats(0.01, 50.0), st.floats(0.0, 1.0)), min_size=1, max_size=40)


def knots(steps: list[tuple[float, float]]) -> tuple[list[float], list[float]]:
    """Return ages, and a survival that loses a share of itself from each to the next, and the rest at the last."""
    ages, survival = [0.0], [1.0]
    for width, kept in steps:
        ages.append(ages[-1] + width)
        survival.append(survival[-1] * kept)
    survival[-1] = 0.0
    return ages, survival


def brute_force(ages: Sequence[float], survival: Sequence[float], cost: float) -> list[float]:
    """Return what is still to pay from each candidate on, times the probability to get there, trying every next one."""
    ahead = [0.0] * len(ages)
    for here in range(len(ages) - 2, -1, -1):
        later = range(here + 1, len(ages))
        ahead[here] = min(survival[here] * (cost + ages[there] - ages[here]) + ahead[there] for there in later)
    return ahead


def price_of(plan: Plan) -> float:
    """Return what the polls of a plan cost in expectation, added up one by one."""
    total, here = 0.0, 0
    while here < len(plan.ages) - 1:
        there = plan.following[here]
        total += plan.survival[here] * (plan.cost + plan.ages[there] - plan.ages[here])
        here = there
    return total


@settings(max_examples=300, derandomize=True, database=None, deadline=None)
@given(steps=falls, cost=st.floats(0.001, 1000.0))
def test_a_plan_costs_as_little_as_the_best_choice_of_ages(steps: list[tuple[float, float]], cost: float) -> None:
    """For any survival and call cost the plan costs as much as the best of all choices, from every candidate on."""
    ages, survival = knots(steps)
    plan = cheapest_plan(ages, survival, cost)
    assert plan.ahead == pytest.approx(brute_force(ages, survival, cost), rel=1e-9, abs=1e-9)
    assert price_of(plan) == pytest.approx(plan.ahead[0])


@settings(max_examples=200, derandomize=True, database=None, deadline=None)
@given(steps=falls, cost=st.floats(0.001, 1000.0), where=st.floats(0.0, 0.999), random=st.floats(0.0, 0.999))
def test_the_next_poll_is_always_ahead(
    steps: list[tuple[float, float]], cost: float, where: float, random: float
) -> None:
    """From any age before the last candidate the next poll is later, and no later than that candidate."""
    ages, survival = knots(steps)
    age = where * ages[-1]
    assert age < cheapest_plan(ages, survival, cost).next_poll(age, lambda: random) <= ages[-1]


def test_a_certain_end_takes_one_poll() -> None:
    """A job that ends between 9 and 10 s for sure is polled once, at 10 s, unless a call is almost free."""
    ages = [float(age) for age in range(12)]
    survival = [1.0] * 10 + [0.0, 0.0]
    assert cheapest_plan(ages, survival, 1.0).following[0] == 10
    assert cheapest_plan(ages, survival, 0.001).next_poll(9.5, lambda: 0.0) < 10


def test_beyond_the_end_the_last_candidate_is_next() -> None:
    """A job that runs although all should have ended is polled at the last candidate."""
    assert cheapest_plan([0.0, 1.0, 2.0], [1.0, 0.0, 0.0], 1.0).next_poll(1.5, lambda: 0.0) == 2.0


def test_two_modes_are_polled_one_after_the_other() -> None:
    """A job that ends either by 2 s or by 60 s is polled at those ages and not between them."""
    ages = [float(age) for age in range(62)]
    survival = [1.0, 1.0, *[0.5] * 58, 0.0, 0.0]
    plan = cheapest_plan(ages, survival, 1.0)
    assert plan.next_poll(0.0, lambda: 0.0) == 2.0
    assert plan.next_poll(2.0, lambda: 0.0) == 60.0


def test_a_late_poll_goes_on_with_the_same_plan() -> None:
    """The next poll depends on the age alone, so one between two planned ages needs no new plan."""
    ages = [float(age) for age in range(62)]
    plan = cheapest_plan(ages, [1.0, 1.0, *[0.5] * 58, 0.0, 0.0], 1.0)
    assert {plan.next_poll(age, lambda: 0.0) for age in (2.0, 17.3, 44.9)} == {60.0}


def test_intervals_within_a_cell_follow_the_square_root_law() -> None:
    """Where candidates are coarser than the best interval, it is the root of twice the call cost by the hazard."""
    plan = cheapest_plan([0.0, 100.0, 200.0], [1.0, 0.9, 0.0], 0.1)
    hazard = 2 * 0.1 / (1.9 * 100)
    assert plan.next_poll(30.0, lambda: 0.0) == pytest.approx(30 + math.sqrt(2 * 0.1 / hazard))
    assert plan.calls(100.0) == pytest.approx(100 / math.sqrt(2 * 0.1 / hazard))


def test_expected_calls_add_up_the_probabilities_of_polls() -> None:
    """A job with two modes costs one poll for sure and a second one in half of the cases."""
    ages = [float(age) for age in range(62)]
    plan = cheapest_plan(ages, [1.0, 1.0, *[0.5] * 58, 0.0, 0.0], 1.0)
    assert plan.calls(1000.0) == 1.5
    assert plan.calls(1.0) == 1.0
    assert cheapest_plan([0.0, 1.0], [1.0, 0.0], 10.0).calls(1.0) == 1.0


def test_polls_spread_over_ages_that_are_as_good() -> None:
    """Where it hardly matters when a job is polled, many jobs are polled at many ages, around the best."""
    ages = [age / 10 for age in range(601)]
    plan = cheapest_plan(ages, [math.exp(-age / 20) for age in ages[:-1]] + [0.0], 1.0)
    random = Random(1).random
    polls = [plan.next_poll(0.0, random) for _ in range(200)]
    best = ages[plan.following[0]]
    assert min(polls) < best < max(polls)
    assert max(polls) - min(polls) > 1.0
    assert max(polls) - min(polls) < 2 * best
