"""Tests of the common price of calls under a shared rate."""

from __future__ import annotations

import math
from functools import partial
from random import Random
from typing import Any

import pytest
from hub_kit import in_hub, jobs_of, now, transport_of

from asyncpoll._schedule import Exponential, Fixed
from asyncpoll.http import Request
from asyncpoll.waiting._hub import Hub
from asyncpoll.waiting.learning._learned import Learned
from asyncpoll.waiting.learning._shared_price import PriceController, SharedPrice


def after(price: SharedPrice, seconds: int, late: float) -> SharedPrice:
    """Return the price after so many seconds, of a hundred waits at ten calls a second."""
    for _ in range(seconds):
        price = price.after(1.0, late=late, rate=10.0, waits=100)
    return price


def test_lateness_raises_the_price_at_once() -> None:
    """At 5 s of lateness a call is worth twice as much, before the level has moved."""
    assert SharedPrice(2.0).call_cost(0.0) == SharedPrice(2.0).call_cost(-3.0) == 2.0
    assert SharedPrice(2.0).call_cost(5.0) == 4.0


def test_the_level_follows() -> None:
    """It rises while polls are late, falls while the rate is unused, and stays while there is just enough to do."""
    price = SharedPrice(2.0)
    assert after(price, 20, 1.0).level == pytest.approx(2.0 * math.e)
    assert after(price, 20, -1.0).level == pytest.approx(2.0 / math.e)
    assert after(price, 20, 0.3) == after(price, 20, -0.05) == price


def test_more_waits_take_longer() -> None:
    """The level moves by half of what the rate can ask of all waits in the time, and never faster than for few."""
    one = SharedPrice(1.0)
    assert one.after(1.0, late=1.0, rate=10.0, waits=1000).level == pytest.approx(math.exp(0.005))
    assert one.after(1.0, late=1.0, rate=10.0, waits=1).level == pytest.approx(math.exp(0.5))


def test_the_level_does_not_depend_on_the_length_of_steps() -> None:
    """Ten tenths of a second move the level as far as one second."""
    price = SharedPrice(1.0)
    for _ in range(10):
        price = price.after(0.1, late=2.0, rate=10.0, waits=100)
    assert price.level == pytest.approx(SharedPrice(1.0).after(1.0, late=2.0, rate=10.0, waits=100).level)


def test_the_level_stays_within_bounds() -> None:
    """However long a rate is unused or short, a call is worth something, and not more than a day."""
    assert after(SharedPrice(1.0), 100_000, -1.0).level == 1e-3
    assert after(SharedPrice(1.0), 100_000, 1.0).level == 86_400.0


@pytest.mark.parametrize("level", [0.0, -1.0, math.inf, math.nan])
def test_an_invalid_level_is_refused(level: float) -> None:
    """A level is above 0 and finite."""
    with pytest.raises(ValueError, match="level"):
        SharedPrice(level)


def test_it_finds_the_price_at_which_the_rate_is_just_enough() -> None:
    """The price at which waits want just the calls that there are is a stable fixed point."""
    price, queue, wanted = SharedPrice(1.0), 0.0, math.inf
    for _ in range(4000):
        late = queue / 10.0 if queue else -1.0
        wanted = 100 / 2.0 / math.sqrt(price.call_cost(late))
        queue = max(0.0, queue + 0.1 * (wanted - 10.0))
        price = price.after(0.1, late=late, rate=10.0, waits=100)
    assert wanted == pytest.approx(10.0, rel=0.1)
    assert price.level == pytest.approx(25.0, rel=0.25)


# the controller


def scarcities(*seconds: tuple[float, float], rate: float = 10.0, waits: int = 10) -> list[float]:
    """Return the scarcity after each second, from the lateness of polls and the number of polls made in it."""
    learned, found, polls = Learned(), [], 0.0
    controller = PriceController(learned, rate)
    for second, (late, made) in enumerate(seconds):
        polls += made
        controller.update(float(second), partial(float, late), waits, int(polls))
        found.append(learned.scarcity)
    return found


def test_the_price_follows_the_lateness_of_polls() -> None:
    """The price rises and falls with lateness at once, and its level follows."""
    late, later, soon, *_, at_last = scarcities((10.0, 10), (20.0, 10), (0.0, 10), *[(0.0, 2)] * 30)
    assert later > late > 1.0
    assert later > soon > 1.0
    assert at_last == pytest.approx(0.3)


def test_a_rate_that_is_used_up_in_time_keeps_its_price() -> None:
    """While polls are in time and the rate is used, the level stays."""
    prices = scarcities((20.0, 10), *[(0.2, 10)] * 20)
    assert prices[1] == pytest.approx(prices[-1], rel=0.05)


def test_the_price_is_updated_once_a_second() -> None:
    """Updates in between are ignored."""
    learned = Learned()
    controller = PriceController(learned, 10.0)
    for step in range(10):
        controller.update(step / 10, partial(float, 10.0 * step), 10, step)
    assert learned.scarcity == scarcities((0.0, 0))[0]


# in a hub


def delays(jobs: int, seconds: float, **options: Any) -> tuple[int, float]:
    """Return the polls and the mean delay of two rounds of equal jobs, after a round to learn from."""
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

    return in_hub(work, random=Random(1).random, **options)


def test_a_hub_learns_by_default() -> None:
    """Jobs that all take about a minute are polled less often, and seen sooner, than by any backoff."""
    polls, late = delays(50, 60.0, schedule=None)
    blind_polls, blind_late = delays(50, 60.0, schedule=Exponential())
    assert polls < 0.6 * blind_polls
    assert late < 0.4 * blind_late


def test_a_hub_with_a_rate_shares_it() -> None:
    """Where the rate is too low for all plans, each job takes fewer polls."""
    polls, _ = delays(200, 60.0, schedule=None)
    scarce, late = delays(200, 60.0, schedule=None, rate=8.0)
    assert scarce < polls
    assert late < 40


def test_a_schedule_that_does_not_learn_is_not_controlled() -> None:
    """A hub with a fixed schedule and a rate works without a price controller."""
    assert delays(5, 3.0, schedule=Fixed(1.0), rate=100.0)[0] > 0
