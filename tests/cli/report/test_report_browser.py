"""The page in a real browser: it fits a phone and paper, makes no request, and is parsed as it was written."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from browser_kit import NEEDS_BROWSER, Tab, tabs
from report_kit import Seen, page_of, record, run_of

from asyncpoll.ledger import Record

COLORS = {"name": "prefers-color-scheme"}
PATIENCE = 60.0
LONG = "W" * 400

pytestmark = NEEDS_BROWSER


@asynccontextmanager
async def tab(profile: Path) -> AsyncGenerator[Tab]:
    """Open a browser with one tab, which reports every request and every error."""
    async with tabs(profile, 1) as (opened,):
        await opened.open("about:blank")
        for domain in ("Page", "Network", "Log", "Runtime"):
            await opened.do(f"{domain}.enable")
        yield opened


async def show(tab: Tab, page: Path, *, width: int, scheme: str = "light", media: str = "screen") -> None:
    """Load a page at a width in pixels, light or dark, for the screen or for print."""
    await tab.do("Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=True)
    await tab.do("Emulation.setEmulatedMedia", media=media, features=[COLORS | {"value": scheme}])
    await tab.do("Page.navigate", url=page.as_uri())
    await tab.hear("Page.loadEventFired")


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
        await show(page, path, width=width, scheme=scheme)
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
        await show(page, path, width=718, media="print")
        assert await page.ask("document.documentElement.scrollWidth") <= 718
        assert await page.ask("getComputedStyle(document.querySelector('nav')).display") == "none"
        assert await page.ask(
            "[...document.querySelectorAll('table')].every(t => getComputedStyle(t).display == 'table')"
        )
        assert (await page.do("Page.printToPDF"))["data"]
