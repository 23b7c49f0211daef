"""How many polls a hub makes at once, how fast, in which order, and when."""

from __future__ import annotations

import asyncio
import itertools
import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hub_kit import (
    PENDING,
    SUCCESS,
    Host,
    ends_of,
    in_hub,
    jobs_of,
    leave,
    now,
    play,
    transport_of,
    wait_for_a_while,
    waits_for,
)

from asyncpoll import Fixed, Hub, Progress, Snapshot, Throttled, WaitTimeout
from asyncpoll.http import Request
from asyncpoll.testing import VirtualLoop

# how many


@pytest.mark.parametrize("name", ["concurrency", "lane_concurrency"])
@pytest.mark.parametrize("limit", [1, 3])
def test_no_more_polls_are_in_flight_than_that(name: str, limit: int) -> None:
    """In the hub and in a lane."""
    flying = most = 0

    async def fetch() -> Snapshot[None]:
        nonlocal flying, most
        flying += 1
        most = max(most, flying)
        await asyncio.sleep(1)
        flying -= 1
        return Snapshot(SUCCESS)

    fetches: list[Any] = [lambda number=number: fetch() for number in range(10)]  # ten different functions
    in_hub(lambda hub: hub.wait_all(fetches, timeout=None), **{name: limit})
    assert most == limit


def test_each_poll_that_ends_makes_room_for_the_next() -> None:
    """First come, first served."""
    host = Host(latency=2.0)
    wait_for_a_while(10.0, host.jobs(*range(25)), concurrency=10)
    assert Counter(host.times()) == {0.0: 10, 2.0: 10, 4.0: 5}
    assert host.names() == [str(name) for name in range(25)]


def test_a_lane_has_its_own_limits() -> None:
    """So many in flight and so many a second hold for each client, whatever the others do."""
    full, slow = ([Host(latency=1.0) for _ in range(2)] for _ in range(2))
    wait_for_a_while(12.0, [job for host in full for job in host.jobs(*range(6))], lane_concurrency=2)
    wait_for_a_while(12.0, [job for host in slow for job in host.jobs(*range(6))], lane_rate=0.5)
    assert [Counter(host.times()) for host in full] == [{0.0: 2, 1.0: 2, 2.0: 2}] * 2
    assert [host.times() for host in slow] == [[0.0, 2.0, 4.0, 6.0, 8.0, 10.0]] * 2


def test_a_lane_at_its_limit_does_not_block_another() -> None:
    """Jobs that wait for room in their lane do not delay those in other lanes."""
    full, other = Host(latency=30.0), Host(lambda _: PENDING)
    wait_for_a_while(9.5, [*full.jobs(*range(50)), *other.jobs("a")], concurrency=2, lane_concurrency=1)
    assert full.times() == [0.0]
    assert other.times() == [float(second) for second in range(10)]


def test_async_functions_share_a_lane() -> None:
    """Async functions have no client, and are polled in one lane."""
    scripts = [play(SUCCESS, latency=1.0) for _ in range(4)]
    wait_for_a_while(10.0, scripts, lane_concurrency=1)
    assert [script.polled_at for script in scripts] == [[0.0], [1.0], [2.0], [3.0]]


def test_lanes_take_turns() -> None:
    """A client with hundreds of jobs does not make one with three wait for its end."""
    big, small = Host(), Host()
    wait_for_a_while(9.5, [*big.jobs(*range(500)), *small.jobs(*range(3))], rate=1.0)
    assert small.times() == [1.0, 3.0, 5.0]
    assert big.times() == [0.0, 2.0, 4.0, 6.0, 7.0, 8.0, 9.0]


# how fast


@pytest.mark.no_cover
@pytest.mark.parametrize("limit", ["rate", "lane_rate"])
@pytest.mark.parametrize("rate", [3.0, 30.0, 700.0])
def test_polls_start_one_at_a_time_at_the_rate(limit: str, rate: float) -> None:
    """First come, first served, and accurate within 2 % over ten seconds."""
    host = Host(latency=0.05)
    wait_for_a_while(10.0, host.jobs(*range(int(12 * rate))), concurrency=1000, **{limit: rate})
    assert len(host.asked) == pytest.approx(10 * rate, rel=0.02, abs=1)
    assert host.names() == [str(name) for name in range(len(host.asked))]
    assert min(after - before for before, after in itertools.pairwise(host.times())) > 0.999 / rate


