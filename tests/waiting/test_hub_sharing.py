"""Many waits for one job share its polls; a nudge has it polled now."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

import pytest
from attrs import define
from hub_kit import (
    PENDING,
    PROCESSING,
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

from asyncpoll import Fixed, Hub, Snapshot, Throttled, TransportError, WaitTimeout

# many waits for one job


def test_one_job_awaited_by_many_is_polled_once() -> None:
    """Equal jobs share their polls, whichever objects they are."""
    words = iter(["pending", "pending", "success"])
    transport = transport_of(lambda _: {"state": next(words), "value": "x"})
    jobs = jobs_of(transport, ["a"] * 50)
    snapshots = in_hub(lambda hub: asyncio.gather(*(hub.wait(job, timeout=60) for job in jobs)))
    assert {snapshot.value for snapshot in snapshots} == {"x"}
    assert transport.requests == 3


@pytest.mark.parametrize("latency", [0.0, 0.9, 7.0])
def test_each_waiter_keeps_its_own_deadline(latency: float) -> None:
    """One that runs out of time, be it the first, leaves the others alone."""
    script = play(*[PENDING] * 30, SUCCESS, latency=latency)

    async def work(hub: Hub) -> tuple[Any, Any, Any]:
        waits = (hub.wait(script, timeout=limit) for limit in (10.0, None, 20.0))
        short, endless, longer = await asyncio.gather(*waits, return_exceptions=True)
        return short, endless, longer

    short, endless, longer = in_hub(work)
    assert isinstance(short, WaitTimeout)
    assert isinstance(longer, WaitTimeout)
    assert 9.4 <= short.waited <= 10.0
    assert 19.4 <= longer.waited <= 20.0
    assert endless.state is SUCCESS
    assert script.polls == 31


def test_deadlines_in_a_row_cannot_starve_a_slow_poll() -> None:
    """A poll that takes 3 s is finished although the deadline of a wait passes every second."""
    script = play(SUCCESS, latency=3.0)

    async def work(hub: Hub) -> list[Any]:
        waits = [asyncio.create_task(hub.wait(script, timeout=0.5 + number)) for number in range(9)]
        await asyncio.wait(waits)
        return [type(wait.exception()) for wait in waits]

    assert in_hub(work) == [WaitTimeout] * 3 + [type(None)] * 6
    assert script.polls == 1


def test_a_waiter_may_join_a_poll_in_flight() -> None:
    """Its answer is that of the poll that is under way, unless its time runs out before."""
    script = play(SUCCESS, latency=3.0)

    async def work(hub: Hub) -> None:
        first = asyncio.create_task(hub.wait(script, timeout=None))
        await asyncio.sleep(1)
        with pytest.raises(WaitTimeout):
            await hub.wait(script, timeout=1)
        assert now() == 2.0
        assert (await hub.wait(script, timeout=5)).state is SUCCESS
        await first

    in_hub(work)
    assert script.polls == 1


def test_a_waiter_that_joins_in_the_queue_keeps_its_own_deadline() -> None:
    """Also while the poll may not start yet."""
    script = play(SUCCESS)

    async def work(hub: Hub) -> None:
        await hub.wait(play(SUCCESS), timeout=None)
        first = asyncio.create_task(hub.wait(script, timeout=None))
        await asyncio.sleep(1)
        with pytest.raises(WaitTimeout) as caught:
            await hub.wait(script, timeout=3)
        assert (caught.value.waited, caught.value.polls) == (3.0, 0)
        await first

    in_hub(work, rate=0.1)
    assert script.polled_at == [10.0]


def test_the_last_to_leave_ends_the_polling() -> None:
    """Waiters may leave, the first one too; when none is left the server is not asked."""
    script = play(PENDING)

    async def work(hub: Hub) -> None:
        tasks = [asyncio.create_task(hub.wait(script, timeout=None)) for _ in range(3)]
        await asyncio.sleep(2.5)
        tasks[0].cancel()
        await asyncio.sleep(2)
        tasks[1].cancel()
        tasks[2].cancel()
        await asyncio.wait(tasks)
        await asyncio.sleep(60)
        assert hub.counters.pending == 0

    in_hub(work)
    assert script.polled_at == [0.0, 1.0, 2.0, 3.0, 4.0]


def test_the_last_to_leave_cuts_the_poll_in_flight() -> None:
    """A slow answer that is not awaited any more keeps no place from others."""
    slow, other = play(SUCCESS, latency=60.0), play(SUCCESS)

    async def work(hub: Hub) -> None:
        tasks = [asyncio.create_task(hub.wait(slow, timeout=None)) for _ in range(2)]
        await asyncio.sleep(1)
        tasks[0].cancel()
        await asyncio.sleep(1)
        assert hub.counters.in_flight == 1
        tasks[1].cancel()
        await hub.wait(other, timeout=None)

    in_hub(work, concurrency=1)
    assert other.polled_at == [2.0]


def test_a_job_can_be_awaited_while_its_cut_poll_unwinds() -> None:
    """The new wait has a poll of its own."""
    starts: list[float] = []

    async def stubborn() -> Snapshot[None]:
        starts.append(now())
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await asyncio.sleep(5)
            raise ConnectionError("of no interest any more") from None
        return Snapshot(SUCCESS)

    async def work(hub: Hub) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(10):
                await hub.wait(stubborn, timeout=None)
        await hub.wait(stubborn, timeout=None)
        assert (hub.counters.polls, hub.counters.missed) == (2, 0)

    in_hub(work)
    assert starts == [0.0, 10.0]


def test_a_late_waiter_hears_soon() -> None:
    """Whoever joins a wait that pauses for long need not wait for the end of the pause, nor pass its own deadline."""
    script = play(PENDING, PENDING, SUCCESS)

    async def work(hub: Hub) -> None:
        first = asyncio.create_task(hub.wait(script, timeout=None, schedule=Fixed(600.0)))
        await asyncio.sleep(10)
        with pytest.raises(WaitTimeout):
            await hub.wait(script, timeout=5, schedule=Fixed(60.0))
        await hub.wait(script, timeout=None)
        await first

    in_hub(work)
    assert script.polled_at == [0.0, 14.5, 15.5]


def test_a_waiter_that_is_sent_away_puts_no_other_off() -> None:
    """Who has the time is polled when the server said, not just before the end."""
    script = play(TransportError("later", retry_after=100.0), SUCCESS)

    async def work(hub: Hub) -> Any:
        waits = (hub.wait(script, timeout=limit) for limit in (50.0, 1000.0))
        return await asyncio.gather(*waits, return_exceptions=True)

    short, _ = in_hub(work)
    assert short.waited == 50.0
    assert script.polled_at[-1] >= 50.0


def test_waiters_that_come_and_go_leave_nothing_behind() -> None:
    """A job that is awaited for long does not remember who waited for it for a while."""
    script = play(PENDING)

    async def come_and_go(hub: Hub) -> weakref.ref[Fixed]:
        schedule = Fixed(1000.0)
        (end,) = await ends_of(waits_for(hub, [script], timeout=2, schedule=schedule))
        assert isinstance(end, WaitTimeout)
        return weakref.ref(schedule)

    async def work(hub: Hub) -> None:
        (first,) = waits_for(hub, [script], schedule=Fixed(1000.0))
        await asyncio.sleep(0)
        gone = [await come_and_go(hub) for _ in range(20)]
        gc.collect()
        assert sum(each() is not None for each in gone) <= 1
        assert hub.counters.pending == 1
        await leave([first])

    in_hub(work)


@define
class Alike(Host):
    """A server whose client equals every other of its kind, and cannot be hashed."""

    def __init__(self) -> None:
        super().__init__(latency=1.0)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Alike)

    __hash__ = None  # type: ignore[assignment]  # as that of any class that defines equality


def test_clients_that_are_equal_are_distinguished() -> None:
    """The very transport counts: neither its jobs nor its limits are those of another that equals it."""
    one, other = hosts = Alike(), Alike()
    assert one == other
    wait_for_a_while(5.0, [job for host in hosts for job in host.jobs(*range(3))], lane_concurrency=1)
    assert [host.asked for host in hosts] == [[(0.0, "0"), (1.0, "1"), (2.0, "2")]] * 2


# a nudge


def test_a_nudge_polls_now() -> None:
    """A webhook need not wait for the schedule; for a key that is not awaited it says so."""
    words = iter(["pending", "success"])
    (job,) = jobs_of(transport_of(lambda _: {"state": next(words)}), ["a"])

    async def work(hub: Hub) -> None:
        wait = asyncio.create_task(hub.wait(job, timeout=None))
        await asyncio.sleep(7)
        assert (hub.nudge(job.key), hub.nudge("another")) == (True, False)
        await wait
        assert now() == 7.0
        assert not hub.nudge(job.key)

    in_hub(work, schedule=Fixed(600.0))


def test_a_nudge_while_the_job_is_being_polled_polls_once_more() -> None:
    """The answer that is under way may be older than the reason for the nudge."""
    words = iter(["pending", "success"])
    (job,) = jobs_of(transport_of(lambda _: {"state": next(words)}, latency=2.0), ["a"])

    async def work(hub: Hub) -> None:
        wait = asyncio.create_task(hub.wait(job, timeout=None))
        await asyncio.sleep(1)
        assert hub.nudge(job.key)
        assert hub.nudge(job.key)
        await wait
        assert now() == 4.0

    in_hub(work, schedule=Fixed(600.0))


def test_a_nudge_does_not_push_through_a_closed_lane() -> None:
    """A server that asked to be left alone is left alone."""
    said = iter([Throttled("slow", status=429, retry_after=30.0), {"state": "success"}])
    (job,) = jobs_of(transport_of(lambda _: next(said)), ["a"])

    async def work(hub: Hub) -> None:
        wait = asyncio.create_task(hub.wait(job, timeout=None))
        await asyncio.sleep(5)
        for _ in range(3):
            assert hub.nudge(job.key)
        await wait
        assert now() == 30.0

    in_hub(work)


def test_a_nudge_finds_the_jobs_of_every_client() -> None:
    """Two accounts may have jobs with one key; those that are over are forgotten."""
    words = {"state": "pending"}
    jobs = [jobs_of(transport_of(lambda _: words), ["a"])[0] for _ in range(2)]

    async def work(hub: Hub) -> None:
        assert not hub.nudge(jobs[0].key)
        waits = [asyncio.create_task(hub.wait(job, timeout=None)) for job in jobs]
        bare = asyncio.create_task(hub.wait(play(PENDING, SUCCESS), timeout=None))
        await asyncio.sleep(1)
        words["state"] = "success"
        assert not hub.nudge("")
        assert hub.nudge(jobs[0].key)
        await asyncio.wait(waits)
        assert now() == 1.0
        await bare
        assert not hub.nudge(jobs[0].key)

    in_hub(work, schedule=Fixed(600.0))


def test_a_job_in_the_queue_keeps_its_place_when_nudged() -> None:
    """However often it is nudged, it is polled once, and before those that came later."""
    host = Host(latency=10.0)

    async def work(hub: Hub) -> None:
        waits = waits_for(hub, jobs := host.jobs("busy", "nudged", "last"))
        for _ in range(100):
            await asyncio.sleep(0.05)
            assert hub.nudge(jobs[1].key)
        await asyncio.gather(*waits)

    in_hub(work, concurrency=1)
    assert host.asked == [(0.0, "busy"), (10.0, "nudged"), (20.0, "last")]


def test_who_comes_when_the_first_has_left_shares_the_job() -> None:
    """With who is still there, and not with what the first wanted."""
    host = Host(lambda _: PROCESSING)

    async def work(hub: Hub) -> None:
        first, second = waits_for(hub, [*host.jobs("a"), *host.jobs("a")], schedule=Fixed(10.0))
        await asyncio.sleep(3.0)
        await leave([first])
        await asyncio.sleep(2.0)
        third = waits_for(hub, host.jobs("a"), schedule=Fixed(4.0))
        await asyncio.sleep(9.0)
        await leave([second, *third])

    in_hub(work)
    assert host.times() == [0.0, 9.0, 13.0]
