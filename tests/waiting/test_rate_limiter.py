"""How many polls may start in a second."""

from __future__ import annotations

import itertools
import math

import pytest

from asyncpoll.waiting.scheduler._lane import DECREASE, INCREASE, LEAST_RATE, AdaptiveRateLimiter


def starts(limiter: AdaptiveRateLimiter, since: float, until: float) -> list[float]:
    """Start a poll whenever the limiter is open, and return when."""
    times: list[float] = []
    now = since
    while now < until:
        times.append(now)
        limiter.start(now)
        now = max(now, limiter.opens_at)
    return times


def throttled(*, rate: float, limit: float = math.inf) -> AdaptiveRateLimiter:
    """Return a limiter whose server throttled at second 11, after a second with *rate* polls."""
    limiter = AdaptiveRateLimiter(limit)
    for number in range(int(rate)):
        limiter.start(10 + number / rate)
    limiter.slow_down(11.0)
    return limiter


@pytest.mark.parametrize("rate", [0.5, 3.0, 7.0, 250.0])
def test_the_rate_is_kept(rate: float) -> None:
    """Over ten seconds the number of polls is that of the rate, one at a time."""
    times = starts(AdaptiveRateLimiter(rate), 100.0, 110.0)
    assert len(times) == pytest.approx(10 * rate, abs=1)
    gaps = [after - before for before, after in itertools.pairwise(times)]
    assert min(gaps) == pytest.approx(1 / rate)


def test_without_a_rate_any_number_may_start() -> None:
    """A limiter of infinite rate never closes."""
    limiter = AdaptiveRateLimiter(math.inf)
    for _ in range(1000):
        limiter.start(5.0)
    assert limiter.opens_at == 5.0


def test_idle_time_saves_nothing_up() -> None:
    """After a long pause the polls are as far apart as ever."""
    limiter = AdaptiveRateLimiter(10.0)
    limiter.start(0.0)
    assert starts(limiter, 50.0, 50.25) == pytest.approx([50.0, 50.1, 50.2])


def test_a_late_timer_costs_no_pace() -> None:
    """A poll that starts late, but was meant for its time, leaves the next one where it was."""
    limiter = AdaptiveRateLimiter(10.0)
    limiter.start(0.0)
    limiter.start(0.1)  # noticed at 0.13
    assert limiter.opens_at == pytest.approx(0.2)
    limiter.start(0.05)  # meant for an earlier time than the limiter allowed
    assert limiter.opens_at == pytest.approx(0.3)


def test_throttling_takes_the_rate_down_from_what_was_observed() -> None:
    """Whatever was allowed, the new rate is 0.7 of the polls that really started in a second."""
    assert throttled(rate=40).rate == pytest.approx(0.7 * 40)
    assert throttled(rate=40, limit=30.0).rate == pytest.approx(0.7 * 30)


def test_the_fuller_of_two_seconds_is_observed() -> None:
    """A second that has just begun says little; after a pause the last one with polls counts."""
    limiter = throttled(rate=40)
    begun, paused = AdaptiveRateLimiter(math.inf), AdaptiveRateLimiter(math.inf)
    for number in range(40):
        begun.start(10 + number / 40)
        paused.start(10 + number / 40)
    begun.start(11.0)
    paused.start(15.0)
    begun.slow_down(11.1)
    paused.slow_down(15.1)
    assert begun.rate == limiter.rate
    assert paused.rate == pytest.approx(0.7)


def test_throttling_counts_once_a_second() -> None:
    """A hundred polls that were in flight together are one complaint, not a hundred."""
    limiter = throttled(rate=100)
    for _ in range(100):
        limiter.slow_down(11.5)
    assert limiter.rate == pytest.approx(70)
    limiter.slow_down(12.0)
    assert limiter.rate == pytest.approx(49)