@pytest.mark.parametrize("limit", ["rate", "lane_rate"])
def test_idle_time_gives_no_burst(limit: str) -> None:
    """After a minute without polls they are as far apart as ever."""
    host = Host()

    async def work(hub: Hub) -> None:
        for names in (["alone"], range(5)):
            await asyncio.gather(*waits_for(hub, host.jobs(*names)))
            await asyncio.sleep(60)

    in_hub(work, **{limit: 2.0})
    assert host.times() == [0.0, 60.0, 60.5, 61.0, 61.5, 62.0]


class LateLoop(VirtualLoop):
    """A loop whose clock is often ahead of its timers, as that of a busy machine is."""

    def time(self) -> float:
        """Return a time up to 30 ms ahead of what the timers go by, in steps."""
        return math.ceil(super().time() / 0.03) * 0.03


def on(loop: Callable[[], VirtualLoop], seconds: float, jobs: Sequence[Any], **options: Any) -> None:
    """Wait for jobs for so many seconds on a loop of this kind."""

    async def main() -> None:
        async with Hub(**options) as hub:
            waits = waits_for(hub, jobs)
            await asyncio.sleep(seconds)
            await leave(waits)

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(main())


def test_late_timers_cost_no_pace() -> None:
    """Timers that fire up to 30 ms late leave the rate as it is; what is made up for is little."""
    host = Host()
    on(LateLoop, 10.0, host.jobs(*range(1000)), rate=50.0, concurrency=1000)
    assert len(host.asked) == pytest.approx(500, rel=0.02)
    assert max(Counter(host.times()).values()) <= 3


class EarlyLoop(VirtualLoop):
    """A loop whose timers fire up to 15 ms early, as on a system with a coarse clock."""

    def __init__(self, resolution: float = 0.015) -> None:
        super().__init__()
        self._clock_resolution = resolution
        self.timers = 0

    def call_at(self, when: float, callback: Any, *args: Any, **options: Any) -> asyncio.TimerHandle:  # type: ignore[override]  # typeshed has a variadic type here
        """Count the timers, because a loop that spins sets one after the other."""
        self.timers += 1
        assert self.timers < 2000
        return super().call_at(when, callback, *args, **options)


@pytest.mark.parametrize("resolution", [1e-7, 0.015])
def test_timers_that_fire_early_are_no_livelock(resolution: float) -> None:
    """A timer that fires a tick before its time is taken for its time: the polls come, and nothing spins."""
    host = Host(lambda _: PENDING)
    on(lambda: EarlyLoop(resolution), 30.0, host.jobs(*range(3)), rate=3.0, concurrency=1, schedule=Fixed(1 / 3))
    assert len(host.asked) == pytest.approx(90, abs=4)


@pytest.mark.parametrize("resolution", [1e-7, 0.015])
def test_deadlines_between_two_ticks_are_no_livelock(resolution: float) -> None:
    """In the queue, in flight, and idle alike."""
    host = Host(lambda _: PENDING, latency=100.0)

    async def main() -> list[float]:
        async with Hub(concurrency=2, lane_concurrency=1, schedule=Fixed(100.0)) as hub:
            jobs = [*host.jobs("in flight", "queued"), play(PENDING)]
            waits = [wait for job in jobs for wait in waits_for(hub, [job], timeout=20 + 4.9e-10)]
            return [end.waited for end in await ends_of(waits)]

    with asyncio.Runner(loop_factory=lambda: EarlyLoop(resolution)) as runner:
        assert runner.run(main()) == pytest.approx([20.0, 20.0, 19.5], abs=0.02)


def test_every_job_has_its_turn() -> None:
    """With more to poll than the rate allows none starves: all are polled equally often."""
    host = Host(lambda _: PENDING)
    wait_for_a_while(50.0, host.jobs(*range(20)), rate=10.0, schedule=Fixed(0.1))
    counts = Counter(host.names())
    assert max(counts.values()) - min(counts.values()) <= 1
    assert sum(counts.values()) == pytest.approx(500, abs=1)


# in the queue


