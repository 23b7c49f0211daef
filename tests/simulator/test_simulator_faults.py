"""The requests that meet a fault."""

from __future__ import annotations

import aiohttp
import pytest
from simulator_kit import Client, simulated

from asyncpoll.simulator import ErrorStatus, Fault, Reset


async def statuses(calls: Client, count: int) -> list[int]:
    """Poll so many times and return the HTTP statuses."""
    return [(await calls.agent("job")).status for _ in range(count)]


async def test_a_fault_applies_to_a_route_or_a_path() -> None:
    """A fault applies to the requests of a route, or to those with a part of the path."""
    faults = [Fault(ErrorStatus(500), "bigmodel.agents"), Fault(ErrorStatus(503), "/task/status/")]
    async with simulated(faults=faults) as (_, calls):
        assert (await calls.agent("job")).status == 500
        assert (await calls.send("POST", "/api/v1/agents", json={"agent_id": "a", "messages": []})).status == 200
        assert (await calls.task("task")).status == 503
        assert (await calls.result("task")).status == 200


async def test_a_fault_applies_to_some_requests_in_order() -> None:
    """A fault applies to the nth request, or to the first few."""
    async with simulated(faults=[Fault(ErrorStatus(500), nth=3)]) as (_, calls):
        assert await statuses(calls, 5) == [200, 200, 500, 200, 200]
    async with simulated(faults=[Fault(ErrorStatus(500), times=2)]) as (_, calls):
        assert await statuses(calls, 4) == [500, 500, 200, 200]


async def test_a_random_fault_is_reproducible() -> None:
    """Every run with the same seed has the fault at the same requests, about as many as chosen."""

    async def run(seed: int) -> list[int]:
        async with simulated(seed=seed, faults=[Fault(ErrorStatus(500), probability=0.5)]) as (_, calls):
            return await statuses(calls, 60)

    first = await run(1)
    assert first == await run(1) != await run(2)
    assert 15 < first.count(500) < 45


async def test_faults_can_be_changed_while_it_runs() -> None:
    """The list can be changed at any time; several faults that are due apply in order."""
    async with simulated() as (sim, calls):
        assert await statuses(calls, 1) == [200]
        first, second = Fault(ErrorStatus(500)), Fault(ErrorStatus(503))
        sim.faults.append(first)
        assert await statuses(calls, 1) == [500]
        sim.faults.append(second)
        assert await statuses(calls, 1) == [503]
        sim.faults.remove(second)
        assert await statuses(calls, 1) == [500]
        sim.faults.clear()
        assert await statuses(calls, 1) == [200]


async def test_a_submit_whose_response_is_lost_starts_the_job() -> None:
    """The client does not know the id, but the job exists."""
    fault = Fault(Reset("before"), "molizhishu.tasks.start", times=1)
    async with simulated(faults=[fault], unknown_ids="reject") as (_, calls):
        with pytest.raises(aiohttp.ClientConnectionError):
            await calls.submit(consumerTaskId="order20260001")
        again = (await calls.submit(consumerTaskId="order20260001")).json
    assert again["message"] == "任务已存在"
