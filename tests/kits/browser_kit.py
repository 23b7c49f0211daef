"""A real browser without a window, whose tabs are controlled by the DevTools protocol."""

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
from attrs import define, field

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--remote-debugging-port=0",
)  # fmt: skip
NEEDS_BROWSER = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on the PATH")]


@define
class Tab:
    """A tab of a browser, over a connection of its own.

    Attributes:
        events: The events that the browser has sent.
    """

    _socket: aiohttp.ClientWebSocketResponse
    _session: str = ""
    _number: int = 0
    events: list[dict[str, Any]] = field(factory=list)

    async def do(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and return its result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        await self._socket.send_json(message | ({"sessionId": self._session} if self._session else {}))
        while (answer := await self._hear()).get("id") != self._number:
            self.events.append(answer)
        assert "error" not in answer, answer
        result: dict[str, Any] = answer["result"]
        return result

    async def open(self, url: str) -> None:
        """Open the tab with a page."""
        target = await self.do("Target.createTarget", url=url)
        self._session = (await self.do("Target.attachToTarget", targetId=target["targetId"], flatten=True))["sessionId"]

    async def ask(self, expression: str) -> Any:
        """Return the value of an expression on the page."""
        return (await self.do("Runtime.evaluate", expression=expression, returnByValue=True))["result"].get("value")

    async def hear(self, method: str) -> None:
        """Wait until there has been an event of this kind."""
        while not self.told(method):
            self.events.append(await self._hear())

    def told(self, *methods: str) -> list[dict[str, Any]]:
        """Return the parameters of the events of these kinds."""
        return [event["params"] for event in self.events if event.get("method") in methods]

    async def _hear(self) -> dict[str, Any]:
        heard: dict[str, Any] = json.loads(await self._socket.receive_str())
        return heard


@asynccontextmanager
async def tabs(profile: Path, number: int) -> AsyncGenerator[list[Tab]]:
    """Run a browser with so many tabs, and end it in the end."""
    nothing, pipe = asyncio.subprocess.DEVNULL, asyncio.subprocess.PIPE
    command = (str(CHROMIUM), *FLAGS, f"--user-data-dir={profile}")
    browser = await asyncio.create_subprocess_exec(*command, stdout=nothing, stderr=pipe)
    try:
        address = await _address_of(browser)
        async with aiohttp.ClientSession() as session:
            yield [Tab(await session.ws_connect(address, max_msg_size=0)) for _ in range(number)]
    finally:
        browser.terminate()  # which ends its children too
        await browser.communicate()


async def _address_of(browser: asyncio.subprocess.Process) -> str:
    """Return the address at which a browser that was just started accepts commands."""
    assert browser.stderr is not None
    line = b""
    while not line.startswith(b"DevTools listening on "):
        line = await browser.stderr.readline()
        assert line
    return line.decode().split()[-1]
