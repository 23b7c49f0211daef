"""Many clients of few jobs cost what few would, however they look at them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from web_kit import FRAMEWORKS, POLLS, Site, answer, events, job_of, site

from asyncpoll import Fixed, web
from asyncpoll.simulator import Life


async def look(request: Any) -> Any:
    """Answer with what was seen within the last second."""
    seen = await web.until_disconnect(request, web.state(request).hub.fetch(job_of(request), max_age=0.95))
    return web.Response(200, {}, {"state": seen.state.value}).to(request)


WAYS = {"/wait": answer, "/view": events, "/look": look}


async def _count(request: Any) -> Any:
    state = web.state(request)
    counts = {path: getattr(state, path[1:]).requests for path in WAYS}
    return web.Response(200, {}, counts).to(request)


async def _end(here: Site, path: str, job: str, offset: float) -> str:
    if path == "/view":
        return (await here.watch(f"{path}/{job}"))[-1]["event"].replace("end", "success")
    due = asyncio.get_running_loop().time()
    if path == "/look":
        await asyncio.sleep(offset)
    while (state := (await here.get(f"{path}/{job}"))[2]["state"]) == "processing":
        due += 1.0
        await asyncio.sleep(due + offset - asyncio.get_running_loop().time())
    return str(state)


async def test_all_ways_to_look_cost_the_same() -> None:
    """A job is polled once a second, for all who wait, for all who view, and for all who ask every second."""
    requests = await _requests("starlette", [*WAYS], clients=60, jobs=6, seconds=1.5)
    assert requests == {"/wait": 18, "/view": 18, "/look": 18}


@pytest.mark.slow
@pytest.mark.parametrize("framework", FRAMEWORKS)
async def test_many_clients_cost_no_more(framework: str) -> None:
    """With 500 of them on 50 jobs, one way to look costs within a tenth of another."""
    requests: dict[str, int] = {}
    for path in WAYS:
        requests |= await _requests(framework, [path], clients=500, jobs=50, seconds=20.5)
    assert max(requests.values()) <= 1.1 * min(requests.values()), requests


async def _requests(framework: str, paths: list[str], *, clients: int, jobs: int, seconds: float) -> dict[str, int]:
    """Return how many requests it took to see jobs that take so many seconds through to their ends."""
    accounts = [path[1:] for path in WAYS]
    async with site(framework, {**WAYS, "/count": _count}, accounts=accounts, schedule=Fixed(1.0)) as here:
        for number in range(jobs):
            here.sim.script(POLLS, f"j{number}", Life(processing=seconds, outcome="succeeded"))
        numbers = [(number % jobs, number / clients) for number in range(clients)]
        visits = [_end(here, path, f"j{job}", offset) for path in paths for job, offset in numbers]
        assert set(await asyncio.gather(*visits)) == {"success"}
        _, _, counts = await here.get("/count/x")
        return {path: counts[path] for path in paths}
