"""A server that hangs keeps no other from being polled."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hub_kit import PROCESSING, Host, in_hub, jobs_of, now, transport_of

from asyncpoll import Hub, TransportError
from asyncpoll.testing import MemoryTransport


class Hanging(MemoryTransport):
    """A transport whose server never answers: every exchange is cut after 20 seconds."""

    def __init__(self) -> None:
        super().__init__(lambda _: pytest.fail("it hangs"))
        self.in_flight = self.most = 0

    async def send(self, request: Any, /) -> Any:
        """Hang."""
        self.in_flight += 1
        self.most = max(self.most, self.in_flight)
        try:
            await asyncio.sleep(20.0)
        finally:
            self.in_flight -= 1
        raise TransportError("timed out", kind="timeout")


def healthy(count: int) -> list[Any]:
    """Return jobs of a server that answers, each of which needs three polls."""
    polls: dict[str, int] = {}

    def answer(request: Any) -> Any:
        polls[request.path] = polls.get(request.path, 0) + 1
        return {"state": "success" if polls[request.path] == 3 else "processing"}

    return jobs_of(transport_of(answer, latency=0.1), range(count))


async def ends_at(hub: Hub, jobs: list[Any], delay: float = 0.0) -> float:
    """Wait for all jobs, and return when the last one ended."""
    await asyncio.sleep(delay)
    outcomes = await hub.wait_all(jobs, timeout=60.0)
    assert all(outcome.succeeded for outcome in outcomes)
    return now() - delay


@pytest.mark.parametrize("concurrency", [4, 10, 100])
@pytest.mark.parametrize("hung", [150, 2000])
@pytest.mark.parametrize("first", ["the hung", "the healthy"])
def test_a_server_that_hangs_does_not_fill_the_hub(concurrency: int, hung: int, first: str) -> None:
    """Five healthy jobs elsewhere end as soon as they would by themselves."""

    async def main(hub: Hub) -> None:
        stuck, fine = jobs_of(Hanging(), range(hung)), healthy(5)
        groups = (stuck, fine) if first == "the hung" else (fine, stuck)
        runs = [asyncio.create_task(hub.wait_all(jobs, timeout=60.0)) for jobs in groups]
        done = asyncio.create_task(ends_at(hub, healthy(5)))
        assert await done < 6.0
        for run in runs:
            run.cancel()
        await asyncio.gather(*runs, return_exceptions=True)

    in_hub(main, concurrency=concurrency)


def test_newcomers_find_a_slot_in_a_hub_that_hangs() -> None:
    """Jobs of another client that come later are polled at once, although the hung ones want every slot."""

    async def main(hub: Hub) -> None:
        run = asyncio.create_task(hub.wait_all(jobs_of(Hanging(), range(500)), timeout=60.0))
        assert await ends_at(hub, healthy(5), delay=5.0) < 4.0
        run.cancel()
        await asyncio.gather(run, return_exceptions=True)

    in_hub(main)


def test_one_run_over_both_servers_keeps_its_healthy_jobs_going() -> None:
    """So it is when one run holds both, the hung ones first."""
    ended: list[float] = []

    async def main(hub: Hub) -> None:
        jobs = [*jobs_of(Hanging(), range(150)), *healthy(5)]
        async with hub.as_completed(jobs, timeout=60.0) as outcomes:
            async for _ in outcomes:
                ended.append(now())
                if len(ended) == 5:
                    break

    in_hub(main)
    assert ended[-1] < 6.0


def test_three_servers_share_the_slots() -> None:
    """Two servers that hang leave room for a third, and share the rest about evenly."""
    first, second = Hanging(), Hanging()

    async def main(hub: Hub) -> None:
        hung = [asyncio.create_task(hub.wait_all(jobs_of(one, range(300)), timeout=60.0)) for one in (first, second)]
        assert await ends_at(hub, healthy(20), delay=1.0) < 4.0
        for run in hung:
            run.cancel()
        await asyncio.gather(*hung, return_exceptions=True)

    in_hub(main)
    assert min(first.most, second.most) >= 30


def test_limits_of_a_lane_that_are_given_are_kept() -> None:
    """With `lane_concurrency=` the caller has shared the slots out: a lane gets all that it is given."""
    hanging = Hanging()

    async def main(hub: Hub) -> None:
        run = asyncio.create_task(hub.wait_all(jobs_of(hanging, range(150)), timeout=60.0))
        await asyncio.sleep(1.0)
        run.cancel()
        await asyncio.gather(run, return_exceptions=True)

    in_hub(main, lane_concurrency=100)
    assert hanging.most == 100


def test_a_busy_lane_leaves_nothing_unused() -> None:
    """A single client has all slots but those for newcomers; below fifty slots, all."""
    host = Host(lambda _: PROCESSING, latency=1.0)

    async def main(hub: Hub) -> None:
        await hub.wait_all(host.jobs(*range(50)), timeout=10.0)

    in_hub(main, concurrency=10)
    assert host.most == 10
