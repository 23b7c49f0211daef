"""Transports that are dropped without being closed: each says so once, and its connections are closed."""

from __future__ import annotations

import asyncio
import gc
import os
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from functools import partialmethod
from typing import Any

import aiohttp
import pytest
from raw_server import Act, Script, json_reply, raw_server

from asyncpoll.http import AiohttpTransport, Request
from asyncpoll.providers import BigModel

POLL = Request("GET", "/poll")
ONCE: Script = [Act.READ, json_reply({"task_id": "1", "status": "succeeded", "content": "text"}), Act.HANG]


@contextmanager
def _warned() -> Generator[list[str]]:
    """Yield the list of the messages of all resource warnings inside."""
    messages: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ResourceWarning)
        yield messages
        gc.collect()
        messages += [str(warning.message) for warning in caught]


async def _use(url: str, **settings: Any) -> None:
    transport = AiohttpTransport(url, **settings)
    assert (await transport.send(POLL)).status == 200


@pytest.mark.parametrize("patched", [False, True])
async def test_a_dropped_transport_says_so_and_closes(monkeypatch: pytest.MonkeyPatch, *, patched: bool) -> None:
    """The warning names the cure; the connection is closed at once, on either path."""
    if patched:
        wrapped = partialmethod(aiohttp.ClientSession.request)
        monkeypatch.setattr(aiohttp.ClientSession, "request", wrapped)
    async with raw_server(ONCE) as server:
        with _warned() as messages:
            await _use(server.url)
        await server.quiet.wait()
        await asyncio.sleep(0.01)
    assert messages == [f"the client of {server.url} was not closed; use it in `async with`, or call its aclose()"]


async def test_a_dropped_client_says_so() -> None:
    """A client of a provider has a transport of its own."""
    async with raw_server(ONCE) as server:
        with _warned() as messages:
            await BigModel("any", base_url=server.url).file_parser.job(task_id="1").result(timeout=20)
        await server.quiet.wait()
    assert [message.partition(";")[0] for message in messages] == [f"the client of {server.url} was not closed"]


async def test_a_lent_session_is_left_alone() -> None:
    """A transport that has a lent session alone has nothing to close, and says nothing."""
    async with raw_server(ONCE) as server, aiohttp.ClientSession() as session:
        with _warned() as messages:
            await _use(server.url, session=session)
        assert not session.closed
        assert (messages, server.connections) == ([], 1)


async def test_nothing_is_said_without_a_reason() -> None:
    """A transport that was closed, never used or never made has nothing to close."""
    async with raw_server(ONCE) as server:
        with _warned() as messages:
            async with AiohttpTransport(server.url) as transport:
                await transport.send(POLL)
            del transport
            AiohttpTransport(server.url)
            with pytest.raises(ValueError, match="base_url"):
                AiohttpTransport("nonsense")
    assert messages == []


def test_a_transport_that_outlives_its_loop() -> None:
    """When its event loop is closed, the transport still says that it was not closed."""

    async def use() -> AiohttpTransport:
        async with raw_server(ONCE) as server:
            transport = AiohttpTransport(server.url)
            await transport.send(POLL)
            return transport

    with _warned() as messages:
        asyncio.run(use())
    assert len([message for message in messages if "use it in `async with`" in message]) == 1


async def test_a_fork_leaves_the_connections_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a forked process, which has other ids, the connections are those of the parent."""
    async with raw_server(ONCE) as server:
        transport = AiohttpTransport(server.url)
        await transport.send(POLL)
        with monkeypatch.context() as forked, _warned() as messages:
            forked.setattr(os, "getpid", lambda: -1)
            transport.__del__()
        assert messages == []
        await transport.aclose()