def test_throttling_without_end_leaves_a_least_rate() -> None:
    """The server is asked on, if rarely, or its recovery would not be seen; a lower limit is respected."""
    limiter, slow = throttled(rate=10), throttled(rate=1, limit=0.05)
    for second in range(12, 60):
        limiter.slow_down(float(second))
        slow.slow_down(float(second))
    assert limiter.rate == LEAST_RATE
    assert slow.rate == 0.05


def test_the_rate_recovers_slowly_to_what_was_too_much() -> None:
    """Every second without throttling gives back a twentieth of the rate that was too much."""
    limiter = throttled(rate=100)
    for tenth in range(115, 150):
        limiter.speed_up(tenth / 10)
    steps = (14.9 - 12.0) // 1 + 1
    assert limiter.rate == pytest.approx(100 * (DECREASE + steps * INCREASE))


def test_beyond_what_was_too_much_the_rate_doubles() -> None:
    """Once the server bears it again, the old limit is back soon, and is never passed."""
    limiter = throttled(rate=100, limit=450.0)
    rates: list[float] = []
    for second in range(12, 24):
        limiter.speed_up(float(second))
        rates.append(limiter.rate)
    assert rates == pytest.approx([75, 80, 85, 90, 95, 100, 200, 400, 450, 450, 450, 450])


def test_a_share_of_the_rate_settles_around_what_a_server_bears() -> None:
    """A server that bears 100 polls a second throttles one poll in twenty at most, and is used well."""
    limiter, refused, served, now = AdaptiveRateLimiter(math.inf), 0, 0, 0.0
    window: list[float] = []
    while now < 300:
        limiter.start(now)
        window = [*(time for time in window if time > now - 1), now]
        if len(window) > 100:
            window.pop()
            refused += 1
            limiter.slow_down(now)
        else:
            served += 1
            limiter.speed_up(now)
        now = max(now + 0.001, limiter.opens_at)  # a thousand a second would like to start
    assert refused / (refused + served) < 0.05
    assert served > 0.75 * 100 * 300


def test_overdue_polls_are_spread() -> None:
    """So many polls take about so many seconds, then the rate goes up again."""
    limiter = AdaptiveRateLimiter(math.inf)
    limiter.spread(3000, 30.0, 100.0)
    assert len(starts(limiter, 100.0, 130.0)) == pytest.approx(3000, rel=0.02)
    limiter.speed_up(129.9)
    assert limiter.rate == 100
    limiter.speed_up(130.0)
    assert limiter.rate == 200


def test_a_few_overdue_polls_are_no_burst() -> None:
    """One a second is harmless, and so is what the present rate allows anyway."""
    limiter, slow, throttling = AdaptiveRateLimiter(math.inf), AdaptiveRateLimiter(0.5), throttled(rate=10)
    for each in (limiter, slow):
        each.spread(3, 30.0, 100.0)
    throttling.spread(3000, 30.0, 100.0)
    assert (limiter.rate, slow.rate, throttling.rate) == (1.0, 0.5, 7.0)


def test_at_rest_nothing_is_remembered() -> None:
    """A limiter is at rest when it is open at its full rate."""
    limiter = AdaptiveRateLimiter(10.0)
    assert limiter.is_at_rest(0.0)
    limiter.start(0.0)
    assert not limiter.is_at_rest(0.05)
    assert limiter.is_at_rest(0.1)
    limiter.slow_down(0.1)
    assert not limiter.is_at_rest(10.0)


def test_a_changed_rate_moves_the_next_start() -> None:
    """It comes as if the rate had always been so, and never at once; while polls are paused, it stays."""
    limiter = AdaptiveRateLimiter(0.5)
    limiter.start(100.0)
    limiter.change(1.0, 101.0)
    assert limiter.opens_at == 101.5
    limiter.change(0.0, 101.0)
    limiter.change(2.0, 103.0)
    assert (limiter.opens_at, limiter.rate) == (101.5, 2.0)
    limiter.change(math.inf, 103.0)
    assert limiter.is_at_rest(103.0)
