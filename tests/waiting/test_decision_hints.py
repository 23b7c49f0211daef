"""Decisions after a poll with a hint, and after throttling."""

from __future__ import annotations

import math
from typing import Any

import pytest
from decision_kit import BEGAN, PENDING, PROCESSING, away, decision, due, end, running

from asyncpoll import Fixed, Throttled
from asyncpoll._errors import LONGEST_HINT
from asyncpoll.waiting._decision import SHORTEST_HINT


@pytest.mark.parametrize(
    ("hints", "hint", "then"),
    [
        ("at_least", 5.0, 105.0),
        ("at_least", 0.5, 102.0),
        ("exactly", 5.0, 105.0),
        ("exactly", 0.5, 100.5),
        ("exactly", 0.001, 100.0 + SHORTEST_HINT),
        ("ignore", 5.0, 102.0),
        ("at_least", 1e9, 100.0 + LONGEST_HINT),
        ("exactly", 1e9, 100.0 + LONGEST_HINT),
    ],
)
@pytest.mark.parametrize("result", [running, away])
def test_a_hint_puts_off_or_sets_the_next_poll(hints: str, hint: float, then: float, result: Any) -> None:
    """Hints of answers and of errors count alike, within a tenth of a second and a day."""
    assert due(decision(hints=hints), result(hint)) == then


@pytest.mark.parametrize("hint", [None, 0.0, -5.0, math.nan, "soon", "7", [], {}])
def test_a_hint_that_makes_no_sense_is_ignored(hint: Any) -> None:
    """The `retry_after` of a foreign error can be any object; only a positive duration counts."""
    error = ConnectionResetError()
    error.retry_after = hint  # type: ignore[attr-defined]  # as foreign errors do
    assert [due(decision(hints=hints), error) for hints in ("at_least", "exactly")] == [102.0] * 2


def test_a_hint_holds_for_one_poll_only() -> None:
    """Every answer is read anew: a hint that is not repeated is gone."""
    wait = decision()
    steps: list[Any] = [
        (running(50.0), 100.0),
        (ConnectionResetError(), 150.0),
        (away(9.0), 152.0),
        (PROCESSING, 161.0),
    ]
    assert [due(wait, result, now) for result, now in steps] == [150.0, 152.0, 161.0, 163.0]


@pytest.mark.parametrize("hint", [10.0, 10.5, 3600.0])
def test_a_wait_sent_away_for_too_long_ends_at_once(hint: float) -> None:
    """It would wait for nothing until its deadline or beyond; only one that parks does so, without a further poll."""
    cause = Throttled("slower", retry_after=hint)
    error = end(decision(10.0), cause)
    assert (error.limit, error.waited, error.__cause__) == ("throttled", 0.0, cause)
    parked = decision(10.0, parks=True)
    assert due(parked, cause) == 110.0
    assert parked.timed_out(110.0).limit == "total"


@pytest.mark.parametrize(("hint", "then"), [(9.4, 109.4), (9.5, 109.5), (9.8, 109.8), (9.99, 109.99)])
@pytest.mark.parametrize("hints", ["at_least", "exactly"])
def test_a_throttled_wait_never_asks_sooner_than_it_may(hint: float, then: float, hints: str) -> None:
    """Even the last call just before the deadline waits for as long as the server said to stay away."""
    assert due(decision(10.0, hints=hints), Throttled("slower", retry_after=hint)) == pytest.approx(then)


@pytest.mark.parametrize(
    ("hints", "result", "now", "then"),
    [
        ("at_least", away(0.2), 108.5, 109.5),  # sent away for less than the schedule's delay, which is cut as ever
        ("at_least", running(3600.0), 100.0, 109.5),  # a job that merely runs is asked once more whatever it hints
        ("ignore", away(3600.0), 100.0, 102.0),  # who ignores hints is not stopped by them either
    ],
)
def test_other_hints_do_not_move_the_last_poll(hints: str, result: Any, now: float, then: float) -> None:
    """Only a server that sends the wait away for longer may put off its last poll, or end it."""
    assert due(decision(10.0, hints=hints), result, now) == then


@pytest.mark.parametrize(("share", "first"), [(0.0, 1.0), (0.5, 1.5)])
def test_throttling_without_a_time_has_its_own_curve(share: float, first: float) -> None:
    """The delay doubles up to a minute at most, jittered; a slower schedule goes before it, and an answer ends it."""
    wait = decision(schedule=Fixed(0.1), random=lambda: share)
    slower = Throttled("slower")
    assert [due(wait, slower) - BEGAN for _ in range(8)] == [first * each for each in (1, 2, 4, 8, 16, 30, 30, 30)]
    assert due(wait, PENDING) == pytest.approx(100.1)
    assert due(wait, slower) == BEGAN + first
    assert due(decision(schedule=Fixed(20.0)), slower) == 120.0
    assert due(decision(10.0), slower, 108.75) == 109.75  # even the last poll comes a second later
    assert end(decision(10.0), slower, 109.0).limit == "throttled"
