"""The page of the examples in a real browser: one tab uploads a file, two watch the job, on the polls of one."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from attrs import define
from web_kit import POLLS, program

from asyncpoll.simulator import Constant, Simulator

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--remote-debugging-port=0",
)  # fmt: skip
pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on the PATH")]


@define
class Tab:
    """A tab of a browser, controlled by the DevTools protocol over a connection of its own."""

    _socket: aiohttp.ClientWebSocketResponse
    _session: str = ""
    _number: int = 0

    async def do(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and return its result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        await self._socket.send_json(message | ({"sessionId": self._session} if self._session else {}))
        while (heard := json.loads(await self._socket.receive_str())).get("id") != self._number:
            pass
        assert "error" not in heard, heard
        result: dict[str, Any] = heard["result"]
        return result

    async def open(self, url: str) -> None:
        """Load a page."""
        target = await self.do("Target.createTarget", url=url)
        self._session = (await self.do("Target.attachToTarget", targetId=target["targetId"], flatten=True))["sessionId"]

    async def ask(self, expression: str) -> Any:
        """Return the value of an expression on the page."""
        return (await self.do("Runtime.evaluate", expression=expression, returnByValue=True))["result"].get("value")

    async def until(self, expression: str) -> None:
        """Wait until an expression is true."""
        async with asyncio.timeout(60):
            while await self.ask(expression) is not True:  # noqa: ASYNC110  it is true in the browser
                await asyncio.sleep(0.05)

    async def choose(self, file: Path) -> None:
        """Choose a file to upload."""
        found = await self.do("Runtime.evaluate", expression="document.querySelector('input')")
        await self.do("DOM.setFileInputFiles", files=[str(file)], objectId=found["result"]["objectId"])


@asynccontextmanager
async def tabs(profile: Path) -> AsyncGenerator[tuple[Tab, Tab]]:
    """Open a browser with two tabs."""
    nothing, pipe = asyncio.subprocess.DEVNULL, asyncio.subprocess.PIPE
    command = (str(CHROMIUM), *FLAGS, f"--user-data-dir={profile}")
    browser = await asyncio.create_subprocess_exec(*command, stdout=nothing, stderr=pipe)
    assert browser.stderr is not None
    try:
        line = b""
        while not line.startswith(b"DevTools listening on "):
            line = await browser.stderr.readline()
            assert line
        address = line.decode().split()[-1]
        async with aiohttp.ClientSession() as session:
            one, other = [await session.ws_connect(address) for _ in range(2)]
            yield Tab(one), Tab(other)
    finally:
        browser.terminate()  # which ends its children too
        await browser.communicate()


@pytest.mark.parametrize("app", ["fastapi_app", "litestar_app", "aiohttp_app"])
async def test_two_tabs_watch_a_job_on_one_poll(app: str, tmp_path: Path) -> None:
    """The second is given the address of the job; both see it run and end, and show the text."""
    file = tmp_path / "report.pdf"
    file.write_bytes(b"%PDF-1.7")
    life: Any = {"pending": Constant(1.0), "processing": Constant(6.0), "outcomes": {POLLS: {"succeeded": 1.0}}}
    async with Simulator(**life) as sim, program(app, sim) as site, tabs(tmp_path / "profile") as (first, second):
        await first.open(site.url)
        await first.until("document.readyState === 'complete' && document.querySelector('input') !== null")
        await first.choose(file)
        await first.until("state.textContent === 'processing'")
        await second.open(await first.ask("location.href"))
        await second.until("typeof state === 'object' && state.textContent === 'processing'")
        for tab in (first, second):
            await tab.until("state.textContent === 'success' && result.textContent.length > 0")
        assert await first.ask("result.textContent") == await second.ask("result.textContent")
        assert sim.counts[POLLS] < 15
