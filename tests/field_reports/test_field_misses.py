"""Fetches of the user's own, over other HTTP libraries and real connections: one hiccup is a miss."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import httpx
import pytest
import requests
from raw_server import Act, Script, json_reply, polls, raw_server, reply

from asyncpoll import Fixed, Hub, Snapshot, State, Vocabulary, as_completed, wait_until_terminal, watch

QUICK = Fixed(0.01)
STATUSES = Vocabulary("acme.renders", {"queued": State.PENDING, "done": State.SUCCESS})
QUEUED, DONE = json_reply({"status": "queued"}), json_reply({"status": "done"})
CUT = b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"
Fetch = Callable[[], Awaitable[Snapshot[Any]]]


@asynccontextmanager
async def _by_aiohttp(url: str) -> AsyncGenerator[Fetch]:
    limit = aiohttp.ClientTimeout(sock_read=0.2)
    async with aiohttp.ClientSession(timeout=limit) as session:

        async def fetch() -> Snapshot[Any]:
            async with session.post(url) as response:
                return Snapshot(STATUSES.read((await response.json())["status"]))

        yield fetch


@asynccontextmanager
async def _by_httpx(url: str) -> AsyncGenerator[Fetch]:
    async with httpx.AsyncClient(timeout=0.2, trust_env=False) as client:

        async def fetch() -> Snapshot[Any]:
            response = await client.post(url)
            response.raise_for_status()
            return Snapshot(STATUSES.read(response.json()["status"]))

        yield fetch


@asynccontextmanager
async def _by_requests(url: str) -> AsyncGenerator[Fetch]:
    with requests.Session() as session:
        session.trust_env = False

        async def fetch() -> Snapshot[Any]:
            response = await asyncio.to_thread(session.post, url, timeout=0.2)
            return Snapshot(STATUSES.read(response.json()["status"]))

        yield fetch


LIBRARIES = {"aiohttp": _by_aiohttp, "httpx": _by_httpx, "requests": _by_requests}
HICCUPS: dict[str, Any] = {"hangs up": Act.CLOSE, "resets": Act.RESET, "says nothing": Act.HANG, "cut short": CUT}


@pytest.mark.parametrize("library", LIBRARIES.values(), ids=LIBRARIES)
@pytest.mark.parametrize("hiccup", HICCUPS.values(), ids=HICCUPS)
@pytest.mark.parametrize("together", [True, False])
async def test_a_hiccup_of_a_kept_connection_is_a_miss(library: Any, hiccup: Any, *, together: bool) -> None:
    """The server breaks off twice in the middle of the wait; the next polls are the retries."""
    broken: Script = [Act.READ, QUEUED, Act.READ, hiccup]
    async with raw_server(broken, broken, polls(DONE)) as server, library(server.url) as fetch, Hub() as hub:
        if together:
            seen = await hub.wait(fetch, timeout=20, schedule=QUICK)
        else:
            seen = await wait_until_terminal(fetch, timeout=20, schedule=QUICK)
        assert len(server.requests) == 5
    assert seen.state is State.SUCCESS


async def test_a_stream_and_a_bulk_wait_go_on_as_well() -> None:
    """`watch` and `as_completed` treat errors of other libraries alike."""
    broken: Script = [Act.READ, Act.CLOSE]
    async with raw_server(broken, polls(QUEUED, DONE, DONE)) as server, _by_httpx(server.url) as fetch:
        assert [seen.state async for seen in watch(fetch, schedule=QUICK)] == [State.PENDING, State.SUCCESS]
    async with (
        raw_server(broken, polls(DONE)) as server,
        _by_aiohttp(server.url) as fetch,
        as_completed([fetch], timeout=20, schedule=QUICK) as outcomes,
    ):
        assert [outcome.succeeded async for outcome in outcomes] == [True]


@pytest.mark.parametrize("together", [True, False])
async def test_more_errors_can_be_named_misses(*, together: bool) -> None:
    """A status that httpx raises ends the wait, unless miss_on= names it."""
    busy = reply(b"{}", status=503)
    async with Hub() as hub:
        for options in ({}, {"miss_on": httpx.HTTPStatusError}, {"miss_on": lambda error: "503" in str(error)}):
            async with raw_server(polls(QUEUED, busy, busy, DONE)) as server, _by_httpx(server.url) as fetch:
                named: dict[str, Any] = {"timeout": 20, "schedule": QUICK, **options}
                waiting = hub.wait(fetch, **named) if together else wait_until_terminal(fetch, **named)
                if options:
                    assert (await waiting).state is State.SUCCESS
                else:
                    with pytest.raises(httpx.HTTPStatusError):
                        await waiting


@pytest.mark.parametrize("library", LIBRARIES.values(), ids=LIBRARIES)
async def test_misses_in_a_row_have_a_limit_of_ones_own(library: Any) -> None:
    """`max_misses=` raises the error of the library as it is."""
    async with raw_server([Act.READ, Act.CLOSE]) as server, library(server.url) as fetch:
        with pytest.raises((aiohttp.ServerDisconnectedError, httpx.RemoteProtocolError, requests.ConnectionError)):
            await wait_until_terminal(fetch, timeout=20, schedule=QUICK, max_misses=2)
        assert len(server.requests) == 3


@pytest.mark.parametrize("library", LIBRARIES.values(), ids=LIBRARIES)
async def test_a_server_that_is_not_there_is_waited_for(library: Any) -> None:
    """Refused connections are misses until the server has come up."""
    async with raw_server(polls(DONE)) as server:
        url = server.url
    async with library(url) as fetch:
        with pytest.raises(TimeoutError) as caught:
            await wait_until_terminal(fetch, timeout=0.2, schedule=QUICK)
        assert caught.value.__cause__ is not None
