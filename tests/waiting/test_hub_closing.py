"""Where and when a hub may be used, and what is left when it closes or a wait is cancelled."""

from __future__ import annotations

import asyncio
import os
from typing import Any, cast

import pytest
from await_points import MOMENTS, Moment, cancelled_everywhere
from hub_kit import EVERY_SECOND, PENDING, SUCCESS, Host, ends_of, in_hub, now, play, waits_for

from asyncpoll import ClientClosed, Hub, Rejected, Snapshot
from asyncpoll.testing import run_virtual


def test_a_hub_is_used_inside_its_block() -> None:
    """Before and after it is closed, and it is opened once; what it counted stays."""
    hub = Hub()

    async def use() -> None:
        with pytest.raises(ClientClosed, match="inside its block"):
            hub.nudge("x")
        with pytest.raises(ClientClosed, match="inside its block"):
            await hub.wait(play(SUCCESS), timeout=None)

    async def live() -> None:
        await use()
        async with hub:
            await hub.wait(play(SUCCESS), timeout=None)
        await use()
        assert hub.counters.succeeded == 1
        with pytest.raises(ClientClosed, match="once"):
            await hub.__aenter__()

    run_virtual(live())


async def test_a_hub_is_used_in_its_own_event_loop() -> None:
    """In another one, or in none at all, it is closed."""

    async def use(hub: Hub) -> None:
        with pytest.raises(ClientClosed, match="another event loop"):
            await hub.wait(play(SUCCESS), timeout=None)

    def nudge(hub: Hub) -> None:
        with pytest.raises(ClientClosed, match="another event loop"):
            hub.nudge("x")

    async with Hub() as hub:
        await asyncio.to_thread(lambda: asyncio.run(use(hub)))
        await asyncio.to_thread(nudge, hub)


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # forking with threads is what is at issue
async def test_a_hub_is_used_in_its_own_process() -> None:
    """After a fork it is closed in the child."""
    async with Hub() as hub:
        if (child := os.fork()) == 0:  # pragma: no cover  measured in the parent only
            try:
                hub.nudge("x")
            except ClientClosed:
                os._exit(0)
            os._exit(1)
        _, status = await asyncio.to_thread(os.waitpid, child, 0)
        assert status == 0


# closing


def test_closing_ends_every_wait() -> None:
    """Who still waits when the hub is closed gets an error that says so, and the polls are cut."""
    script = play(PENDING, latency=1.0)

    async def main() -> None:
        async with Hub() as hub:
            waits = [asyncio.create_task(hub.wait(script, timeout=None)) for _ in range(3)]
            await asyncio.sleep(0.5)
        assert (hub.counters.pending, hub.counters.in_flight) == (0, 0)
        await asyncio.wait(waits)
        assert all(isinstance(wait.exception(), ClientClosed) for wait in waits)
        assert now() == 0.5

    run_virtual(main())


def test_a_fetch_that_swallows_its_cancel_does_not_last() -> None:
    """The hub closes in time, whatever the fetch does with its cancellation."""

    async def stubborn() -> Snapshot[None]:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await asyncio.sleep(1)
        return Snapshot(PENDING)

    async def main() -> None:
        async with Hub() as hub:
            wait = asyncio.create_task(hub.wait(stubborn, timeout=None))
            await asyncio.sleep(0.5)
        assert isinstance(wait.exception(), ClientClosed)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert now() == 1.5

    run_virtual(main())


def test_closing_starts_nothing_in_the_place_of_what_it_cuts() -> None:
    """A job that is queued or due later is never polled, also when a cancelled poll ends slowly."""
    host = Host(latency=60.0)

    async def main() -> None:
        async with Hub(concurrency=2) as hub:
            waits = waits_for(hub, host.jobs("cut", "cut too", "queued"))
            waits += waits_for(hub, host.jobs("later"), first_delay=5.0)
            await asyncio.sleep(1)
        assert [type(end) for end in await ends_of(waits)] == [ClientClosed] * 4
        await asyncio.sleep(120)

    run_virtual(main())
    assert (host.names(), host.in_flight) == (["cut", "cut too"], 0)


# cancellation


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("latency", [0.0, 0.25])
def test_a_cancel_at_any_await_point_of_a_wait_leaves_nothing(latency: float, moment: Moment) -> None:
    """Cancelled at each await point in turn it ends cancelled, and leaves no task, no wait and no poll."""

    async def wait() -> Snapshot[Any]:
        async with Hub(schedule=EVERY_SECOND) as hub:
            try:
                return await hub.wait(play(PENDING, PENDING, SUCCESS, latency=latency), timeout=60)
            finally:
                assert hub.counters.pending == 0

    *cancelled, finished = cancelled_everywhere(wait, moment=moment, settling=3)
    assert len(cancelled) >= 1
    assert all(run.cancelled for run in cancelled)
    assert finished.result.state is SUCCESS


@pytest.mark.parametrize("steps", range(12))
def test_a_caller_may_be_cancelled_in_the_turn_of_the_answer(steps: int) -> None:
    """Whichever comes first in one turn of the event loop, nothing goes wrong unseen."""

    async def work(hub: Hub) -> None:
        task = asyncio.create_task(hub.wait(play(SUCCESS, SUCCESS), timeout=60))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled() or task.result().state is SUCCESS
        assert hub.counters.pending == 0

    in_hub(work)


@pytest.mark.parametrize("answer", [Snapshot[Any](SUCCESS), Rejected("no")])
def test_an_end_may_come_at_the_moment_of_a_cancellation(answer: Any) -> None:
    """Cancelled is cancelled, and the end concerns no caller then."""

    async def work(hub: Hub) -> None:
        gate = asyncio.get_running_loop().create_future()

        async def fetch() -> Snapshot[Any]:
            await gate
            if isinstance(answer, Exception):
                raise answer
            return cast("Snapshot[Any]", answer)

        wait = asyncio.create_task(hub.wait(fetch, timeout=None))
        await asyncio.sleep(1)
        gate.set_result(None)
        wait.cancel()
        with pytest.raises(asyncio.CancelledError):
            await wait
        assert hub.counters.pending == 0

    in_hub(work)
