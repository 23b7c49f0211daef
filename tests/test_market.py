"""Where calls are scarce they have a price."""

from __future__ import annotations

import random
from functools import partial
from typing import Any

import pytest
from hub_kit import in_hub, jobs_of, now, transport_of

from asyncpoll._schedule import Exponential, Fixed
from asyncpoll.http import Request
from asyncpoll.waiting._hub import Hub
from asyncpoll.waiting.learning._learned import Learned
from asyncpoll.waiting.learning.market import Market


def looked(*seconds: tuple[float, float], rate: float = 10.0, waits: int = 10) -> list[float]:
    """Return how scarce calls were found to be, given for each second how late polls were, and how many were made."""
    learned, found, polls = Learned(), [], 0.0
    market = Market(learned, rate)
    for second, (late, made) in enumerate(seconds):
        polls += made
        market.look(float(second), partial(float, late), waits, int(polls))
        found.append(learned.scarcity)
    return found


def test_calls_become_dear_while_polls_are_late_and_cheap_again() -> None:
    """The price rises and falls with lateness at once, and its level follows."""
    late, later, soon, *_, at_last = looked((10.0, 10), (20.0, 10), (0.0, 10), *[(0.0, 2)] * 30)
    assert later > late > 1.0
    assert later > soon > 1.0
    assert at_last == pytest.approx(0.3)


def test_a_rate_that_is_used_up_in_time_keeps_its_price() -> None:
    """Polls that are due and are made are neither too many nor too few."""
    prices = looked((20.0, 10), *[(0.2, 10)] * 20)
    assert prices[1] == pytest.approx(prices[-1], rel=0.05)


def test_the_market_is_looked_at_once_a_second() -> None:
    """Polls may come by the thousand."""
    learned = Learned()
    market = Market(learned, 10.0)
    for step in range(10):
        market.look(step / 10, partial(float, 10.0 * step), 10, step)
    assert learned.scarcity == looked((0.0, 0))[0]


# in a hub


def delays(jobs: int, seconds: float, **options: Any) -> tuple[int, float]:
    """Return the polls, and the mean delay, of two rounds of jobs that all take as long, after some to learn from."""
    ends: dict[str, float] = {}

    def answer(request: Request) -> Any:
        return {"state": "success" if now() >= ends[request.path] else "processing"}

    async def work(hub: Hub) -> tuple[int, float]:
        transport, late, before = transport_of(answer), 0.0, 0
        for round_ in range(3):
            before = hub.counters.polls if round_ == 1 else before
            refs = [f"{round_}-{number}" for number in range(jobs)]
            ends.update({f"/jobs/{ref}": now() + seconds * (1 + number / jobs / 10) for number, ref in enumerate(refs)})
            began = now()
            async with hub.as_completed(jobs_of(transport, refs), timeout=None) as outcomes:
                async for outcome in outcomes:
                    late += (round_ > 0) * (began + outcome.waited - ends[f"/jobs/{outcome.job.ref}"])
        return hub.counters.polls - before, late / jobs / 2

    return in_hub(work, chance=random.Random(1).random, **options)


def test_a_hub_learns_by_default() -> None:
    """Jobs that all take about a minute are polled less often, and seen sooner, than by any backoff."""
    polls, late = delays(50, 60.0, schedule=None)
    blind_polls, blind_late = delays(50, 60.0, schedule=Exponential())
    assert polls < 0.6 * blind_polls
    assert late < 0.4 * blind_late


def test_a_hub_with_a_rate_shares_it_out() -> None:
    """With fewer calls than all would like, each job takes fewer; the rate is kept, and need not be used up."""
    polls, _ = delays(200, 60.0, schedule=None)
    scarce, late = delays(200, 60.0, schedule=None, rate=8.0)
    assert scarce < polls
    assert late < 40


def test_a_schedule_that_learns_nothing_has_no_market() -> None:
    """One argument turns it off."""
    assert delays(5, 3.0, schedule=Fixed(1.0), rate=100.0)[0] > 0
