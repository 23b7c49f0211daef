"""How long the next job is believed to run."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncpoll.waiting.learning._survival import HORIZON, Belief, believe, grid

CANDIDATES = grid(0.1)


def drawn(belief: Belief, lo: float, hi: float, count: int = 400) -> list[float]:
    """Return draws with a seed, ascending."""
    chance = random.Random(2).random
    return sorted(belief.draw(lo, hi, chance) for _ in range(count))


@settings(max_examples=200, derandomize=True, database=None, deadline=None)
@given(
    durations=st.lists(st.floats(0.0, allow_nan=False, allow_infinity=False), max_size=64),
    hint=st.none() | st.floats(1e-9, 1e12),
    shortest=st.floats(1e-3, 1e5),
)
def test_survival_falls_from_one_to_nought(durations: list[float], hint: float | None, shortest: float) -> None:
    """Whatever was seen, the knots ascend from 0 and the chance to be still running falls from 1 to 0."""
    belief = believe(durations, grid(shortest), hint=hint)
    assert belief.ages[0] == 0 < belief.ages[1] <= shortest
    assert list(belief.ages) == sorted(set(belief.ages))
    assert belief.ages[-1] >= 0.99 * HORIZON
    assert list(belief.survival) == sorted(belief.survival, reverse=True)
    assert (belief.survival[0], belief.survival[-1]) == (1.0, 0.0)
    assert 0 < belief.typical < math.inf
    assert 0 < belief.longest < math.inf


def test_the_typical_duration_is_the_geometric_mean() -> None:
    """Of 2 s and 50 s that is 10 s; the longest is kept too."""
    belief = believe([50.0, 2.0], CANDIDATES)
    assert belief.typical == pytest.approx(10.0)
    assert belief.longest == pytest.approx(50.0)


def test_many_equal_durations_leave_little_doubt() -> None:
    """After 60 jobs of 20 s nearly all of the next are believed to take that, and a small part is never sure."""
    belief = believe([20.0] * 60, CANDIDATES)
    assert belief.running_at(19.0) > 0.97
    assert 0.001 < belief.running_at(21.0) < 0.03


def test_two_clusters_stay_two() -> None:
    """What takes 2 s or 60 s is not believed to take 10 s."""
    belief = believe([1.9, 2.0, 2.1, 58.0, 60.0, 62.0] * 5, CANDIDATES)
    assert belief.running_at(4.0) - belief.running_at(40.0) < 0.05
    assert belief.running_at(10.0) == pytest.approx(0.5, abs=0.05)


def test_a_hint_counts_until_there_is_more() -> None:
    """With nothing seen half of the jobs are believed to exceed the hint; it yields to what is seen."""
    assert believe((), CANDIDATES, hint=90.0).running_at(90.0) == pytest.approx(0.5, abs=0.01)
    assert believe([5.0] * 30, CANDIDATES, hint=90.0).running_at(30.0) < 0.05


def test_ages_and_chances_are_read_both_ways() -> None:
    """The age at which the chance has fallen to a value has that value, and beyond the last knot it is 0."""
    belief = believe([3.0, 8.0, 20.0, 21.0, 60.0], CANDIDATES)
    for survival in (0.999, 0.9, 0.5, 0.1):
        assert belief.running_at(belief.age_at(survival)) == pytest.approx(survival)
    assert belief.age_at(1.0) == 0.0
    assert belief.age_at(0.0) <= belief.ages[-1]
    assert belief.running_at(2 * belief.ages[-1]) == 0.0


def test_between_equal_chances_the_middle_is_taken() -> None:
    """Where the chance stays the same from knot to knot, no age is likelier than another."""
    flat = Belief([0.0, 1.0, 3.0, 4.0], [1.0, 1.0, 1.0, 0.0], 1.0, 1.0)
    assert flat.age_at(1.0) == 0.5


def test_a_draw_lies_where_the_job_ended() -> None:
    """It lies within what was seen, and follows the belief there; an exact duration is itself."""
    belief = believe([20.0] * 60, CANDIDATES)
    draws = drawn(belief, 5.0, 30.0)
    assert draws[0] >= 5.0
    assert draws[-1] <= 30.0
    assert 19.0 < draws[100] <= draws[300] < 21.0
    assert drawn(belief, 7.25, 7.25, 1) == [7.25]


def test_an_abandoned_job_is_not_guessed_far_ahead() -> None:
    """One that was given up at 30 s is believed to have ended after that, but before four times that age."""
    draws = drawn(believe([20.0] * 10, CANDIDATES), 30.0, math.inf)
    assert draws[0] >= 30.0
    assert draws[-1] <= 120.0
    assert draws[-1] > 60.0
