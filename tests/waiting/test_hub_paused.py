"""Limits of a hub that are changed while it runs, and runs that are paused."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import pytest
from hub_kit import PENDING, SUCCESS, Batch, Host, in_hub, leave, waits_for

from asyncpoll import Fixed, Hub, Learned, Outcome, WaitTimeout


def test_a_rate_of_zero_pauses_all_polls() -> None:
    """They go on when it is set again, at that rate."""
    host = Host(lambda _: PENDING)

    async def work(hub: Hub) -> None:
        waits = waits_for(hub, host.jobs("a", "b"))
        await asyncio.sleep(1.5)
        hub.rate = 0
        await asyncio.sleep(10)
        assert hub.rate == 0
        hub.rate = 1.0
        await asyncio.sleep(3)
        hub.rate = None
        assert hub.rate is None
        await asyncio.sleep(1)
        await leave(waits)

    in_hub(work)
    assert host.times()[:4] == [0.0, 0.0, 1.0, 1.0]
    assert host.times()[4:7] == [11.5, 12.5, 13.5]
    assert len(host.times()) > 7


def test_deadlines_hold_while_polls_are_paused() -> None:
    """A wait ends in time, without the poll just before its deadline."""
    host = Host(lambda _: PENDING)

    async def work(hub: Hub) -> float:
        (wait,) = waits_for(hub, host.jobs("a"), timeout=5.0)
        await asyncio.sleep(0.5)
        hub.rate = 0
        with pytest.raises(WaitTimeout):
            await wait
        return asyncio.get_running_loop().time()

    assert in_hub(work) == 5.0
    assert host.times() == [0.0]


def test_the_number_of_polls_in_flight_can_be_changed() -> None:
    """More start at once, and polls in flight are not cut when there are too many."""
    host = Host(latency=2.0)

    async def work(hub: Hub) -> None:
        waits = waits_for(hub, host.jobs(*range(12)))
        await asyncio.sleep(1.0)
        hub.concurrency = 5
        await asyncio.sleep(1.5)
        hub.concurrency = 1
        assert hub.concurrency == 1
        await asyncio.gather(*waits)

    in_hub(work, concurrency=2)
    assert host.times() == [0.0, 0.0, 1.0, 1.0, 1.0, 2.0, 2.0, 4.0, 6.0, 8.0, 10.0, 12.0]


@pytest.mark.parametrize("rate", [-1, math.nan, math.inf, True, "1"])
def test_a_rate_is_a_number_of_polls_a_second(rate: Any) -> None:
    """Anything else is refused, and the rate stays."""
    hub = Hub(rate=2.0)
    with pytest.raises(ValueError, match="rate must be"):
        hub.rate = rate
    with pytest.raises(ValueError, match="concurrency must be"):
        hub.concurrency = 0
    assert (hub.rate, hub.concurrency) == (2.0, 100)


def test_limits_can_be_set_before_and_after_the_hub_is_open() -> None:
    """Before, they count; afterwards, they change nothing."""
    host = Host()
    limited = Hub(schedule=Learned())
    limited.rate = 1.0

    async def work(_hub: Hub) -> None:
        async with limited:
            await limited.wait_all(host.jobs(*range(3)), timeout=None)
        limited.rate = 5.0

    in_hub(work)
    assert host.times() == [0.0, 1.0, 2.0]
    assert limited.rate == 5.0


def test_a_price_follows_a_rate_that_is_set_later() -> None:
    """Scarce calls have a price as soon as there is a rate, and none while polls are paused."""
    host = Host(lambda _: PENDING)
    schedule = Learned()
    for _ in range(30):
        schedule.observe(10.0, 10.0, key="made.up", state="pending")

    async def work(hub: Hub) -> float:
        waits = waits_for(hub, host.jobs(*range(200)))
        await asyncio.sleep(5)
        hub.rate = 2.0
        await asyncio.sleep(60)
        scarcity = schedule.scarcity
        hub.rate = 0
        await asyncio.sleep(5)
        await leave(waits)
        return scarcity

    assert in_hub(work, schedule=schedule) > 1.0
    assert schedule.scarcity == 0.0


async def ends_of_run(hub: Hub, jobs: Any, *pauses: tuple[float, float]) -> list[Outcome[Any]]:
    """Return the outcomes of a run that is paused after so many seconds for so long."""
    async with hub.as_completed(jobs, timeout=60.0) as run:
        for after, seconds in pauses:
            await asyncio.sleep(after)
            run.pause()
            await asyncio.sleep(seconds)
            run.resume()
        return [outcome async for outcome in run]


def test_a_run_can_be_paused() -> None:
    """None of its jobs is polled meanwhile, however many were about to be; other waits go on."""
    host, other = Host(lambda _: PENDING), Host(lambda _: PENDING)

    async def work(hub: Hub) -> list[Outcome[Any]]:
        waits = waits_for(hub, other.jobs("other"))
        ends = await ends_of_run(hub, host.jobs(*range(20)), (2.1, 30.0))
        await leave(waits)
        return ends

    ends = in_hub(work, rate=4.0)
    assert len(ends) == 20
    assert not [at for at in host.times() if 2.1 < at < 32.1]
    assert [at for at in host.times() if 32.1 <= at <= 34.2]
    assert len([at for at in other.times() if 2.1 < at < 32.1]) == 30


def test_pausing_a_run_keeps_other_jobs_of_its_client_ready() -> None:
    """Jobs that wait for their turn at a rate keep it, in front of those that come later."""
    host = Host(lambda _: PENDING)

    async def work(hub: Hub) -> None:
        waits = waits_for(hub, host.jobs(*range(5)))
        async with hub.as_completed(host.jobs(*range(100, 110)), timeout=None) as run:
            await asyncio.sleep(1.5)
            run.pause()
            await asyncio.sleep(8.0)
        await leave(waits)

    in_hub(work, rate=1.0, schedule=Fixed(100.0))
    assert host.names()[:5] == ["0", "1", "2", "3", "4"]
    assert len(host.names()) == 5


def test_a_batch_of_a_paused_run_is_not_asked_about() -> None:
    """A call about many jobs waits, too."""
    host = Batch(lambda _: math.inf)
    ends = in_hub(lambda hub: ends_of_run(hub, host.jobs(*range(5)), (3.5, 10.0)))
    assert len(ends) == 5
    assert not [at for at in host.times() if 3.5 < at < 13.5]


def test_a_job_that_others_wait_for_is_polled_on() -> None:
    """Only jobs that nobody but the paused run waits for rest."""
    host = Host(lambda _: PENDING)

    async def work(hub: Hub) -> None:
        (job,) = host.jobs("shared")
        waits = waits_for(hub, [job])
        async with hub.as_completed([job], timeout=None) as run:
            await asyncio.sleep(0.5)
            run.pause()
            await asyncio.sleep(5.0)
        await leave(waits)

    in_hub(work)
    assert host.times() == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]


def test_deadlines_hold_while_a_run_is_paused() -> None:
    """Each wait ends in time."""
    host = Host(lambda _: PENDING)

    async def work(hub: Hub) -> list[tuple[str, float]]:
        async with hub.as_completed(host.jobs("a", "b"), timeout=4.5) as run:
            await asyncio.sleep(0.5)
            run.pause()
            return [(type(outcome.error).__name__, outcome.waited) async for outcome in run]

    assert in_hub(work) == [("WaitTimeout", 4.5)] * 2
    assert host.times() == [0.0, 0.0]


def test_leaving_a_paused_run_leaves_nothing_behind() -> None:
    """Its jobs can be waited for anew."""
    host = Host(lambda _: SUCCESS)

    async def work(hub: Hub) -> int:
        async with hub.as_completed(host.jobs(*range(3)), timeout=None) as run:
            run.pause()
            await asyncio.sleep(5.0)
        return len(await hub.wait_all(host.jobs(*range(3)), timeout=None))

    assert in_hub(work) == 3
    assert host.times() == [5.0] * 3
