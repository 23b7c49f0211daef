"""The page in a real browser: it fits a phone and paper, makes no request, and is parsed as it was written."""

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
from report_kit import Seen, page_of, record, run_of

from asyncpoll.ledger import Record

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--remote-debugging-port=0",
)  # fmt: skip
COLORS = {"name": "prefers-color-scheme"}
PATIENCE = 60.0
LONG = "W" * 400

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on the PATH")]


@define
class Tab:
    """A page in a browser, controlled by the DevTools protocol.

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

    async def attach(self) -> None:
        """Open a tab that reports every request and every error."""
        target = await self.do("Target.createTarget", url="about:blank")
        self._session = (await self.do("Target.attachToTarget", targetId=target["targetId"], flatten=True))["sessionId"]
        for domain in ("Page", "Network", "Log", "Runtime"):
            await self.do(f"{domain}.enable")

    async def open(self, page: Path, *, width: int, scheme: str = "light", media: str = "screen") -> None:
        """Load a page at a width in pixels, light or dark, for the screen or for print."""
        await self.do("Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=True)
        await self.do("Emulation.setEmulatedMedia", media=media, features=[COLORS | {"value": scheme}])
        await self.do("Page.navigate", url=page.as_uri())
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(await self._hear())

    async def ask(self, expression: str) -> Any:
        """Return the value of an expression on the page."""
        return (await self.do("Runtime.evaluate", expression=expression, returnByValue=True))["result"]["value"]

    def told(self, *methods: str) -> list[dict[str, Any]]:
        """Return the parameters of the events of these kinds."""
        return [event["params"] for event in self.events if event.get("method") in methods]

    async def _hear(self) -> dict[str, Any]:
        heard: dict[str, Any] = json.loads(await self._socket.receive_str())
        return heard


@asynccontextmanager
async def tab(profile: Path) -> AsyncGenerator[Tab, None]:
    """Open a browser with one tab, and end it in the end."""
    command = (str(CHROMIUM), *FLAGS, f"--user-data-dir={profile}")
    nothing, pipe = asyncio.subprocess.DEVNULL, asyncio.subprocess.PIPE
    browser = await asyncio.create_subprocess_exec(*command, stdout=nothing, stderr=pipe)
    try:
        address = await address_of(browser)
        async with aiohttp.ClientSession() as session, session.ws_connect(address, max_msg_size=0) as socket:
            opened = Tab(socket)
            await opened.attach()
            yield opened
    finally:
        browser.terminate()  # which ends its children too
        await browser.communicate()


async def address_of(browser: asyncio.subprocess.Process) -> str:
    """Return the address at which a browser that was just started accepts commands."""
    assert browser.stderr is not None
    line = b""
    while not line.startswith(b"DevTools listening on "):
        line = await browser.stderr.readline()
        assert line
    return line.decode().split()[-1]


def run_with_long_names() -> list[Record]:
    """Return records whose texts are longer than any line, without a place for a line break."""
    texts = dict.fromkeys(("key", "endpoint", "status", "reason", "code", "error"), LONG)
    return [record(1, state="unknown", **texts), record(2, state="failed", **{**texts, "endpoint": f"V{LONG}"})]


PAGES = {
    "ordinary": page_of(*run_of(3_000), unfinished={("bigmodel.agents", "pending"): 12}),
    "long": page_of(*run_with_long_names(), unfinished={(LONG, LONG): 1}),
    "single": page_of(record()),
    "empty": page_of(),
}


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize(
    ("width", "scheme"), [(360, "light"), (360, "dark"), (800, "light"), (970, "dark"), (1200, "light")]
)
async def test_the_page_fits_and_makes_no_request(name: str, width: int, scheme: str, tmp_path: Path) -> None:
    """At every width the page does not scroll sideways, makes no request, has no error, and is complete."""
    path = tmp_path / "report.html"
    path.write_text(PAGES[name], encoding="utf-8")
    async with asyncio.timeout(PATIENCE), tab(tmp_path / "profile") as page:
        await page.open(path, width=width, scheme=scheme)
        assert await page.ask("document.documentElement.scrollWidth") <= width
        assert await page.ask("innerWidth") == width
        dark = await page.ask("getComputedStyle(document.body).backgroundColor") == "rgb(18, 22, 28)"
        assert dark == (scheme == "dark")
        assert await page.ask("document.querySelectorAll('*').length") == len(Seen.of(PAGES[name]).tags)
        assert await page.ask("document.compatMode") == "CSS1Compat"
    requested = {event["request"]["url"] for event in page.told("Network.requestWillBeSent")}
    assert requested <= {path.as_uri(), "data:,"}
    assert page.told("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled") == []


@pytest.mark.parametrize("name", PAGES)
async def test_the_page_can_be_printed(name: str, tmp_path: Path) -> None:
    """On paper nothing is cut off at the side, tables are tables, and links to sections are left out."""
    path = tmp_path / "report.html"
    path.write_text(PAGES[name], encoding="utf-8")
    async with asyncio.timeout(PATIENCE), tab(tmp_path / "profile") as page:
        await page.open(path, width=718, media="print")
        assert await page.ask("document.documentElement.scrollWidth") <= 718
        assert await page.ask("getComputedStyle(document.querySelector('nav')).display") == "none"
        assert await page.ask(
            "[...document.querySelectorAll('table')].every(t => getComputedStyle(t).display == 'table')"
        )
        assert (await page.do("Page.printToPDF"))["data"]
