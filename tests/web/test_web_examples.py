"""The example apps as programs of their own, with a server behind them: upload, watch, result, and the end."""

from __future__ import annotations

import asyncio
import json
import signal
from typing import Any

import aiohttp
import pytest
from web_kit import LONG, POLLS, Program, program

from asyncpoll.simulator import Constant, Simulator

SUCCESS, QUEUE, WORK = {POLLS: {"succeeded": 1.0}}, Constant(0.1), Constant(0.5)
APPS = ("fastapi_app", "litestar_app", "aiohttp_app")


async def _events(reply: aiohttp.ClientResponse) -> list[dict[str, str]]:
    text = (await reply.read()).decode()
    lines = [block.splitlines() for block in text.split("\n\n") if block and not block.startswith(":")]
    return [dict(line.split(": ", 1) for line in block) for block in lines]


@pytest.mark.no_cover
@pytest.mark.parametrize("app", APPS)
async def test_an_example_runs_from_its_start_to_its_end(app: str) -> None:
    """A file is uploaded, two viewers see it parsed, its text is read; then a signal ends what is still open."""
    async with Simulator(outcomes=SUCCESS, pending=QUEUE, processing=WORK) as sim, program(app, sim) as site:
        async with site.session.get("/") as page:
            assert "EventSource" in await page.text()
            assert page.content_type == "text/html"
        async with site.session.post("/jobs?name=report.pdf", data=b"%PDF-1.7") as started:
            assert started.status == 202
            job = started.headers["Location"]
        viewers = [site.session.get(f"{job}/events") for _ in range(2)]
        for seen in await asyncio.gather(*[_events(await viewer) for viewer in viewers]):
            assert [event.get("event") for event in seen[-2:]] == [None, "end"]
            assert json.loads(seen[-1]["data"])["state"] == "success"
        async with site.session.get(job, headers={"Prefer": "wait=10"}) as result:
            assert (result.status, (await result.json())["state"]) == (200, "success")
        sim.script(POLLS, "slow", LONG)
        await _stop_with_open_waits(site)


async def _stop_with_open_waits(site: Program) -> None:
    waits = [asyncio.create_task(_answer(site, "/jobs/slow")) for _ in range(20)]
    viewing = await site.session.get("/jobs/slow/events")
    await viewing.content.readany()
    await asyncio.sleep(0.5)  # the requests have been sent; whatever is read of them later is answered alike
    viewer = asyncio.create_task(_events(viewing))
    site.process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(10):  # the waits themselves would take 25 seconds
        answers = await asyncio.gather(*waits)
        _, complaints = await site.process.communicate()
    assert {(status, pause) for status, pause, _ in answers} == {(503, "1")}
    assert {told["title"] for _, _, told in answers} == {"the service is restarting"}
    assert (await viewer)[-1]["event"] == "draining"
    assert "Traceback" not in complaints.decode()
    assert site.process.returncode in {0, -signal.SIGTERM}


async def _answer(site: Program, path: str) -> tuple[int, str | None, Any]:
    async with site.session.get(path) as reply:
        return reply.status, reply.headers.get("Retry-After"), await reply.json(content_type=None)
