"""One price for all who share a rate."""

from __future__ import annotations

import math

import pytest

from asyncpoll.waiting.learning._shared_price import SharedPrice


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


def test_it_does_not_depend_on_how_often_it_is_told() -> None:
    """Ten tenths of a second move the level as far as one second."""
    price = SharedPrice(1.0)
    for _ in range(10):
        price = price.after(0.1, late=2.0, rate=10.0, waits=100)
    assert price.level == pytest.approx(SharedPrice(1.0).after(1.0, late=2.0, rate=10.0, waits=100).level)


def test_it_stays_within_bounds() -> None:
    """However long a rate is unused or short, a call is worth something, and not more than a day."""
    assert after(SharedPrice(1.0), 100_000, -1.0).level == 1e-3
    assert after(SharedPrice(1.0), 100_000, 1.0).level == 86_400.0


@pytest.mark.parametrize("level", [0.0, -1.0, math.inf, math.nan])
def test_a_level_that_is_no_price_is_refused(level: float) -> None:
    """A price is above 0 and finite."""
    with pytest.raises(ValueError, match="level"):
        SharedPrice(level)


def test_it_finds_the_price_at_which_the_rate_is_just_enough() -> None:
    """Waits that want calls by the inverse square root of the price come to want what there is."""
    price, queue, wanted = SharedPrice(1.0), 0.0, math.inf
    for _ in range(4000):
        late = queue / 10.0 if queue else -1.0
        wanted = 100 / 2.0 / math.sqrt(price.call_cost(late))
        queue = max(0.0, queue + 0.1 * (wanted - 10.0))
        price = price.after(0.1, late=late, rate=10.0, waits=100)
    assert wanted == pytest.approx(10.0, rel=0.1)
    assert price.level == pytest.approx(25.0, rel=0.25)
