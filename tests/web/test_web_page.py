"""The page of the examples in a real browser: one tab uploads a file, two watch the job, on the polls of one."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from browser_kit import NEEDS_BROWSER, Tab, tabs
from web_kit import POLLS, program

from asyncpoll.simulator import Constant, Simulator

pytestmark = NEEDS_BROWSER


async def until(tab: Tab, expression: str) -> None:
    """Wait until an expression is true on the page of a tab."""
    async with asyncio.timeout(60):
        while await tab.ask(expression) is not True:  # noqa: ASYNC110  it is true in the browser
            await asyncio.sleep(0.05)


async def choose(tab: Tab, file: Path) -> None:
    """Choose a file to upload."""
    found = await tab.do("Runtime.evaluate", expression="document.querySelector('input')")
    await tab.do("DOM.setFileInputFiles", files=[str(file)], objectId=found["result"]["objectId"])


@pytest.mark.parametrize("app", ["fastapi_app", "litestar_app", "aiohttp_app"])
async def test_two_tabs_watch_a_job_on_one_poll(app: str, tmp_path: Path) -> None:
    """The second is given the address of the job; both see it run and end, and show the text."""
    file = tmp_path / "report.pdf"
    file.write_bytes(b"%PDF-1.7")
    life: Any = {"pending": Constant(1.0), "processing": Constant(6.0), "outcomes": {POLLS: {"succeeded": 1.0}}}
    async with Simulator(**life) as sim, program(app, sim) as site, tabs(tmp_path / "profile", 2) as (first, second):
        await first.open(site.url)
        await until(first, "document.readyState === 'complete' && document.querySelector('input') !== null")
        await choose(first, file)
        await until(first, "state.textContent === 'processing'")
        await second.open(await first.ask("location.href"))
        await until(second, "typeof state === 'object' && state.textContent === 'processing'")
        for tab in (first, second):
            await until(tab, "state.textContent === 'success' && result.textContent.length > 0")
        assert await first.ask("result.textContent") == await second.ask("result.textContent")
        assert sim.counts[POLLS] < 15
