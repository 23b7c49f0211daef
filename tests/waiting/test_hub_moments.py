"""What happens in a hub at the same moment: polls, timers, nudges, and waits that leave."""

from __future__ import annotations

import asyncio
from typing import Any

from hub_kit import PROCESSING, Host, in_hub, jobs_of, leave, now, transport_of, waits_for

from asyncpoll import Fixed, Hub, Progress, Snapshot, Throttled


class AtOnce:
    """A schedule without delays."""

    def delay(self, _progress: Progress, /) -> float:
        """Return nought."""
        return 0.0


def test_a_nudge_counts_when_another_wait_leaves() -> None:
    """Who leaves at the moment of a nudge slows the job down for the others, but does not take the nudge back."""
    host = Host(lambda _: PROCESSING)

    async def work(hub: Hub) -> None:
        (job,) = host.jobs("shared")
        waits = waits_for(hub, [job], schedule=Fixed(10.0))
        async with hub.as_completed(host.jobs("shared"), timeout=None, schedule=Fixed(5.0)):
            await asyncio.sleep(3.0)
            assert hub.nudge(job.key)
        await asyncio.sleep(10.5)
        await leave(waits)

    in_hub(work)
    assert host.times() == [0.0, 3.0, 13.0]


def test_a_poll_right_after_another_is_cut_as_any() -> None:
    """A job may be polled again before the event loop has told of the end of its last poll."""
    polls, cut_at = 0, list[float]()

    async def fetch() -> Snapshot[Any]:
        nonlocal polls
        polls += 1
        await asyncio.sleep(0)
        if polls == 2:
            try:
                await asyncio.sleep(60.0)
            finally:
                cut_at.append(now())
        return Snapshot(PROCESSING)

    async def work(hub: Hub) -> None:
        wait = waits_for(hub, [fetch], schedule=AtOnce())
        others = list[Any]()
        for job in Host(lambda _: PROCESSING).jobs(*range(5)):  # each sets the timer of the hub to this very moment
            others += waits_for(hub, [job], schedule=Fixed(600.0))
            await asyncio.sleep(0)
        await asyncio.sleep(1.0)
        assert polls == 2
        await leave(wait)
        await asyncio.sleep(0)
        assert cut_at == [1.0]
        await leave(others)

    in_hub(work)


def test_a_server_without_jobs_takes_no_slot() -> None:
    """A throttled one is remembered when its jobs are given up; the slots are for the others all the same."""
    host = Host(lambda _: PROCESSING, latency=1.0)
    (throttled,) = jobs_of(transport_of(lambda _: Throttled("slower", retry_after=60.0)), ["throttled"])

    async def work(hub: Hub) -> None:
        waits = waits_for(hub, [throttled])
        await asyncio.sleep(0.5)
        await leave(waits)
        waits = waits_for(hub, host.jobs(*range(5)))
        await asyncio.sleep(0.5)
        assert host.in_flight == 2
        await leave(waits)

    in_hub(work, concurrency=2)
