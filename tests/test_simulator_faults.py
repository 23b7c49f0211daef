"""A fault strikes just the requests that it should."""

from __future__ import annotations

import aiohttp
import pytest
from simulator_client import Client, simulated

from asyncpoll.simulator import ErrorStatus, Fault, Reset


async def statuses(calls: Client, count: int) -> list[int]:
    """Poll so many times and list the HTTP statuses."""
    return [(await calls.agent("job")).status for _ in range(count)]


async def test_a_fault_strikes_where_it_should() -> None:
    """By the name of a route, or by a part of the path."""
    faults = [Fault(ErrorStatus(500), "bigmodel.agents"), Fault(ErrorStatus(503), "/task/status/")]
    async with simulated(faults=faults) as (_, calls):
        assert (await calls.agent("job")).status == 500
        assert (await calls.send("POST", "/api/v1/agents", json={"agent_id": "a", "messages": []})).status == 200
        assert (await calls.task("task")).status == 503
        assert (await calls.result("task")).status == 200


async def test_a_fault_strikes_when_it_should() -> None:
    """The nth request, or the first few."""
    async with simulated(faults=[Fault(ErrorStatus(500), nth=3)]) as (_, calls):
        assert await statuses(calls, 5) == [200, 200, 500, 200, 200]
    async with simulated(faults=[Fault(ErrorStatus(500), times=2)]) as (_, calls):
        assert await statuses(calls, 4) == [500, 500, 200, 200]


async def test_a_probable_fault_is_reproducible() -> None:
    """The same requests are struck in every run with the same seed, about as many as was asked for."""

    async def run(seed: int) -> list[int]:
        async with simulated(seed=seed, faults=[Fault(ErrorStatus(500), probability=0.5)]) as (_, calls):
            return await statuses(calls, 60)

    first = await run(1)
    assert first == await run(1) != await run(2)
    assert 15 < first.count(500) < 45


async def test_faults_come_and_go_while_it_runs() -> None:
    """The list is the user's; several that are due strike in order."""
    async with simulated() as (sim, calls):
        assert await statuses(calls, 1) == [200]
        broken, tired = Fault(ErrorStatus(500)), Fault(ErrorStatus(503))
        sim.faults.append(broken)
        assert await statuses(calls, 1) == [500]
        sim.faults.append(tired)
        assert await statuses(calls, 1) == [503]
        sim.faults.remove(tired)
        assert await statuses(calls, 1) == [500]
        sim.faults.clear()
        assert await statuses(calls, 1) == [200]


async def test_a_lost_answer_to_a_submit_has_started_the_job() -> None:
    """The hard case of every client: nobody knows the id, but the job is there."""
    fault = Fault(Reset("before"), "molizhishu.tasks.start", times=1)
    async with simulated(faults=[fault], unknown_ids="reject") as (_, calls):
        with pytest.raises(aiohttp.ClientConnectionError):
            await calls.submit(consumerTaskId="order20260001")
        again = (await calls.submit(consumerTaskId="order20260001")).json
    assert again["message"] == "任务已存在"