def test_a_wait_in_the_queue_ends_at_its_own_deadline() -> None:
    """A poll that may not start yet does not keep a wait beyond its deadline."""
    scripts = [play(SUCCESS) for _ in range(20)]
    outcomes = in_hub(lambda hub: hub.wait_all(scripts, timeout=5.0), rate=1.0)
    late = [outcome for outcome in outcomes if isinstance(outcome.error, WaitTimeout)]
    assert 13 <= len(late) <= 15
    assert {(outcome.polls, outcome.waited) for outcome in late} == {(0, 5.0)}


def test_deadlines_hold_wherever_a_wait_stands() -> None:
    """Behind a rate, in a parked lane or with every place taken: when its time is up it ends, and is not polled."""
    hangs, parks, other = Host(latency=90.0), Host(lambda _: Throttled("slow", status=429, retry_after=60)), Host()

    async def work(hub: Hub) -> None:
        waits = waits_for(hub, [*hangs.jobs("a"), *parks.jobs("a")])
        await asyncio.sleep(1)
        waits += waits_for(hub, hangs.jobs("too"), timeout=4.0)  # behind the rate of the lane
        waits += waits_for(hub, parks.jobs("too"), timeout=6.0)
        await asyncio.sleep(10)
        waits += waits_for(hub, hangs.jobs("place"))
        await asyncio.sleep(1)
        waits += waits_for(hub, other.jobs("no place"), timeout=3.0, first_delay=0.5)
        await asyncio.sleep(30)
        await leave([*waits[:2], waits[4]])
        ends = await ends_of(waits)
        assert [(end.waited, end.polls) for end in (ends[2], ends[3], ends[5])] == [(4.0, 0), (6.0, 0), (3.0, 0)]

    in_hub(work, concurrency=2, lane_concurrency=2, lane_rate=0.1)
    assert (hangs.names(), parks.names(), other.names()) == (["a", "place"], ["a"], [])


def test_who_leaves_the_queue_is_not_polled() -> None:
    """It costs those behind it nothing; the same job may be awaited again."""
    host = Host(latency=1.0)

    async def work(hub: Hub) -> None:
        waits = waits_for(hub, host.jobs(*range(6)))
        await asyncio.sleep(0.5)
        await leave([waits[1], waits[4]])
        await asyncio.gather(*waits[2:4], *waits[5:], *waits_for(hub, host.jobs(1)))

    in_hub(work, concurrency=1)
    assert host.names() == ["0", "2", "3", "5", "1"]


# many at once


def test_thousands_of_deadlines_at_once_do_not_block_the_loop() -> None:
    """While they end, others have their turn in between."""
    host = Host()

    async def work(hub: Hub) -> list[int]:
        async with hub.as_completed(host.jobs(*range(5000)), timeout=5.0):
            await asyncio.sleep(5.0)
            ended = [hub.counters.ended]
            while hub.counters.pending:
                await asyncio.sleep(0)
                ended.append(hub.counters.ended)
            return ended

    ended = in_hub(work, rate=0.001, concurrency=5000)
    assert ended[-1] == 5000
    assert max(after - before for before, after in itertools.pairwise(ended)) <= 2500


@pytest.mark.parametrize("concurrency", [1, 100])
def test_thousands_that_are_due_wait_out_a_parked_server(concurrency: int) -> None:
    """A server that sends everybody away for an hour does not lose a wait, and is then asked at the rate it bears."""
    asked: list[float] = []

    def answer(_: Request) -> Any:
        asked.append(now())
        return Throttled("later", status=429, retry_after=3600.0) if now() < 3600 else {"state": "success"}

    jobs = jobs_of(transport_of(answer, latency=0.125), range(3000))
    outcomes = in_hub(lambda hub: hub.wait_all(jobs, timeout=None), concurrency=concurrency)
    assert all(outcome.succeeded for outcome in outcomes)
    turned_away = sum(at < 3600 for at in asked)
    assert turned_away <= concurrency
    assert len(asked) == 3000 + turned_away


def test_polls_that_take_no_time_let_others_have_their_turn() -> None:
    """Neither latency nor delay: the event loop still comes round."""

    async def work(hub: Hub) -> None:
        async with asyncio.timeout(1.0):
            async with hub.as_completed([play(PENDING) for _ in range(200)], timeout=None, schedule=AtOnce()):
                for _ in range(100):
                    await asyncio.sleep(0)

    in_hub(work)


class AtOnce:
    """No delay at all."""

    def delay(self, _progress: Progress, /) -> float:
        """Return nought."""
        return 0.0
