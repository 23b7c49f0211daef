"""Connections under control, and the proof that they are."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest

from asyncpoll.http.message import Request
from asyncpoll.http.transport import AiohttpTransport, client, probe
from asyncpoll.http.transport.pool import Line, Pool
from asyncpoll.http.transport.probe import is_in_control

POLL = Request("GET", "/")
TRIAL = client._Trial


async def test_connections_are_under_control() -> None:
    """With the aiohttp that is installed, the trial succeeds."""
    assert await is_in_control(TRIAL)


def _deaf(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Line, "rest", lambda _line: None)  # it never stops listening


def _fixed(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Pool, "drop_idle", lambda _pool: None)


def _uncounted(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Pool, "connect", aiohttp.TCPConnector.connect)


def _unused(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Line, "should_close", True)


def _resent(patch: pytest.MonkeyPatch) -> None:
    once = Pool.ask

    async def twice(pool: Pool, outgoing: Any) -> Any:
        try:
            return await once(pool, outgoing)
        except aiohttp.ServerDisconnectedError:
            return await once(pool, outgoing)

    patch.setattr(Pool, "ask", twice)


def _absent(patch: pytest.MonkeyPatch) -> None:
    patch.delattr("aiohttp.connector.BaseConnector.connect")


def _no_loopback(patch: pytest.MonkeyPatch) -> None:
    async def refuse(*_args: object) -> None:
        raise PermissionError

    patch.setattr(asyncio, "start_server", refuse)


@pytest.mark.parametrize("broken", [_deaf, _fixed, _uncounted, _unused, _resent, _absent, _no_loopback])
async def test_the_trial_notices(monkeypatch: pytest.MonkeyPatch, broken: Any) -> None:
    """Whatever of the parts does not do what it should any more, the trial fails, and the transport does without."""
    monkeypatch.setattr(probe, "LIMIT", 0.5)
    broken(monkeypatch)
    assert not await is_in_control(TRIAL)


async def test_an_answer_to_a_last_request_that_must_not_come(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that the server did not answer cannot have an answer."""
    once = AiohttpTransport.send

    async def invent(sender: AiohttpTransport, request: Request) -> Any:
        return await once(sender, request) if sender.requests < 4 else None

    monkeypatch.setattr(AiohttpTransport, "send", invent)
    assert not await is_in_control(TRIAL)


async def test_a_trial_is_brought_to_its_end() -> None:
    """When whoever asked for it is cancelled, the trial leaves no server and no connection behind."""
    for steps in range(30):
        asking = asyncio.create_task(is_in_control(TRIAL))
        for _ in range(steps):
            await asyncio.sleep(0)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
